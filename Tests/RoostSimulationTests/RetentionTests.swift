import NIOCore
import RoostModel
import RoostNode
import RoostProtocol
import RoostSimulation
import Synchronization
import Testing

/// Old messages go, on all replicas alike, and nobody misses what he was owed.
@Suite struct RetentionTests {
    private func world(_ seed: UInt64, expiry: Int) throws -> World {
        try World(seed: seed) {
            $0.limits.deviceExpirySeconds = expiry
            $0.durability.retentionSeconds = 120
            $0.durability.idRetentionSeconds = 60
        }
    }

    private func skips(_ session: SimulationSession?) -> [SkippedFrame] {
        (session?.frames ?? []).compactMap { if case .skipped(let frame) = $0 { frame } else { nil } }
    }

    /// Looks every half second of virtual time: it reads all disks.
    private func isEmptied(_ world: World, _ group: ConversationID, seconds: Int) -> Bool {
        for _ in 0..<seconds * 2 {
            if world.cluster.storedSeqs(of: group) == [[], [], []] { return true }
            world.run(500)
        }
        return false
    }

    private func send(_ world: World, _ device: SimulationDevice, _ group: ConversationID, _ count: Int) {
        for number in 0..<count {
            device.send(to: group, "m\(number)")
            world.run(2)
        }
        #expect(world.run(5_000) { device.outbox.isEmpty }, "seed \(world.seed)")
    }

    /// What is removed between the look at the floor and the reading of the rows is no end of what there is.
    @Test(arguments: World.seeds(3), [false, true])
    func aReadSeesNoEndInWhatIsRemovedMeanwhile(seed: UInt64, isHistory: Bool) throws {
        let world = try World(seed: seed)
        let group = try world.conversation(.group, "ada", "bob")
        world.run(5_000)
        let partition = world.cluster.partition(of: group)
        let leader = try #require(world.cluster.leader(of: partition))
        let ada = try world.device("ada", "phone", at: leader)
        send(world, ada, group, 120)
        world.run(1_000)
        let node = try #require(world.cluster.running[leader]).node
        let user = try world.user("ada")
        world.cluster.changeDisk(leader) { $0.read = 50_000_000...60_000_000 }
        let request =
            isHistory
            ? ReadRequest.history(conversation: group, user: user, before: nil, after: 0, skip: 0, limit: 10)
            : .sync(user: user, since: 0, afterIndex: 0, conversations: [group], limit: 10)
        let answer = Mutex<ReadResponse?>(nil)
        world.cluster.spawn {
            await node.read(request, of: partition)
        } then: { found in
            answer.withLock { $0 = found }
        }
        world.run(10)
        #expect(
            world.propose(.raiseFloors([FloorRaise(conversation: group, seq: 100)]), at: leader) == .done,
            "seed \(seed)")
        #expect(world.run(5_000) { answer.withLock { $0 != nil } }, "seed \(seed)")
        switch answer.withLock({ $0 }) {
        case .rejected(.unavailable): break
        case .messages(let messages), .synced(let messages, _): #expect(messages.first?.seq == 101, "seed \(seed)")
        case let other: Issue.record("seed \(seed): \(String(describing: other))")
        }
        // Asked again it has all that is left.
        let again = world.cluster.await { await node.read(request, of: partition) }
        switch again {
        case .messages(let messages), .synced(let messages, _):
            #expect(messages.map(\.seq) == Array(101...110), "seed \(seed)")
        case let other: Issue.record("seed \(seed): \(String(describing: other))")
        }
    }

    @Test(arguments: World.seeds(2)) func oldMessagesGoOnAllReplicas(seed: UInt64) throws {
        let world = try world(seed, expiry: 60)
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone")
        let bob = try world.device("bob", "phone")
        let away = try world.device("bob", "away") { $0.reconnects = false }
        world.run(1_000)
        away.disconnect()
        send(world, ada, group, 20)
        #expect(world.run(5_000) { bob.received[group]?.count == 20 }, "seed \(seed)")
        world.run(100_000)
        #expect(
            world.cluster.storedSeqs(of: group) == Array(repeating: Array(1...20), count: 3), "seed \(seed): too early")
        send(world, ada, group, 3)
        // A leader that dies in between changes nothing.
        let leader = try #require(world.cluster.leader(of: world.cluster.partition(of: group)))
        world.cluster.kill(leader)
        world.run(10_000)
        try world.cluster.start(leader)
        world.run(30_000)
        let left = world.cluster.storedSeqs(of: group)
        #expect(left == Array(repeating: [21, 22, 23], count: 3), "seed \(seed): \(left)")
        #expect(bob.received[group]?.map(\.seq) == Array(1...23), "seed \(seed)")
        #expect(skips(bob.session).isEmpty, "seed \(seed)")
        world.expectAgreement()

        // Away for longer than the expiry: it is told what it lost, once, and gets the rest.
        away.reconnects = true
        away.connect()
        #expect(world.run(5_000) { away.isCaughtUp }, "seed \(seed)")
        #expect(skips(away.session) == [SkippedFrame(conversation: group, from: 1, to: 20)], "seed \(seed)")
        #expect(away.received[group]?.map(\.seq) == [21, 22, 23], "seed \(seed)")
        world.run(3_000)
        away.disconnect()
        #expect(world.run(5_000) { away.sessions.count == 3 && away.isCaughtUp }, "seed \(seed)")
        #expect(skips(away.session).isEmpty && away.breaches.isEmpty, "seed \(seed)")

        // Sent again within the time that ids are kept, it is the same message.
        let first = try #require(ada.sent.first)
        let session = try #require(ada.session)
        session.send([first.send])
        #expect(world.run(3_000) { session.accepted.last?.id == first.id }, "seed \(seed)")
        #expect(session.accepted.last?.seq == 1, "seed \(seed)")
        #expect(ada.accepted.count == 23, "seed \(seed)")
        world.expectAgreement()
    }

    /// A blank replica is filled from a log of which the retention has left little, and another one after it.
    @Test(arguments: World.seeds(2)) func aBlankReplicaIsFilledFromAStrippedLog(seed: UInt64) throws {
        let world = try world(seed, expiry: 60)
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone")
        let bob = try world.device("bob", "phone")
        send(world, ada, group, 40)
        #expect(world.run(5_000) { bob.received[group]?.count == 40 }, "seed \(seed)")
        #expect(isEmptied(world, group, seconds: 200), "seed \(seed): \(world.cluster.storedSeqs(of: group))")
        for node in world.cluster.nodeIDs {
            #expect(world.cluster.onNode(node) { $0.context.counters.messagesRemoved.value } == 40)
        }
        send(world, ada, group, 5)
        let first = try #require(ada.sent.first)
        let answered = try #require(ada.accepted[first.id])
        for id in world.cluster.nodeIDs.prefix(2) {
            try world.cluster.wipe(id)
            world.run(2_000)
            try world.cluster.start(id)
            #expect(world.run(30_000) { world.isFilled }, "seed \(seed): \(id) is not filled")
            world.run(2_000)
            let left = world.cluster.storedSeqs(of: group)
            #expect(left == Array(repeating: Array(41...45), count: 3), "seed \(seed): \(left)")
            world.expectAgreement()
        }
        // What was removed is still known by its id, and told as lost to who never had it.
        ada.repeatSend(first.send, answered: answered)
        let late = try world.device("bob", "late", at: world.node(1))
        #expect(skips(late.session) == [SkippedFrame(conversation: group, from: 1, to: 40)], "seed \(seed)")
        #expect(late.received[group]?.map(\.seq) == Array(41...45), "seed \(seed)")
        world.run(3_000)
        #expect(ada.breaches.isEmpty && late.breaches.isEmpty, "seed \(seed): \(ada.breaches)")
        world.expectAgreement()
    }

    /// Who is away for less than the expiry is waited for, however old the messages are.
    @Test(arguments: World.seeds(2)) func whatADeviceIsOwedStays(seed: UInt64) throws {
        let world = try world(seed, expiry: 600)
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone")
        let bob = try world.device("bob", "phone") { $0.reconnects = false }
        world.run(1_000)
        bob.disconnect()
        send(world, ada, group, 10)
        world.run(200_000)
        #expect(world.cluster.storedSeqs(of: group) == Array(repeating: Array(1...10), count: 3), "seed \(seed)")
        bob.reconnects = true
        bob.connect()
        #expect(world.run(5_000) { bob.received[group]?.count == 10 }, "seed \(seed)")
        #expect(skips(bob.session).isEmpty, "seed \(seed)")
        #expect(
            isEmptied(world, group, seconds: 30),
            "seed \(seed): \(world.cluster.storedSeqs(of: group))")
        // Nothing is left of them, and the conversation goes on where it was.
        send(world, ada, group, 2)
        #expect(world.run(5_000) { bob.received[group]?.map(\.seq) == Array(1...12) }, "seed \(seed)")
        world.expectAgreement()
        // A node that was blank of tables would come to the same: all start again from their disks.
        for id in world.cluster.nodeIDs { world.cluster.kill(id) }
        world.run(500)
        try world.cluster.startAll()
        #expect(world.run(20_000) { world.cluster.isServing && bob.isCaughtUp && ada.isCaughtUp }, "seed \(seed)")
        send(world, ada, group, 1)
        #expect(world.run(5_000) { bob.received[group]?.map(\.seq) == Array(1...13) }, "seed \(seed)")
        world.expectAgreement()
    }

    /// Nodes die and links break while everybody sends, and messages are old after ten seconds: all that a device was
    /// owed arrives, in order, and in the end nothing is left on any replica.
    @Test(arguments: World.seeds(2)) func nothingOwedIsRemovedInChaos(seed: UInt64) throws {
        let world = try World(seed: seed) {
            $0.limits.deviceExpirySeconds = 3_600
            $0.durability.retentionSeconds = 10
            $0.durability.idRetentionSeconds = 60
        }
        let group = try world.conversation(.group, "ada", "bob", "cyd")
        let devices = try ["ada", "bob", "cyd"].flatMap { name in
            [try world.device(name, "phone"), try world.device(name, "desk")]
        }
        for round in 0..<6 {
            let victim = world.node(world.random(1...3))
            if round % 2 == 0 {
                world.cluster.kill(victim)
            } else {
                for other in world.cluster.nodeIDs where other != victim { world.cluster.network.cut(victim, other) }
            }
            for number in 0..<30 {
                world.pick(devices)?.send(to: group, "m\(round).\(number)")
                if number % 10 == 0 { world.pick(devices)?.connect() }
                world.run(world.random(1...400))
            }
            if round % 2 == 0 {
                try world.cluster.start(victim)
            } else {
                for other in world.cluster.nodeIDs where other != victim { world.cluster.network.heal(victim, other) }
            }
            world.run(3_000)
        }
        let total = 6 * 30
        let done = world.run(60_000) { devices.allSatisfy { $0.outbox.isEmpty && $0.isCaughtUp } }
        #expect(done, "seed \(seed): \(devices.map(\.summary))")
        func complete(_ device: SimulationDevice) -> Bool {
            let own = device.accepted.values.map(\.seq)
            return Set(own).union((device.received[group] ?? []).map(\.seq)) == Set(1...UInt64(total))
        }
        for _ in 0..<60 where !devices.allSatisfy(complete) { world.run(500) }
        #expect(devices.allSatisfy(complete), "seed \(seed): \(devices.map(\.summary))")
        let told = devices.flatMap(\.sessions).flatMap { skips($0) }
        #expect(told.isEmpty && devices.flatMap(\.breaches).isEmpty, "seed \(seed): \(told)")
        #expect(isEmptied(world, group, seconds: 60), "seed \(seed): \(world.cluster.storedSeqs(of: group))")
        world.expectAgreement()
    }
}
