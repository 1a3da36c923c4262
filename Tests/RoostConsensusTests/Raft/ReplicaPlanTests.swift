import RoostConsensus
import RoostModel
import RoostProtocol
import Testing

@Suite struct ReplicaPlanTests {
    private func peer(_ number: Int, _ store: UInt64) -> RaftPeer {
        RaftPeer(node: NodeID("node-\(number)"), store: StoreID(store))
    }

    private func plan(
        _ configuration: RaftConfiguration, match: [RaftPeer: UInt64] = [:], unreachable: [RaftPeer] = [],
        stores: [(Int, UInt64)], wanted: [Int] = [1, 2, 3], lastIndex: UInt64 = 1_000
    ) -> RaftGroup.MembershipChange? {
        let me = peer(1, 1)
        let others = (configuration.voters + configuration.learners).filter { $0 != me }
        return ReplicaPlan.next(
            me: me, configuration: configuration,
            status: others.map {
                RaftGroup.PeerStatus(
                    peer: $0, isVoter: configuration.voters.contains($0), isReachable: !unreachable.contains($0),
                    matchIndex: match[$0] ?? 0)
            },
            lastIndex: lastIndex, promotionLag: 10, wanted: wanted.map { NodeID("node-\($0)") },
            stores: Dictionary(uniqueKeysWithValues: stores.map { (NodeID("node-\($0.0)"), StoreID($0.1)) }))
    }

    @Test func nothingToDo() {
        let whole = RaftConfiguration(voters: [peer(1, 1), peer(2, 2), peer(3, 3)])
        #expect(plan(whole, stores: [(2, 2), (3, 3)]) == nil)
        // One that is away may come back with its disk.
        #expect(plan(whole, stores: [(2, 2)]) == nil)
    }

    @Test func stepByStep() {
        var configuration = RaftConfiguration(voters: [peer(1, 1), peer(2, 2), peer(3, 3)])
        let stores: [(Int, UInt64)] = [(2, 22), (3, 3)]
        #expect(plan(configuration, stores: stores) == .addLearner(peer(2, 22)))
        configuration = RaftConfiguration(voters: configuration.voters, learners: [peer(2, 22)])
        #expect(plan(configuration, match: [peer(2, 22): 900], stores: stores) == nil)
        let match: [RaftPeer: UInt64] = [peer(2, 22): 995]
        #expect(plan(configuration, match: match, unreachable: [peer(2, 22)], stores: stores) == nil)
        #expect(plan(configuration, match: match, stores: stores) == .remove(peer(2, 2)))
        configuration = RaftConfiguration(
            voters: [peer(1, 1), peer(3, 3)], learners: [peer(2, 22)], tombstones: [peer(2, 2)])
        #expect(plan(configuration, match: match, stores: stores) == .promote(peer(2, 22)))
        configuration = RaftConfiguration(
            voters: [peer(1, 1), peer(2, 22), peer(3, 3)], tombstones: [peer(2, 2)])
        #expect(plan(configuration, match: match, stores: stores) == nil)
    }

    @Test func aLearnerThatLostItsDiskAgainIsGivenUp() {
        let configuration = RaftConfiguration(
            voters: [peer(1, 1), peer(2, 2), peer(3, 3)], learners: [peer(2, 22)])
        #expect(plan(configuration, match: [peer(2, 22): 999], stores: [(2, 222)]) == .remove(peer(2, 22)))
    }

    @Test func aTombstoneNeverComesBack() {
        let configuration = RaftConfiguration(voters: [peer(1, 1), peer(3, 3)], tombstones: [peer(2, 2)])
        #expect(plan(configuration, stores: [(2, 2), (3, 3)]) == nil)
        // A node that is wanted and has no replica gets one.
        #expect(plan(configuration, stores: [(2, 22), (3, 3)]) == .addLearner(peer(2, 22)))
    }

    @Test func catchingUpIsPaced() {
        var budget = CatchUpBudget(bytesPerSecond: 1_000_000)
        var now: UInt64 = 5_000_000_000
        var sent = 0
        for _ in 0..<100 {
            now += budget.charge(bytes: 100_000, now: now)
            sent += 100_000
        }
        // The first goes at once, the others when those before are paid for.
        #expect(now == 5_000_000_000 + 9_900_000_000 && sent == 10_000_000)
        now += 60_000_000_000
        #expect(budget.charge(bytes: 1, now: now) == 0)
    }
}
