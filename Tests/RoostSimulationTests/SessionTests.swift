import NIOCore
import RoostModel
import RoostNode
import RoostProtocol
import RoostSimulation
import Testing

/// One device's session: its window, its backlog, its end.
@Suite struct SessionTests {
    // MARK: Replacing and revoking

    @Test(arguments: World.seeds(3)) func aNewerSessionReplacesTheOlder(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone", at: world.node(1))
        // The same node, then another one.
        for node in [world.node(1), world.node(2)] {
            let second = try world.device("bob", "phone", at: world.node(1)) { $0.reconnects = false }
            let third = try world.device("bob", "phone", at: node)
            #expect(world.run(2_000) { second.closes == [4409] }, "seed \(seed): \(second.closes)")
            #expect(third.isConnected, "seed \(seed)")
            let before = third.received[group]?.count ?? 0
            ada.send(to: group, "to the newer one")
            #expect(world.run(2_000) { third.received[group]?.count == before + 1 }, "seed \(seed)")
            third.reconnects = false
            third.disconnect()
        }
        world.expectAgreement()
    }

    /// A node opens so many sessions a second; the rest comes again, and gets in.
    @Test(arguments: World.seeds(2)) func aHerdIsLetInAtItsRate(seed: UInt64) throws {
        let world = try World(seed: seed) { $0.limits.maxSessionOpensPerSecond = 10 }
        let devices = try (0..<30).map { try world.device("ada-\($0)", "phone", at: world.node(1), waits: false) }
        world.run(900)
        let soon = devices.count { $0.isConnected }
        #expect((7...12).contains(soon), "seed \(seed): \(soon)")
        #expect(devices.reduce(0) { $0 + $1.refusals } > 0, "seed \(seed)")
        #expect(world.run(6_000) { devices.allSatisfy(\.isCaughtUp) }, "seed \(seed)")
        world.expectAgreement()
    }

    /// Nobody waits for a turn at a node that drains.
    @Test(arguments: World.seeds(2)) func whoIsHeldHearsThatTheNodeDrains(seed: UInt64) throws {
        let world = try World(seed: seed) { $0.limits.maxSessionOpensPerSecond = 5 }
        let home = world.node(1)
        let devices = try (0..<5).map { number in
            try world.device("ada-\(number)", "phone", at: home, waits: false) { $0.reconnects = false }
        }
        world.run(100)
        #expect(devices.allSatisfy { $0.refusals == 0 }, "seed \(seed)")
        let held = devices.filter { !$0.isConnected }
        #expect(held.count >= 3, "seed \(seed): \(held.count)")
        world.cluster.ask(home) {
            await $0.drain()
        } then: {
        }
        world.run(50)
        #expect(held.allSatisfy { $0.refusals == 1 }, "seed \(seed): \(held.map(\.refusals))")
    }

    /// However sessions came about, the news that an account is disabled reaches them all, wherever they are.
    @Test(arguments: World.seeds(3)) func aDisabledAccountLosesItsSessions(seed: UInt64) throws {
        let world = try World(seed: seed, nodes: 5, replication: 3)
        let bob = try world.user("bob")
        var devices: [SimulationDevice] = []
        for number in 1...5 {
            for turn in 0...1 where turn == 0 || number % 2 == 0 {
                // The second replaces the first on the same node.
                let device = try world.device("bob", "d\(number)", at: world.node(number)) { $0.reconnects = false }
                if turn == 1 { world.run(100) { devices.last?.isConnected == false } }
                devices.append(device)
            }
        }
        let other = try world.device("ada", "phone")
        #expect(world.propose(.setAccountDisabled(user: bob, disabled: true)) == .done, "seed \(seed)")
        world.run(1_000)
        for device in devices {
            #expect(device.closes == [4401] || device.closes == [4409], "seed \(seed): \(device.closes)")
        }
        #expect(devices.count { $0.closes == [4401] } == 5, "seed \(seed)")
        #expect(other.isConnected, "seed \(seed)")
        let late = try world.device("bob", "late", waits: false) { $0.reconnects = false }
        world.run(3_000)
        #expect(late.sessions.isEmpty && late.refusals == 1, "seed \(seed)")
        let here = world.cluster.nodeIDs.reduce(0) { sum, id in
            sum + (world.cluster.onNode(id) { $0.sessionCount } ?? 0)
        }
        #expect(here == 1, "seed \(seed)")
    }

    /// Whatever the session does meanwhile, it lives no longer than its token.
    @Test(arguments: World.seeds(2)) func aSessionEndsWithItsToken(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.conversation(.group, "ada", "bob")
        let wall = try #require(world.cluster.running[world.node(1)]).node.wall()
        let ada = try world.device("ada", "phone", at: world.node(2)) {
            $0.reconnects = false
            // Neither a multiple of the heartbeat nor below it.
            $0.tokenExpires = Double(wall) / 1e6 + 70.5
        }
        let bob = try world.device("bob", "phone")
        world.run(69_000)
        let sent = ada.send(to: group, "the last one")
        #expect(world.run(1_000) { ada.accepted[sent] != nil }, "seed \(seed)")
        #expect(ada.isConnected, "seed \(seed)")
        #expect(world.run(2_000) { ada.closes == [4401] }, "seed \(seed): \(ada.closes)")
        #expect(bob.isConnected, "seed \(seed)")
    }

    /// A link breaks just when the news is on its way.
    @Test(arguments: World.seeds(3)) func aDisabledAccountLosesItsSessionsBehindACut(seed: UInt64) throws {
        let world = try World(seed: seed, nodes: 5, replication: 1)
        let bob = try world.user("bob")
        let partition = PartitionID(of: bob.uuid, count: world.cluster.configuration.partitions)
        let leader = try #require(world.cluster.leader(of: partition))
        let away = try #require(world.cluster.nodeIDs.first { $0 != leader })
        let device = try world.device("bob", "phone", at: away) { $0.reconnects = false }
        for other in world.cluster.nodeIDs where other != away { world.cluster.network.cut(away, other) }
        world.run(100)
        #expect(world.propose(.setAccountDisabled(user: bob, disabled: true), at: leader) == .done, "seed \(seed)")
        world.run(500)
        #expect(device.isConnected)
        for other in world.cluster.nodeIDs where other != away { world.cluster.network.heal(away, other) }
        #expect(world.run(3_000) { device.closes == [4401] }, "seed \(seed): \(device.closes)")
    }

    /// A session of a user's phone at the first node, before it begins; nil, and an issue, where it is refused.
    private func admitted(_ user: UserID, clientAcks: Bool, in world: World) throws -> (any PendingSession)? {
        let node = try #require(world.cluster.running[world.node(1)]).node
        let request = SessionRequest(
            user: user, device: try #require(DeviceID("phone")), start: .all, modern: true, clientAcks: clientAcks,
            tokenExpires: 1e11)
        guard case .success(let pending)? = world.cluster.await({ await node.openSession(request) }) else {
            Issue.record("seed \(world.seed): refused")
            return nil
        }
        return pending
    }

    /// The account is disabled after its session was admitted, and before it begins.
    @Test(arguments: World.seeds(3)) func aDisabledAccountLosesASessionNotYetBegun(seed: UInt64) throws {
        let world = try World(seed: seed)
        let bob = try world.user("bob")
        guard let pending = try admitted(bob, clientAcks: true, in: world) else { return }
        #expect(world.propose(.setAccountDisabled(user: bob, disabled: true)) == .done, "seed \(seed)")
        world.run(1_000)
        let session = SimulationSession(executor: world.cluster.executor)
        session.attach(pending)
        #expect(world.run(2_000) { session.closeCode == 4401 }, "seed \(seed)")
        #expect(world.cluster.onNode(world.node(1)) { $0.sessionCount } == 0, "seed \(seed)")
    }

    // MARK: Rates

    /// Who sends too fast is told when to come again, and loses nothing by it; his other devices share his rate.
    @Test(arguments: World.seeds(2)) func aDeviceSendsAtItsRate(seed: UInt64) throws {
        let world = try World(seed: seed) {
            $0.limits.messagesPerSecondDevice = 5
            $0.limits.messagesPerSecondUser = 8
        }
        let group = try world.conversation(.group, "ada", "bob")
        let phone = try world.device("ada", "phone", at: world.node(1))
        let desk = try world.device("ada", "desk", at: world.node(1))
        let bob = try world.device("bob", "phone", at: world.node(2))
        for number in 0..<100 {
            phone.send(to: group, "p\(number)")
            desk.send(to: group, "d\(number)")
        }
        world.run(1_000)
        let atOnce = phone.accepted.count + desk.accepted.count
        #expect((60...95).contains(atOnce), "seed \(seed): \(atOnce)")
        let limited = [phone, desk].flatMap { $0.session?.errors ?? [] }.filter { $0.code == .rateLimited }
        #expect(!limited.isEmpty && limited.allSatisfy { $0.retryAfterMilliseconds ?? 0 > 0 }, "seed \(seed)")
        #expect(world.run(60_000) { phone.outbox.isEmpty && desk.outbox.isEmpty }, "seed \(seed)")
        #expect(world.run(5_000) { bob.received[group]?.count == 200 }, "seed \(seed)")
        #expect(phone.isConnected && desk.isConnected, "seed \(seed)")
        world.expectAgreement()
    }

    /// A client that does not heed the answers is hung up on.
    @Test(arguments: World.seeds(1)) func whoNeverHeedsIsHungUpOn(seed: UInt64) throws {
        let world = try World(seed: seed) { $0.limits.messagesPerSecondDevice = 1 }
        let group = try world.conversation(.group, "ada", "bob")
        let device = try world.device("ada", "phone", at: world.node(1)) { $0.reconnects = false }
        let session = try #require(device.session)
        for round in 0..<60 where session.closeCode == nil {
            session.send(
                (0..<250).map { number in
                    ClientSend(
                        id: MessageID(UUID128(high: UInt64(round), low: UInt64(number + 1))),
                        conversation: ConversationID(UUID128(high: group.uuid.high, low: UInt64(round * 250 + number))),
                        content: ByteBuffer(string: "1"))
                })
            world.run(1)
        }
        #expect(world.run(1_000) { session.closeCode == 4429 }, "seed \(seed)")
    }

    /// One pong may be for several pings (RFC 6455, 5.5.3): of deliveries, of refusals, of the heartbeat.
    @Test(arguments: World.seeds(4)) func aClientThatAnswersTheLastPingOnly(seed: UInt64) throws {
        let world = try World(seed: seed) {
            $0.limits.messagesPerSecondDevice = 2
            $0.limits.window = 16
            $0.timing.heartbeatSeconds = 1
        }
        let group = try world.conversation(.group, "ada", "bob", "cyd")
        let bob = try world.user("bob")
        guard let pending = try admitted(bob, clientAcks: false, in: world) else { return }
        let session = SimulationSession(executor: world.cluster.executor)
        session.acknowledges = false
        session.answersLastPingOnly = true
        session.attach(pending)
        #expect(world.run(5_000) { session.isCaughtUp }, "seed \(seed)")
        let ids = (0..<60).map { _ in MessageID(UUID128.version4(using: &world.generator)) }
        func frame(_ id: MessageID) -> ClientSend {
            ClientSend(id: id, conversation: group, content: ByteBuffer(string: "1"))
        }
        // Refusals and deliveries at once.
        for (round, name) in ["ada", "cyd"].enumerated() {
            let device = try world.device(name, "phone", at: world.node(2 + round))
            for number in 0..<20 {
                device.send(to: group, "\(number)")
                session.send([frame(ids[round * 20 + number])])
                world.run(7)
            }
        }
        #expect(!session.errors.isEmpty && session.errors.allSatisfy { $0.code == .rateLimited }, "seed \(seed)")
        #expect(world.run(30_000) { session.messages.count == 40 }, "seed \(seed): \(session.messages.count)")
        // One that never sends again what was refused is not shut out.
        world.run(12_000)
        session.send([frame(ids[59])])
        #expect(world.run(3_000) { session.accepted.contains { $0.id == ids[59] } }, "seed \(seed)")
        #expect(session.closeCode == nil && session.breaches.isEmpty, "seed \(seed): \(session.breaches)")
    }

    // MARK: The window

    @Test(arguments: World.seeds(3)) func oneThatNeverAcknowledgesStopsAtTheWindow(seed: UInt64) throws {
        let world = try World(seed: seed) { $0.limits.window = 32 }
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone")
        let bob = try world.device("bob", "phone") { $0.acknowledgeAfter = nil }
        for number in 0..<150 {
            ada.send(to: group, "m\(number)")
            world.run(2)
        }
        #expect(world.run(10_000) { ada.outbox.isEmpty }, "seed \(seed)")
        world.run(2_000)
        #expect(bob.session?.messages.map(\.seq) == Array(1...32), "seed \(seed)")
        // It is still there, and sends.
        let sent = bob.send(to: group, "still here")
        #expect(world.run(2_000) { bob.accepted[sent] != nil }, "seed \(seed)")
        // Connecting again, to any node, it gets all again, in order.
        for number in 1...3 {
            bob.connect(to: world.node(number))
            #expect(
                world.run(10_000) { bob.session?.messages.count == 32 && bob.home == world.node(number) },
                "seed \(seed): \(bob.summary)")
            world.run(1_000)
            #expect(bob.session?.messages.map(\.seq) == Array(1...32), "seed \(seed)")
            #expect(bob.session?.isCaughtUp == false, "seed \(seed)")
        }
        // Once it acknowledges, by and by, the rest follows; its own message stays out.
        while bob.received[group]?.count ?? 0 < 150 && world.cluster.executor.now < 120_000_000_000 {
            bob.session?.acknowledgeAll()
            world.run(50)
        }
        world.expectWhole()
        #expect(bob.session?.isCaughtUp == true && bob.session?.caughtUps == 1, "seed \(seed)")
    }

    /// What one device sent and another of the same user sends again is no message of the other: it is delivered to it,
    /// even if the answer comes before the stream is open again.
    @Test(arguments: World.seeds(12)) func whatAnotherDeviceSentIsDelivered(seed: UInt64) throws {
        let world = try World(seed: seed, partitions: 1)
        let group = try world.conversation(.group, "ada", "bob")
        let leader = try #require(world.cluster.leader(of: 0))
        let away = try #require(world.cluster.nodeIDs.first { $0 != leader })
        let phone = try world.device("ada", "phone", at: leader)
        let desk = try world.device("ada", "desk", at: away)
        phone.send(to: group, "first")
        #expect(world.run(5_000) { desk.received[group]?.count == 1 }, "seed \(seed)")
        world.cluster.pause(away)
        let id = phone.send(to: group, "second")
        #expect(world.run(3_000) { phone.accepted[id] != nil }, "seed \(seed)")
        let answer = try #require(phone.accepted[id])
        let sent = try #require(phone.sent.last)
        desk.repeatSend(sent.send, answered: answer)
        world.run(6_000)
        world.cluster.resume(away)
        world.run(3_000)
        phone.send(to: group, "third")
        world.expectWhole()
        #expect(desk.received[group]?.map(\.seq) == [1, 2, 3], "seed \(seed)")
    }

    @Test(arguments: World.seeds(3)) func aSlowOneGetsEverything(seed: UInt64) throws {
        let world = try World(seed: seed) { $0.limits.window = 16 }
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone")
        let channel = try world.conversation(.channel, "ada", "bob")
        try world.device("bob", "phone") { $0.acknowledgeAfter = 50_000_000...900_000_000 }
        let fast = try world.device("bob", "desk")
        for number in 0..<300 {
            ada.send(to: number % 7 == 0 ? channel : group, "m\(number)")
            if number % 9 == 0 { fast.send(to: group, "b\(number)") }
            world.run(2)
        }
        world.expectWhole()
    }

    // MARK: Where a device starts

    @Test(arguments: World.seeds(3)) func aBacklogIsReadAtAnyNode(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.conversation(.group, "ada", "bob", "cyd")
        let ada = try world.device("ada", "phone")
        for number in 0..<200 {
            ada.send(to: group, "m\(number)")
            if number % 4 == 0 { ada.send(toUser: "bob", "d\(number)") }
            world.run(1)
        }
        #expect(world.run(10_000) { ada.outbox.isEmpty }, "seed \(seed)")
        for (number, name) in ["bob", "cyd"].enumerated() {
            for node in 1...3 {
                let device = try world.device(name, "at\(node)", at: world.node(node))
                // Caught up means that all of it was written before.
                #expect(device.received.values.reduce(0) { $0 + $1.count } == (number == 0 ? 250 : 200), "seed \(seed)")
            }
        }
        world.expectWhole()
    }

    @Test(arguments: World.seeds(3)) func aNewDeviceStartsWhereItAsks(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone")
        func send(_ label: String) {
            for number in 0..<5 { ada.send(to: group, "\(label)\(number)") }
            #expect(world.run(5_000) { ada.outbox.isEmpty }, "seed \(seed)")
        }
        send("old")
        world.run(30_000)
        let middle = try #require(world.cluster.running[world.node(1)]).node.wall()
        send("middle")
        world.run(30_000)
        let now = try world.device("bob", "now") { $0.start = .now }
        let since = try world.device("bob", "since") { $0.start = .at(Double(middle) / 1e6) }
        let all = try world.device("bob", "all")
        send("new")
        #expect(world.run(5_000) { all.received[group]?.count == 15 }, "seed \(seed)")
        world.run(500)
        #expect(now.received[group]?.map(\.seq) == Array(11...15), "seed \(seed)")
        #expect(since.received[group]?.map(\.seq) == Array(6...15), "seed \(seed)")
        // The start is that of the device's first appearance, whatever it asks for later.
        world.run(3_000)
        now.start = .all
        now.connect(to: world.node(3))
        #expect(world.run(5_000) { now.sessions.count == 2 && now.isCaughtUp }, "seed \(seed)")
        world.run(500)
        #expect(now.received[group]?.map(\.seq) == Array(11...15), "seed \(seed)")
        send("newer")
        #expect(world.run(5_000) { now.received[group]?.map(\.seq) == Array(11...20) }, "seed \(seed)")
    }

    // MARK: Sending

    /// One refused without an entry in the log must not hold up what was sent right behind it.
    @Test(arguments: World.seeds(4)) func aRefusedSendHoldsNothingUp(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone")
        try world.device("bob", "phone")
        let taken = ada.send(to: group, "first")
        #expect(world.run(5_000) { ada.accepted[taken] != nil }, "seed \(seed)")
        let session = try #require(ada.session)
        let ids = (0..<4).map { _ in MessageID(UUID128.version4(using: &world.generator)) }
        func frame(_ id: MessageID, _ text: String) -> ClientSend {
            ClientSend(id: id, conversation: group, content: ByteBuffer(string: "\"\(text)\""))
        }
        session.send([
            frame(taken, "not the first"), frame(ids[0], "a"), frame(ids[1], "b"), frame(taken, "nor this"),
            frame(ids[2], "c"), frame(ids[3], "d"),
        ])
        let done = world.run(3_000) { ids.allSatisfy { id in session.accepted.contains { $0.id == id } } }
        #expect(done, "seed \(seed): \(session.accepted.count) accepted, \(session.errors)")
        #expect(session.errors.map(\.code) == [.idReused, .idReused], "seed \(seed)")
        let seqs = ids.compactMap { id in session.accepted.first { $0.id == id }?.seq }
        #expect(seqs == [2, 3, 4, 5], "seed \(seed)")
    }

    @Test(arguments: World.seeds(3)) func sendsToUsersMakeOneDirectConversation(seed: UInt64) throws {
        let world = try World(seed: seed)
        try world.user("bob")
        let ada = try world.device("ada", "phone", at: world.node(1))
        let bob = try world.device("bob", "phone", at: world.node(2))
        for number in 0..<10 {
            ada.send(toUser: "Bob", "a\(number)")
            bob.send(toUser: "ada", "b\(number)")
            ada.send(toUser: "ada", "self\(number)")
        }
        let nobody = ada.send(toUser: "nobody", "hello?")
        world.expectWhole()
        #expect(ada.refused[nobody] == .unknownUser, "seed \(seed)")
        #expect(ada.received.count == 1 && bob.received.count == 1, "seed \(seed)")
        #expect(bob.received.values.first?.map { String(buffer: $0.content) } == (0..<10).map { "\"a\($0)\"" })
    }
}
