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
        stores: [(Int, UInt64)], wanted: [Int] = [1, 2, 3], lastIndex: UInt64 = 1_000, mayAdd: Bool = true
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
            stores: Dictionary(uniqueKeysWithValues: stores.map { (NodeID("node-\($0.0)"), StoreID($0.1)) }),
            mayAdd: mayAdd)
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
        // The store may hold a replica again, which is another peer.
        let again = RaftPeer(node: "node-2", store: StoreID(2).replica(1))
        #expect(plan(configuration, stores: [(2, 2), (3, 3)]) == .addLearner(again))
        // A node that is wanted and has no replica gets one.
        #expect(plan(configuration, stores: [(2, 22), (3, 3)]) == .addLearner(peer(2, 22)))
    }

    /// From nodes 1, 2, 3 to 1, 2, 4: never fewer than three voters, and node 3 goes last.
    @Test func aReplicaMoves() {
        var configuration = RaftConfiguration(voters: [peer(1, 1), peer(2, 2), peer(3, 3)])
        let stores: [(Int, UInt64)] = [(2, 2), (3, 3), (4, 4)]
        let filled: [RaftPeer: UInt64] = [peer(2, 2): 1_000, peer(3, 3): 1_000, peer(4, 4): 995]
        let wanted = [1, 2, 4]
        #expect(plan(configuration, match: filled, stores: stores, wanted: wanted) == .addLearner(peer(4, 4)))
        #expect(plan(configuration, match: filled, stores: stores, wanted: wanted, mayAdd: false) == nil)
        // Nobody goes before who comes is there.
        #expect(plan(configuration, match: filled, stores: [(2, 2), (3, 3)], wanted: wanted) == nil)
        configuration = RaftConfiguration(voters: configuration.voters, learners: [peer(4, 4)])
        #expect(plan(configuration, match: [:], stores: stores, wanted: wanted) == nil)
        #expect(plan(configuration, match: filled, stores: stores, wanted: wanted) == .promote(peer(4, 4)))
        configuration = RaftConfiguration(voters: configuration.voters + [peer(4, 4)])
        #expect(plan(configuration, match: filled, stores: stores, wanted: wanted) == .giveUp(peer(3, 3)))
        // It need not be there for that.
        #expect(plan(configuration, match: filled, stores: [(2, 2)], wanted: wanted) == .giveUp(peer(3, 3)))
        configuration = RaftConfiguration(voters: [peer(1, 1), peer(2, 2), peer(4, 4)], tombstones: [peer(3, 3)])
        #expect(plan(configuration, match: filled, stores: stores, wanted: wanted) == nil)
        #expect(ReplicaPlan.isDone(configuration, wanted: ["node-4", "node-2", "node-1"]))
    }

    /// The ring changed again before a learner was filled.
    @Test func whoIsNotWantedAnyMoreIsGivenUp() {
        let configuration = RaftConfiguration(
            voters: [peer(1, 1), peer(2, 2), peer(3, 3)], learners: [peer(4, 4)])
        #expect(plan(configuration, stores: [(2, 2), (3, 3), (4, 4)]) == .giveUp(peer(4, 4)))
        // Before the ring is known nothing is decided.
        #expect(plan(configuration, stores: [(2, 2), (3, 3), (4, 4)], wanted: []) == nil)
    }

    /// A leader that should go removes the others that should, and itself it can't.
    @Test func theLeaderItselfStays() {
        let configuration = RaftConfiguration(voters: (1...5).map { peer($0, UInt64($0)) })
        let stores: [(Int, UInt64)] = (2...5).map { ($0, UInt64($0)) }
        let gone = plan(configuration, unreachable: [peer(3, 3)], stores: stores, wanted: [4, 5])
        #expect(gone == .giveUp(peer(3, 3)))
        let rest = RaftConfiguration(voters: [peer(1, 1), peer(4, 4), peer(5, 5)])
        #expect(plan(rest, stores: stores, wanted: [4, 5]) == nil)
        #expect(ReplicaPlan.isComplete(rest, wanted: ["node-4", "node-5"]))
        #expect(!ReplicaPlan.isDone(rest, wanted: ["node-4", "node-5"]))
    }

    @Test func identitiesOfAStore() {
        let store = StoreID(0xdead_beef_0123_4567)
        #expect(store.replica(0) == store)
        for number in 0..<StoreID.replicaNumbers { #expect(store.replicaNumber(of: store.replica(number)) == number) }
        #expect(store.replicaNumber(of: store.replica(StoreID.replicaNumbers)) == nil)
        #expect(store.replicaNumber(of: StoreID(0xdead_beef_0123_4568)) == nil)
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
