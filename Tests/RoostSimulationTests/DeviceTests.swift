import NIOCore
import RoostModel
import RoostNode
import RoostProtocol
import RoostSimulation
import Testing

/// Devices over their lives: where they start, and when they are given up.
@Suite struct DeviceTests {
    /// A time is exact, also where it is only just past and the tables don't know the messages yet.
    @Test(arguments: World.seeds(4)) func aStartOfJustNowIsExact(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone")
        func send(_ label: String) {
            for number in 0..<5 { ada.send(to: group, "\(label)\(number)") }
            #expect(world.run(5_000) { ada.outbox.isEmpty }, "seed \(seed)")
        }
        send("old")
        world.run(1)
        let middle = try #require(world.cluster.running[world.node(1)]).node.wall()
        world.run(1)
        send("new")
        let bob = try world.device("bob", "phone") { $0.start = .at(Double(middle) / 1e6) }
        #expect(bob.received[group]?.map(\.seq) == Array(6...10), "seed \(seed)")
        send("later")
        #expect(world.run(5_000) { bob.received[group]?.count == 10 }, "seed \(seed)")
        world.expectWhole()
    }

    @Test(arguments: World.seeds(2)) func oneNotSeenForLongMakesRoom(seed: UInt64) throws {
        let world = try World(seed: seed) {
            $0.limits.maxDevicesPerUser = 2
            $0.limits.deviceExpirySeconds = 60
        }
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone")
        let first = try world.device("bob", "first")
        let second = try world.device("bob", "second") { $0.reconnects = false }
        ada.send(to: group, "hello")
        #expect(world.run(5_000) { first.received[group]?.count == 1 && second.received[group]?.count == 1 })
        world.run(3_000)
        second.disconnect()
        let third = try world.device("bob", "third", waits: false)
        world.run(40_000)
        #expect(!third.isConnected && third.refusals > 0, "seed \(seed): not before its time")
        // The leaders change meanwhile: what was seen stands in the log.
        world.cluster.kill(world.node(1))
        world.run(5_000)
        try world.cluster.start(world.node(1))
        #expect(world.run(40_000) { third.isCaughtUp }, "seed \(seed): \(third.summary)")
        #expect(first.received[group]?.count == 1, "seed \(seed)")
        let bob = try world.user("bob")
        guard case .devices(let devices)? = world.read(.devices(bob)) else {
            Issue.record("seed \(seed): no devices")
            return
        }
        // The one that stayed connected all the time was never given up.
        #expect(devices.map(\.device.text) == ["first", "third"], "seed \(seed)")
        world.run(8_000)
        guard case .cursors(_, let cursors)? = world.read(.cursors(group)) else {
            Issue.record("seed \(seed): no cursors")
            return
        }
        #expect(cursors.filter { $0.user == bob }.map(\.device.text) == ["first", "third"], "seed \(seed)")
        world.expectAgreement()
    }

    /// Sessions that come one after the other, while the streams are being opened for the first of them.
    @Test(arguments: World.seeds(3)) func sessionsThatComeWhileStreamsOpen(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone", at: world.node(1))
        var devices: [SimulationDevice] = []
        for number in 0..<20 {
            devices.append(try world.device("bob", "d\(number)", at: world.node(2), waits: false))
            if number % 3 == 0 { world.run(1) }
        }
        #expect(world.run(1_000) { devices.allSatisfy(\.isCaughtUp) }, "seed \(seed)")
        ada.send(to: group, "to all")
        #expect(world.run(500) { devices.allSatisfy { $0.received[group]?.count == 1 } }, "seed \(seed)")
        world.expectWhole()
    }

    /// More sessions on one node than one frame carries, and a leader that dies.
    @Test func manySessionsOpenInParts() throws {
        let world = try World(seed: 1, partitions: 2) { $0.limits.maxDevicesPerUser = 1_024 }
        let group = try world.conversation(.group, "ada", "bob", "cyd", "dan")
        let ada = try world.device("ada", "phone", at: world.node(1))
        ada.send(to: group, "first")
        var devices: [SimulationDevice] = []
        for name in ["bob", "cyd", "dan"] {
            for number in 0..<200 {
                devices.append(try world.device(name, "d\(number)", at: world.node(2), waits: false))
            }
        }
        #expect(world.run(20_000) { devices.allSatisfy(\.isCaughtUp) })
        let leader = try #require(world.cluster.leader(of: world.cluster.partition(of: group)))
        if leader != world.node(2) {
            world.cluster.kill(leader)
            world.run(5_000)
            try world.cluster.start(leader)
        }
        ada.send(to: group, "second")
        #expect(world.run(10_000) { devices.allSatisfy { $0.received[group]?.count == 2 } })
        #expect(devices.allSatisfy { $0.sessions.count == 1 })
        #expect(world.cluster.checkInvariants().isEmpty)
    }

    /// Acknowledgements alone are worth no sync of their own; a read that comes behind them is.
    @Test(arguments: World.seeds(2)) func aReadDoesNotWaitForTheSyncOfCursors(seed: UInt64) throws {
        let world = try World(seed: seed, partitions: 1)
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone", at: world.node(1))
        try world.device("bob", "phone", at: world.node(2))
        let user = try world.user("ada")
        for round in 0..<6 {
            ada.send(to: group, "a")
            for _ in 0..<20 {
                world.run(100)
                let asked = world.cluster.executor.now
                #expect(world.read(.account(user)) != nil)
                let took = (world.cluster.executor.now - asked) / 1_000_000
                #expect(took < 500, "seed \(seed), round \(round): \(took) ms")
            }
        }
    }
}
