import NIOCore
import RoostModel
import RoostNode
import RoostProtocol
import RoostSimulation
import Testing

/// Wall clocks that are wrong: nothing is lost, doubled or out of order, and stamps follow the majority.
@Suite struct ClockTests {
    private static let hour: Int64 = 3_600_000_000

    @Test(arguments: World.seeds(2), [-hour, hour]) func aClockThatJumps(seed: UInt64, jump: Int64) throws {
        let world = try World(seed: seed)
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone", at: world.node(1))
        let bob = try world.device("bob", "phone", at: world.node(2))
        func talk(_ milliseconds: Int) {
            let end = world.cluster.executor.now + UInt64(milliseconds) * 1_000_000
            while world.cluster.executor.now < end {
                ada.send(to: group, "a")
                bob.send(to: group, "b")
                world.run(world.random(5...60))
            }
        }
        world.run(8_000)
        talk(1_000)
        let leader = try #require(world.cluster.leader(of: world.cluster.partition(of: group)))
        world.cluster.running[leader]?.clock.wallOffset += jump
        talk(3_000)
        #expect(world.cluster.leader(of: world.cluster.partition(of: group)) == leader, "seed \(seed)")
        let skew = try #require(world.cluster.onNode(leader) { $0.clockSkew })
        #expect(abs(skew - jump) < 1_000_000, "seed \(seed): skew \(skew)")
        world.cluster.running[leader]?.clock.wallOffset -= jump
        talk(1_000)
        world.expectWhole()
        // By the clock of the majority, within the time on the way.
        let now = SimulationClock.begin + Int64(world.cluster.executor.now / 1_000)
        let stamps = bob.received[group]?.map(\.sentAt) ?? []
        #expect(stamps.count > 50)
        #expect(stamps.allSatisfy { $0 > SimulationClock.begin && $0 < now + 5_000_000 }, "seed \(seed)")
        #expect(zip(stamps, stamps.dropFirst()).allSatisfy { $0 < $1 }, "seed \(seed): sent_at runs backwards")
    }

    /// One that starts an hour ahead, and leads.
    @Test(arguments: World.seeds(2)) func aClockThatWasWrongFromTheStart(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone", at: world.node(1))
        let leader = try #require(world.cluster.leader(of: world.cluster.partition(of: group)))
        world.cluster.kill(leader)
        try world.cluster.start(leader)
        world.cluster.running[leader]?.clock.wallOffset = Self.hour
        for _ in 0..<300 {
            ada.send(to: group, "a")
            world.run(50)
        }
        world.expectWhole()
        let end = SimulationClock.begin + Int64(world.cluster.executor.now / 1_000)
        #expect(ada.accepted.values.allSatisfy { $0.sentAt < end + 5_000_000 }, "seed \(seed)")
    }

    /// What is old is told by the clocks of the majority: one that is ten days ahead removes nothing. Where that rule is
    /// broken on purpose, it does.
    @Test(arguments: [[], .floorByLocalClock] as [PlantedFaults])
    func aWrongClockRemovesNothing(planted: PlantedFaults) throws {
        let world = try World(seed: 3) {
            $0.durability.retentionSeconds = 86_400
            $0.planted = planted
        }
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone", at: world.node(1))
        try world.device("bob", "phone", at: world.node(2))
        world.run(8_000)
        for _ in 0..<10 { ada.send(to: group, "a") }
        world.run(3_000)
        let leader = try #require(world.cluster.leader(of: world.cluster.partition(of: group)))
        world.cluster.setWallOffset(leader, 240 * Self.hour)
        world.run(20_000)
        #expect(world.cluster.leader(of: world.cluster.partition(of: group)) == leader)
        let answer = world.read(
            .history(
                conversation: group, user: try world.user("ada"), before: nil, after: 0, skip: 0, limit: 50))
        guard case .messages(let messages)? = answer else {
            Issue.record("\(String(describing: answer))")
            return
        }
        #expect(messages.count == (planted.isEmpty ? 10 : 0))
    }
}
