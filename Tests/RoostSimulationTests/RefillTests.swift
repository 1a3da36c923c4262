import NIOCore
import RoostModel
import RoostNode
import RoostProtocol
import RoostSimulation
import Testing

/// Disks are lost, one after the other: the nodes come back blank, are filled, and nothing accepted is missing.
@Suite struct RefillTests {
    /// Every disk of the founding is gone in the end; every message and account is still there.
    @Test(arguments: World.seeds(3)) func everyDiskInTurn(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.busy()
        for id in world.cluster.nodeIDs {
            world.load(group, milliseconds: 1_000)
            try world.cluster.wipe(id)
            world.load(group, milliseconds: world.random(0...2_000))
            try world.cluster.start(id)
            world.load(group, milliseconds: 1_000)
            #expect(world.run(30_000) { world.isFilled }, "seed \(seed): \(id) is not filled")
        }
        world.load(group, milliseconds: 500)
        for name in ["ada", "bob", "cyd"] {
            let found = world.read(.account(try world.user(name)))
            guard case .account? = found else {
                Issue.record("seed \(seed): \(name)'s account is gone: \(String(describing: found))")
                continue
            }
        }
        world.expectWhole()
    }

    /// Fifteen disks one after the other, with many partitions of which most are idle.
    @Test func manyDisksInARow() throws {
        let world = try World(seed: 1, partitions: 16)
        let group = try world.busy()
        for round in 0..<15 {
            let id = try #require(world.pick(world.cluster.nodeIDs))
            world.load(group, milliseconds: 200)
            try world.cluster.wipe(id)
            world.load(group, milliseconds: world.random(0...3_000))
            try world.cluster.start(id)
            #expect(world.run(30_000) { world.isFilled }, "round \(round): \(id) is not filled")
            world.run(world.random(0...6_000))
        }
        world.load(group, milliseconds: 500)
        world.expectWhole()
    }

    /// Its clock shows the second in which its former life began: the others tell it that this epoch is taken, also
    /// where it denies first that it is dead.
    @Test(arguments: World.seeds(3), [1_000, 8_000])
    func aBlankNodeDoesNotTakeItsFormerEpoch(seed: UInt64, milliseconds: Int) throws {
        let world = try World(seed: seed)
        _ = try world.busy()
        let lost = world.node(3)
        let ada = try world.device("ada", "tablet", at: lost)
        world.run(2_000)
        try world.cluster.wipe(lost)
        ada.connect(to: world.node(1))
        world.run(milliseconds)
        world.cluster.setWallOffset(lost, -Int64(world.cluster.executor.now / 1_000))
        try world.cluster.start(lost)
        #expect(world.run(30_000) { world.isFilled })
        try world.device("ada", "watch", at: lost)
        world.run(10_000)
        let truth = world.cluster.nodeIDs.flatMap { id in world.cluster.onNode(id) { $0.ownSessions() } ?? [] }.sorted()
        for id in world.cluster.nodeIDs {
            let view = (world.cluster.onNode(id) { $0.presenceView() } ?? []).sorted()
            #expect(view == truth, "seed \(seed): \(id)")
        }
        world.expectWhole()
    }

    /// A node hears late that another came back blank: as leader it takes the learner for lost, and must let it come
    /// back.
    @Test(arguments: World.seeds(3)) func aLinkThatIsOutOfDateShutsNobodyOut(seed: UInt64) throws {
        let world = try World(seed: seed, partitions: 16)
        let group = try world.busy()
        let (late, lost) = (world.node(1), world.node(3))
        // It leads nothing, and gets its leaderships back once it is there again.
        world.cluster.kill(late)
        world.load(group, milliseconds: 3_000)
        try world.cluster.start(late)
        #expect(world.run(10_000) { world.cluster.isServing })
        world.cluster.network.stall(late, lost)
        try world.cluster.wipe(lost)
        try world.cluster.start(lost)
        world.load(group, milliseconds: 4_500)
        world.cluster.network.heal(late, lost)
        #expect(world.run(30_000) { world.isFilled }, "seed \(seed): \(lost) is not filled")
        world.load(group, milliseconds: 500)
        world.expectWhole()
    }

    /// A blank node has no vote before it is filled: alone with one other it can't make that one a leader again.
    @Test(arguments: World.seeds(2)) func aBlankNodeDoesNotVote(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.busy()
        world.load(group, milliseconds: 500)
        let (lost, down, left) = (world.node(1), world.node(2), world.node(3))
        world.cluster.kill(down)
        try world.cluster.wipe(lost)
        try world.cluster.start(lost)
        world.run(10_000)
        for partition in 0..<world.cluster.configuration.partitions {
            let leads = world.cluster.onNode(left) { $0.leads(PartitionID(UInt16(partition))) }
            #expect(leads == false, "seed \(seed): \(left) leads \(partition) with a blank node's vote")
        }
        try world.cluster.start(down)
        #expect(world.run(30_000) { world.isFilled }, "seed \(seed)")
        world.load(group, milliseconds: 500)
        world.expectWhole()
    }

    /// Killed, or blank once more, in the middle of the filling.
    @Test(arguments: World.seeds(4)) func troubleWhileItIsFilled(seed: UInt64) throws {
        let world = try World(seed: seed) { $0.durability.catchUpBytesPerSecond = 65_536 }
        let group = try world.busy()
        world.load(group, milliseconds: 1_500)
        let lost = world.node(Int(seed % 3) + 1)
        try world.cluster.wipe(lost)
        for round in 0..<3 {
            try world.cluster.start(lost)
            world.load(group, milliseconds: world.random(100...1_500))
            switch (Int(seed) + round) % 3 {
            case 0: try world.cluster.wipe(lost)
            case 1: world.cluster.kill(lost)
            default:
                let other = world.pick(world.cluster.nodeIDs.filter { $0 != lost }) ?? lost
                world.cluster.kill(other)
                world.load(group, milliseconds: world.random(100...1_500))
                try world.cluster.start(other)
                world.cluster.kill(lost)
            }
        }
        try world.cluster.start(lost)
        #expect(world.run(60_000) { world.isFilled }, "seed \(seed)")
        world.load(group, milliseconds: 500)
        world.expectWhole()
    }
}
