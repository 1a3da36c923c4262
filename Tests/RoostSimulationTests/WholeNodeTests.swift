import NIOCore
import RoostModel
import RoostNode
import RoostProtocol
import RoostSimulation
import Testing

/// Three whole nodes in one process, on one seed: actors, Raft, gossip, SQLite and the peer codec, with virtual time and
/// links in memory.
@Suite struct WholeNodeTests {
    struct Outcome: Equatable {
        var trace: [String] = []
        var received: [String: [String]] = [:]
        var accepted: [String: Int] = [:]
        var failures: [String] = []
    }

    /// Alice on node-1 and Bob on node-2 chat, while the leader of their conversation dies and comes back.
    static func scenario(seed: UInt64, tracing: Bool) throws -> Outcome {
        var outcome = Outcome()
        let cluster = try SimulationCluster(seed: seed, nodes: 3)
        let trace = Trace()
        if tracing { cluster.network.trace = { trace.lines.append($0) } }
        try cluster.startAll()
        #expect(cluster.run(milliseconds: 20_000) { cluster.isServing }, "seed \(seed): the cluster does not serve")

        let alice = try #require(Actors.register("alice", at: "node-1", in: cluster), "seed \(seed)")
        let bob = try #require(Actors.register("bob", at: "node-2", in: cluster), "seed \(seed)")
        let conversation = ConversationID(direct: alice, bob)
        let partition = PartitionID(of: conversation.uuid, count: cluster.configuration.partitions)
        // Neither of them is connected to the node that will die.
        let leader = try #require(cluster.nodeIDs.first { id in cluster.onNode(id) { $0.leads(partition) } ?? false })
        let homes = cluster.nodeIDs.filter { $0 != leader }
        let one = try #require(Actors.connect(alice, "phone", at: homes[0], in: cluster), "seed \(seed)")
        let two = try #require(Actors.connect(bob, "laptop", at: homes[1], in: cluster), "seed \(seed)")
        var ids = SeededGenerator(seed: seed ^ 0xabcd)

        func send(_ count: Int, _ label: String) {
            for number in 0..<count {
                one.send(id: MessageID(.version4(using: &ids)), toUser: "bob", text: "\(label)\(number)")
                two.send(id: MessageID(.version4(using: &ids)), toUser: "alice", text: "\(label)\(number)")
                cluster.run(milliseconds: 3)
            }
        }
        send(20, "a")
        cluster.kill(leader)
        send(20, "b")
        cluster.run(milliseconds: 3_000)
        try cluster.start(leader)
        send(20, "c")
        let done = cluster.run(milliseconds: 20_000) {
            one.accepted.count == 60 && two.accepted.count == 60 && one.messages.count == 60 && two.messages.count == 60
        }
        #expect(
            done,
            """
            seed \(seed): accepted \(one.accepted.count), \(two.accepted.count); received \(one.messages.count), \
            \(two.messages.count); errors \(one.errors.count), \(two.errors.count)
            """)
        for (name, session) in [("alice", one), ("bob", two)] {
            let seqs = session.messages.map(\.seq)
            #expect(seqs == seqs.sorted() && Set(seqs).count == seqs.count, "seed \(seed): \(name) \(seqs)")
            outcome.received[name] = session.messages.map { "\($0.seq) \(String(buffer: $0.content))" }
            outcome.accepted[name] = session.accepted.count
        }
        // What one session sends arrives in the order it was sent.
        let fromAlice = two.messages.map { String(buffer: $0.content) }
        let expected = ["a", "b", "c"].flatMap { label in (0..<20).map { "\"\(label)\($0)\"" } }
        #expect(fromAlice == expected, "seed \(seed)")
        #expect(cluster.failures.isEmpty, "seed \(seed): \(cluster.failures)")
        #expect(cluster.network.undecodable == 0)
        outcome.trace = trace.lines
        outcome.failures = cluster.failures
        return outcome
    }

    @Test func survivesALeadersDeathAndReturn() throws {
        for seed in UInt64(1)...5 { _ = try Self.scenario(seed: seed, tracing: false) }
    }

    @Test func repeatsToTheByteForTheSameSeed() throws {
        let first = try Self.scenario(seed: 42, tracing: true)
        let second = try Self.scenario(seed: 42, tracing: true)
        #expect(first.trace.count > 500)
        let difference = zip(first.trace, second.trace).enumerated().first { $0.element.0 != $0.element.1 }
        #expect(difference == nil, "the runs part at step \(difference?.offset ?? 0)")
        #expect(first == second)
        let other = try Self.scenario(seed: 43, tracing: true)
        #expect(first.trace != other.trace)
    }
}

private final class Trace {
    var lines: [String] = []
}

/// What a client and its gateway would do.
enum Actors {
    static func register(_ name: String, at node: NodeID, in cluster: SimulationCluster) -> UserID? {
        guard let service = cluster.running[node]?.node else { return nil }
        let user = UserID(foldedUsername: name)
        let record = AccountRecord(
            user: user, username: name, passwordHash: "-", role: .user, createdAt: service.wall())
        let result = cluster.await { await service.propose(.createAccount(record)) }
        guard case .created? = result else { return nil }
        return user
    }

    static func connect(_ user: UserID, _ device: String, at node: NodeID, in cluster: SimulationCluster)
        -> SimulationSession?
    {
        guard let service = cluster.running[node]?.node, let device = DeviceID(device) else { return nil }
        let request = SessionRequest(
            user: user, device: device, start: .all, modern: true, clientAcks: true, tokenExpires: 1e11)
        guard case .success(let pending)? = cluster.await({ await service.openSession(request) }) else { return nil }
        let session = SimulationSession(executor: cluster.executor)
        session.attach(pending)
        guard cluster.run(milliseconds: 10_000, until: { session.isCaughtUp }) else { return nil }
        return session
    }
}
