import NIOCore
import RoostModel
import RoostNode
import RoostProtocol
import RoostSimulation
import Testing

/// Tokens that end while sessions live, and the keys that sign them.
@Suite struct TokenTests {
    private func token(_ number: UInt64, generation: UInt64 = 0) -> TokenStamp {
        TokenStamp(id: UUID128(high: 7, low: number), generation: generation, expires: 100_000_000_000)
    }

    private func revoke(_ world: World, _ user: UserID, _ what: TokenRevocation, at node: NodeID? = nil) {
        #expect(world.propose(.revokeTokens(user: user, what), at: node) == .done, "seed \(world.seed)")
    }

    /// Wherever it is, the session of a token that was logged out ends within a second, and no other does.
    @Test(arguments: World.seeds(3)) func aLogoutEndsTheSessionsOfItsToken(seed: UInt64) throws {
        let world = try World(seed: seed, nodes: 5, replication: 3)
        let bob = try world.user("bob")
        let devices = try (1...5).map { number in
            try world.device("bob", "d\(number)", at: world.node(number)) {
                $0.reconnects = false
                $0.token = token(number <= 3 ? 1 : 2)
            }
        }
        let mine = try world.device("ada", "phone") { $0.token = token(1) }
        revoke(world, bob, .token(token(1)))
        world.run(1_000)
        #expect(devices.map(\.closes) == [[4401], [4401], [4401], [], []], "seed \(seed)")
        #expect(mine.isConnected, "seed \(seed)")
        let late = try world.device("bob", "late", waits: false) {
            $0.reconnects = false
            $0.token = token(1)
        }
        world.run(3_000)
        #expect(late.sessions.isEmpty && late.refusals == 1, "seed \(seed)")
        revoke(world, bob, .all)
        world.run(1_000)
        #expect(devices.allSatisfy { $0.closes == [4401] }, "seed \(seed)")
    }

    /// News that got lost comes with the link.
    @Test(arguments: World.seeds(3)) func aLogoutReachesASessionBehindACut(seed: UInt64) throws {
        let world = try World(seed: seed, nodes: 5, replication: 1)
        let bob = try world.user("bob")
        let partition = PartitionID(of: bob.uuid, count: world.cluster.configuration.partitions)
        let leader = try #require(world.cluster.leader(of: partition))
        let away = try #require(world.cluster.nodeIDs.first { $0 != leader })
        let device = try world.device("bob", "phone", at: away) {
            $0.reconnects = false
            $0.token = token(1)
        }
        for other in world.cluster.nodeIDs where other != away { world.cluster.network.cut(away, other) }
        world.run(100)
        revoke(world, bob, .token(token(1)), at: leader)
        world.run(500)
        #expect(device.isConnected)
        for other in world.cluster.nodeIDs where other != away { world.cluster.network.heal(away, other) }
        #expect(world.run(3_000) { device.closes == [4401] }, "seed \(seed): \(device.closes)")
    }

    /// The device comes back as one never seen: what it had acknowledged is sent again.
    @Test(arguments: World.seeds(3)) func aRemovedDeviceStartsAnew(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.conversation(.group, "ada", "bob")
        let bob = try world.user("bob")
        let ada = try world.device("ada", "phone", at: world.node(1))
        let phone = try world.device("bob", "phone", at: world.node(2)) {
            $0.reconnects = false
            $0.token = token(1)
        }
        let desk = try world.device("bob", "desk", at: world.node(3)) { $0.token = token(2) }
        for number in 0..<20 { ada.send(to: group, "m\(number)") }
        #expect(world.run(5_000) { phone.received[group]?.count == 20 }, "seed \(seed)")
        // Acknowledged a moment ago, and not in the log yet.
        world.run(10)
        revoke(world, bob, .device(DeviceID(validated: "phone"), keeping: token(2).id))
        world.run(1_000)
        #expect(phone.closes == [4401] && desk.isConnected, "seed \(seed): \(phone.closes)")
        let stale = try world.device("bob", "phone", waits: false) {
            $0.reconnects = false
            $0.token = token(1)
        }
        world.run(1_000)
        #expect(stale.refusals == 1, "seed \(seed)")
        world.run(3_000)
        let fresh = try world.device("bob", "phone", at: world.node(1)) { $0.token = token(3, generation: 1) }
        #expect(world.run(5_000) { fresh.session?.messages.count == 20 }, "seed \(seed)")
        #expect(desk.isConnected, "seed \(seed)")
        world.expectAgreement()
    }

    @Test(arguments: World.seeds(2)) func aSessionIsToldBeforeItsTokenExpiresAndMayHaveAnother(seed: UInt64) throws {
        let world = try World(seed: seed)
        let wall = Double(try #require(world.cluster.running[world.node(1)]).node.wall()) / 1e6
        let (fresh, revoked) = (token(2), token(9))
        let device = try world.device("ada", "phone", at: world.node(2)) {
            $0.reconnects = false
            $0.token = token(1)
            $0.tokenExpires = wall + 120
            $0.checkToken = { text in
                switch text {
                case "fresh": .holds(.init(stamp: fresh, issued: wall + 100, expires: wall + 300))
                case "revoked": .holds(.init(stamp: revoked, issued: wall + 100, expires: wall + 300))
                default: .refused("it is another user's")
                }
            }
        }
        func told() -> [Int64] {
            (device.session?.frames ?? []).compactMap {
                if case .tokenExpiring(let frame) = $0 { frame.expiresAt } else { nil }
            }
        }
        world.run(58_000)
        #expect(told().isEmpty, "seed \(seed)")
        // A minute before, since nobody said when it was issued and ten minutes are supposed.
        world.run(4_000)
        #expect(told() == [Int64(wall + 120)], "seed \(seed)")
        revoke(world, try world.user("ada"), .token(revoked))
        device.session?.renew("another's")
        world.run(1_000)
        device.session?.renew("revoked")
        world.run(1_000)
        #expect(device.session?.errors.map(\.code) == [.invalidField, .invalidField], "seed \(seed)")
        let id = MessageID(UUID128(high: 5, low: 5))
        device.session?.renew("fresh", id: id)
        world.run(1_000)
        let accepted = (device.session?.frames ?? []).compactMap {
            if case .tokenAccepted(let frame) = $0 { frame } else { nil }
        }
        #expect(accepted == [TokenAcceptedFrame(expiresAt: Int64(wall + 300), id: id)], "seed \(seed)")
        world.run(100_000)
        #expect(device.isConnected && told().count == 1, "seed \(seed)")
        // A tenth of its life before its end: twenty seconds.
        world.run(125_000)
        #expect(told() == [Int64(wall + 120), Int64(wall + 300)], "seed \(seed)")
        #expect(world.run(20_000) { device.closes == [4401] }, "seed \(seed)")
    }

    /// The token that a session took over ends it, the one that it had does not.
    @Test(arguments: World.seeds(2)) func aRenewedSessionHangsOnItsNewToken(seed: UInt64) throws {
        let world = try World(seed: seed)
        let fresh = token(2)
        let ada = try world.user("ada")
        let device = try world.device("ada", "phone", at: world.node(2)) {
            $0.reconnects = false
            $0.token = token(1)
            $0.checkToken = { _ in .holds(.init(stamp: fresh, issued: 0, expires: 1e11)) }
        }
        device.session?.renew("fresh")
        world.run(1_000)
        revoke(world, ada, .token(token(1)))
        world.run(1_000)
        #expect(device.isConnected, "seed \(seed)")
        revoke(world, ada, .token(fresh))
        world.run(1_000)
        #expect(device.closes == [4401], "seed \(seed)")
    }

    // MARK: Keys

    private func keys(_ world: World, at node: NodeID) -> [SigningKey] {
        guard let service = world.cluster.running[node]?.node else { return [] }
        return world.cluster.await { await service.signingKeys() } ?? []
    }

    /// A key signs once every node alive has it, replicas of partition 0 or not; the old one goes with its tokens.
    @Test(arguments: World.seeds(1)) func aKeySignsOnceEveryNodeHasIt(seed: UInt64) throws {
        let world = try World(seed: seed, nodes: 5, replication: 3) { $0.security.tokenLifetimeSeconds = 60 }
        let first = try #require(keys(world, at: world.node(1)).first)
        #expect(first.activeAt > 0)
        // Who is dead is not waited for.
        world.cluster.kill(world.node(5))
        world.run(10_000)
        let service = try #require(world.cluster.running[world.node(4)]).node
        let rotated = world.cluster.await { await service.rotateSigningKey() }
        guard case .success(let second)? = rotated else {
            Issue.record("seed \(seed): \(String(describing: rotated))")
            return
        }
        // Asked again before it signs, it is the same.
        #expect(world.cluster.await { await service.rotateSigningKey() } == .success(second), "seed \(seed)")
        let alive = (1...4).map { world.node($0) }
        var early: [NodeID] = []
        let done = world.run(5_000) {
            let held = alive.map { node in world.cluster.onNode(node) { $0.signingKeyList } ?? [] }
            let signs = held.contains { SigningKey.signing(among: $0)?.id == second.id }
            if signs { early += zip(alive, held).filter { !$0.1.contains { $0.id == second.id } }.map(\.0) }
            return held.allSatisfy { SigningKey.signing(among: $0)?.id == second.id && $0.count == 2 }
        }
        #expect(done && early.isEmpty, "seed \(seed): \(early)")
        try world.cluster.start(world.node(5))
        let back = world.run(15_000) {
            world.cluster.onNode(world.node(5)) { SigningKey.signing(among: $0.signingKeyList)?.id } == second.id
        }
        #expect(back, "seed \(seed)")
        world.run(600_000)
        let left = world.run(120_000) {
            world.cluster.nodeIDs.allSatisfy { node in
                world.cluster.onNode(node) { $0.signingKeyList.map(\.id) } == [second.id]
            }
        }
        #expect(left, "seed \(seed)")
    }
}
