import NIOCore
import RoostModel
import RoostNode
import RoostProtocol
import RoostSimulation
import Testing

/// What one session sends arrives in the order it was sent, also across an error that says "send it again".
@Suite struct OrderTests {
    /// The leader refuses, its answer is held up, and the node asks again while the user becomes a member: what was refused
    /// once is not taken the second time.
    @Test(arguments: World.seeds(3)) func aRefusalHoldsForLaterCopies(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.conversation(.group, "ada", "bob")
        // Leaderships have found their places by then.
        world.run(5_000)
        let leader = try #require(world.cluster.leader(of: world.cluster.partition(of: group)))
        // The first node is asked for everything else.
        let home = try #require(world.cluster.nodeIDs.dropFirst().first { $0 != leader })
        let ada = try world.device("ada", "phone", at: world.node(1))
        let guest = try world.device("guest", "phone", at: home)
        world.cluster.network.mute(from: leader, to: home)
        let sent = guest.send(to: group, "too early")
        world.run(100)
        #expect(try world.change(group, by: "ada", .add, "guest") == .done, "seed \(seed)")
        world.run(700)
        world.cluster.network.heal(leader, home)
        #expect(world.run(10_000) { guest.outbox.isEmpty }, "seed \(seed): \(guest.summary)")
        world.run(1_000)
        let isThere = ada.received[group]?.contains { $0.id == sent } ?? false
        #expect(isThere == (guest.accepted[sent] != nil), "seed \(seed): \(guest.refused)")
        world.expectAgreement()
    }

    /// The leader looks up whether it must refuse, and the node asks again before that is proven, by when an entry that
    /// makes the user a member is under way: the copy goes through the log, and that decides for both.
    @Test(arguments: World.seeds(4)) func aRefusalWaitsForACopyInTheLog(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.conversation(.group, "ada", "bob")
        world.run(5_000)
        let leader = try #require(world.cluster.leader(of: world.cluster.partition(of: group)))
        let others = world.cluster.nodeIDs.filter { $0 != leader }
        let ada = try world.device("ada", "phone", at: leader)
        let guest = try world.device("guest", "phone", at: others[0])
        // What the leader asks takes longer than the node waits for an answer.
        for other in others { world.cluster.network.slow(from: leader, to: other, 690_000_000...700_000_000) }
        let sent = guest.send(to: group, "too early")
        world.run(20)
        #expect(try world.change(group, by: "ada", .add, "guest") == .done, "seed \(seed)")
        for other in others { world.cluster.network.slow(from: leader, to: other, nil) }
        #expect(world.run(10_000) { guest.outbox.isEmpty }, "seed \(seed): \(guest.summary)")
        world.run(1_000)
        let isThere = ada.received[group]?.contains { $0.id == sent } ?? false
        #expect(isThere == (guest.accepted[sent] != nil), "seed \(seed): \(guest.refused)")
        world.expectAgreement()
    }

    private func frame(_ number: Int, _ ids: [MessageID], to group: ConversationID) -> ClientSend {
        ClientSend(id: ids[number], conversation: group, content: ByteBuffer(string: "\"m\(number)\""))
    }

    /// Frames that were in the socket when the error went out must not overtake what is sent again because of it.
    @Test(arguments: World.seeds(3)) func nothingOvertakesWhatIsSentAgain(seed: UInt64) throws {
        let world = try World(seed: seed) { $0.timing.proposalTimeoutMilliseconds = 1_500 }
        let group = try world.conversation(.group, "ada", "bob")
        let leader = try #require(world.cluster.leader(of: world.cluster.partition(of: group)))
        let away = try #require(world.cluster.nodeIDs.first { $0 != leader })
        let ada = try world.device("ada", "phone", at: away)
        let session = try #require(ada.session)
        let ids = (0..<6).map { _ in MessageID(UUID128.version4(using: &world.generator)) }
        for other in world.cluster.nodeIDs where other != away { world.cluster.network.cut(away, other) }
        world.run(50)
        session.send([frame(0, ids, to: group), frame(1, ids, to: group)])
        #expect(world.run(3_000) { session.errors.count == 2 }, "seed \(seed): \(session.errors)")
        for other in world.cluster.nodeIDs where other != away { world.cluster.network.heal(away, other) }
        // Written before the client has read the errors.
        session.send([frame(2, ids, to: group), frame(3, ids, to: group)])
        world.run(100)
        session.send([frame(4, ids, to: group)])
        world.run(5)
        session.send((0..<6).map { frame($0, ids, to: group) })
        let done = world.run(5_000) { ids.allSatisfy { id in session.accepted.contains { $0.id == id } } }
        #expect(done, "seed \(seed): \(session.accepted.count) accepted, \(session.errors)")
        let seqs = ids.compactMap { id in session.accepted.first { $0.id == id }?.seq }
        #expect(seqs == [1, 2, 3, 4, 5, 6], "seed \(seed): \(seqs)")
        #expect(session.errors.allSatisfy { $0.code == .unavailable && $0.retryable }, "seed \(seed)")
    }
}
