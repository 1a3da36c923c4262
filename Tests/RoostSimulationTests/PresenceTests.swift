import RoostModel
import RoostNode
import RoostProtocol
import RoostSimulation
import Testing

/// Who watches whom, and what he is told.
@Suite struct PresenceTests {
    @Test(arguments: World.seeds(2)) func isToldNowAndOnChange(seed: UInt64) throws {
        let world = try World(seed: seed)
        _ = try world.conversation(.group, "ada", "bob", "eve")
        let (bob, eve, stranger) = (try world.user("bob"), try world.user("eve"), try world.user("mallory"))
        let nobody = UserID(foldedUsername: "nobody")
        let ada = try world.device("ada", "phone", at: world.node(1))
        let phone = try world.device("bob", "phone", at: world.node(2)) { $0.reconnects = false }
        // A node that has just started may not know yet who is where.
        world.run(6_000)
        ada.watch([bob, eve, stranger, nobody])
        #expect(world.run(1_000) { ada.session?.presence.count == 2 }, "seed \(seed)")
        let session = try #require(ada.session)
        #expect(session.refusedToWatch == [stranger, nobody].sorted(), "seed \(seed)")
        #expect(session.presence == [bob: .online, eve: .offline(lastSeen: nil)], "seed \(seed): eve has no device")

        // A second device; the first goes. Then that one, too.
        let desk = try world.device("bob", "desk", at: world.node(3)) { $0.reconnects = false }
        phone.disconnect()
        world.run(6_000)
        #expect(session.presence[bob] == .online, "seed \(seed)")
        let left = SimulationClock.begin + Int64(world.cluster.executor.now / 1_000)
        desk.disconnect()
        world.run(2_800)
        #expect(session.presence[bob] == .online, "seed \(seed)")
        #expect(world.run(700) { session.presence[bob]?.isOnline == false }, "seed \(seed)")
        guard case .offline(let last?)? = session.presence[bob] else {
            Issue.record("seed \(seed): \(String(describing: session.presence[bob]))")
            return
        }
        #expect(abs(last - left) < 100_000, "seed \(seed): \(last) \(left)")

        // Back, away and back within the debounce.
        desk.connect(to: world.node(2))
        #expect(world.run(1_000) { session.presence[bob] == .online }, "seed \(seed)")
        let told = session.frames.count
        desk.disconnect()
        world.run(2_000)
        desk.connect(to: world.node(3))
        world.run(8_000)
        #expect(session.frames.count == told, "seed \(seed)")
        world.expectAgreement()
    }

    @Test(arguments: World.seeds(2)) func whoHidesWhenHeWasLastOnlineIsHidden(seed: UInt64) throws {
        let world = try World(seed: seed)
        _ = try world.conversation(.group, "ada", "bob", "eve")
        let (bob, eve) = (try world.user("bob"), try world.user("eve"))
        let ada = try world.device("ada", "phone", at: world.node(1))
        let devices = [
            try world.device("bob", "phone", at: world.node(2)), try world.device("eve", "phone", at: world.node(3)),
        ]
        ada.watch([bob, eve])
        #expect(world.run(1_000) { ada.session?.presence == [bob: .online, eve: .online] }, "seed \(seed)")
        #expect(world.propose(.setLastSeenHidden(user: bob, hidden: true)) == .done)
        for device in devices {
            device.reconnects = false
            device.disconnect()
        }
        world.run(5_000)
        #expect(ada.session?.presence[bob] == .offline(lastSeen: nil), "seed \(seed)")
        #expect(ada.session?.presence[eve] != .offline(lastSeen: nil), "seed \(seed)")
        #expect(world.propose(.setLastSeenHidden(user: bob, hidden: false)) == .done)
        ada.session?.disconnect()
        #expect(world.run(4_000) { ada.session?.presence.count == 2 }, "seed \(seed)")
        #expect(ada.session?.presence[bob] != .offline(lastSeen: nil), "seed \(seed)")
    }

    /// The users of a node that died are offline, once it is known to be dead and the debounce is over; who comes back
    /// elsewhere before was never away.
    @Test(arguments: World.seeds(2)) func aNodeDies(seed: UInt64) throws {
        let world = try World(seed: seed)
        _ = try world.conversation(.group, "ada", "bob", "eve")
        let (bob, eve) = (try world.user("bob"), try world.user("eve"))
        let ada = try world.device("ada", "phone", at: world.node(1))
        _ = try world.device("bob", "phone", at: world.node(3)) { $0.reconnects = false }
        let back = try world.device("eve", "phone", at: world.node(3))
        ada.watch([bob, eve])
        #expect(world.run(1_000) { ada.session?.presence == [bob: .online, eve: .online] }, "seed \(seed)")
        let session = try #require(ada.session)
        let told = session.frames.count
        world.cluster.kill(world.node(3))
        back.connect(to: world.node(2))
        #expect(world.run(20_000) { session.presence[bob]?.isOnline == false }, "seed \(seed)")
        #expect(session.presence[eve] == .online && session.frames.count == told + 1, "seed \(seed)")
    }

    /// Messages go first; what changes meanwhile is told once, as it is in the end.
    @Test(arguments: World.seeds(2)) func aSocketWithoutRoomIsToldNothing(seed: UInt64) throws {
        let world = try World(seed: seed)
        _ = try world.conversation(.group, "ada", "bob")
        let bob = try world.user("bob")
        let ada = try world.device("ada", "phone", at: world.node(1))
        ada.watch([bob])
        #expect(world.run(6_000) { ada.session?.presence[bob]?.isOnline == false }, "seed \(seed)")
        let session = try #require(ada.session)
        let told = session.frames.count
        session.setWritable(false)
        let phone = try world.device("bob", "phone", at: world.node(2)) { $0.reconnects = false }
        world.run(1_000)
        phone.disconnect()
        world.run(5_000)
        phone.connect(to: world.node(3))
        world.run(1_000)
        #expect(session.frames.count == told, "seed \(seed)")
        session.setWritable(true)
        #expect(world.run(500) { session.presence[bob] == .online }, "seed \(seed)")
        #expect(session.frames.count == told + 1, "seed \(seed)")
    }

    /// Who leaves the last common conversation is offline, to those he left, at the next look.
    @Test(arguments: World.seeds(2)) func aSharedConversationEnds(seed: UInt64) throws {
        let world = try World(seed: seed, nodes: 4, replication: 3) { $0.timing.presenceRecheckSeconds = 20 }
        let group = try world.conversation(.group, "ada", "bob", "eve")
        let (bob, eve) = (try world.user("bob"), try world.user("eve"))
        let ada = try world.device("ada", "phone", at: world.node(1))
        try world.device("bob", "phone", at: world.node(2))
        try world.device("eve", "phone", at: world.node(3))
        ada.watch([bob, eve])
        #expect(world.run(1_000) { ada.session?.presence == [bob: .online, eve: .online] }, "seed \(seed)")
        #expect(try world.change(group, by: "bob", .remove, "bob") == .done)
        #expect(world.run(21_000) { ada.session?.presence[bob] == .offline(lastSeen: nil) }, "seed \(seed)")
        #expect(ada.session?.presence[eve] == .online, "seed \(seed)")
    }

    @Test(arguments: World.seeds(1)) func aListHasABound(seed: UInt64) throws {
        let world = try World(seed: seed) { $0.limits.maxPresenceSubscriptions = 2 }
        _ = try world.conversation(.group, "ada", "bob", "eve")
        let users = [try world.user("ada"), try world.user("bob"), try world.user("eve")]
        let ada = try world.device("ada", "phone")
        ada.watch(users)
        #expect(world.run(1_000) { ada.session?.errors.map(\.code) == [.invalidField] }, "seed \(seed)")
        ada.watch(Array(users.prefix(2)))
        #expect(world.run(6_000) { ada.session?.presence.count == 2 }, "seed \(seed)")
        #expect(ada.session?.presence[users[0]] == .online, "seed \(seed): oneself may be watched")
    }
}
