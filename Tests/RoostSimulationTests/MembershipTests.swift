import NIOCore
import RoostModel
import RoostNode
import RoostProtocol
import RoostSimulation
import Testing

/// Nodes join, leave and are removed while everybody sends: nothing accepted is missing, nothing comes twice, and in the
/// end every replica is where the ring wants it.
@Suite struct MembershipTests {
    private func settle(_ world: World, _ group: ConversationID, _ what: String) {
        let end = world.cluster.executor.now + 120_000_000_000
        while !world.cluster.isSettled, world.cluster.executor.now < end { world.load(group, milliseconds: 500) }
        #expect(world.cluster.isSettled, "seed \(world.seed): \(what) does not end: \(world.cluster.unsettled())")
    }

    private func replicas(_ world: World, _ node: NodeID) -> Int {
        world.cluster.onNode(node) { $0.replicasWithVote } ?? 0
    }

    @Test(arguments: World.seeds(3)) func aNodeJoins(seed: UInt64) throws {
        let world = try World(seed: seed, partitions: 8)
        let group = try world.busy()
        world.load(group, milliseconds: 1_000)
        try world.cluster.join("node-4")
        #expect(world.run(10_000) { world.cluster.nodeIDs.contains("node-4") }, "seed \(seed)")
        settle(world, group, "joining")
        #expect(replicas(world, "node-4") > 0, "seed \(seed)")
        let all = world.cluster.nodeIDs.reduce(0) { $0 + replicas(world, $1) }
        #expect(all == 24, "seed \(seed)")
        try world.device("ada", "tablet", at: "node-4")
        world.load(group, milliseconds: 1_000)
        world.expectWhole()
    }

    @Test(arguments: World.seeds(3)) func aNodeLeaves(seed: UInt64) throws {
        let world = try World(seed: seed, nodes: 4, partitions: 8)
        let group = try world.busy()
        world.load(group, milliseconds: 1_000)
        let leaving = world.node(Int(seed % 4) + 1)
        world.cluster.leave(leaving)
        let end = world.cluster.executor.now + 120_000_000_000
        while world.cluster.nodeIDs.contains(leaving), world.cluster.executor.now < end {
            world.load(group, milliseconds: 500)
        }
        #expect(!world.cluster.nodeIDs.contains(leaving), "seed \(seed): \(leaving) does not go")
        settle(world, group, "leaving")
        world.load(group, milliseconds: 1_000)
        world.expectWhole()
        for id in world.cluster.nodeIDs { #expect(replicas(world, id) == 8, "seed \(seed)") }
    }

    /// A replica comes back to a node that had one before.
    @Test(arguments: World.seeds(3)) func thereAndBack(seed: UInt64) throws {
        let world = try World(seed: seed, partitions: 8)
        let group = try world.busy()
        for id in [NodeID("node-4"), "node-5"] {
            try world.cluster.join(id)
            world.run(10_000) { world.cluster.nodeIDs.contains(id) }
            settle(world, group, "joining of \(id)")
            world.cluster.leave(id)
            world.run(60_000) { !world.cluster.nodeIDs.contains(id) }
            settle(world, group, "leaving of \(id)")
        }
        for id in world.cluster.nodeIDs { world.cluster.kill(id) }
        try world.cluster.startAll()
        world.load(group, milliseconds: 3_000)
        world.expectWhole()
        for id in world.cluster.nodeIDs { #expect(replicas(world, id) == 8, "seed \(seed)") }
    }

    @Test(arguments: World.seeds(3)) func aDeadNodeIsRemoved(seed: UInt64) throws {
        let world = try World(seed: seed, nodes: 4, partitions: 8)
        let group = try world.busy()
        world.load(group, milliseconds: 1_000)
        let dead = world.node(Int(seed % 4) + 1)
        world.cluster.remove(dead)
        settle(world, group, "removing")
        #expect((world.cluster.onNode(world.node(1)) { $0.ringVersion } ?? 0) == 2, "seed \(seed)")
        world.load(group, milliseconds: 1_000)
        world.expectWhole()
    }

    /// One by one all nodes of the founding are replaced; then all are killed, and come back by what they know.
    @Test(arguments: World.seeds(2)) func everyNodeIsReplaced(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.busy()
        for number in 1...3 {
            let (new, old) = (NodeID("node-\(number + 3)"), NodeID("node-\(number)"))
            try world.cluster.join(new)
            world.run(10_000) { world.cluster.nodeIDs.contains(new) }
            settle(world, group, "joining of \(new)")
            if number == 2 {
                world.cluster.remove(old)
            } else {
                world.cluster.leave(old)
                world.run(60_000) { !world.cluster.nodeIDs.contains(old) }
            }
            settle(world, group, "going of \(old)")
        }
        #expect(world.cluster.nodeIDs == ["node-4", "node-5", "node-6"], "seed \(seed)")
        world.load(group, milliseconds: 500)
        for id in world.cluster.nodeIDs { world.cluster.kill(id) }
        for id in world.cluster.nodeIDs { try world.cluster.start(id) }
        world.load(group, milliseconds: 3_000)
        for name in ["ada", "bob", "cyd"] {
            guard case .account? = world.read(.account(try world.user(name))) else {
                Issue.record("seed \(seed): \(name)'s account is gone")
                continue
            }
        }
        world.expectWhole()
    }

    /// The node that moves, the one it gives to or takes from, or all of them are killed on the way.
    @Test(arguments: World.seeds(6)) func killedInTheMiddle(seed: UInt64) throws {
        let world = try World(seed: seed, nodes: 4) { $0.durability.catchUpBytesPerSecond = 65_536 }
        let group = try world.busy()
        world.load(group, milliseconds: 1_500)
        let moving: NodeID = seed % 2 == 0 ? "node-5" : world.node(Int(seed) % 4 + 1)
        if seed % 2 == 0 { try world.cluster.join(moving) } else { world.cluster.leave(moving) }
        for _ in 0..<4 {
            world.load(group, milliseconds: world.random(100...2_000))
            let victims = world.pick([[moving], [world.pick(world.cluster.nodeIDs) ?? moving], world.cluster.nodeIDs])
            for victim in victims ?? [] { world.cluster.kill(victim) }
            world.load(group, milliseconds: world.random(100...2_000))
            for victim in world.cluster.nodeIDs { try world.cluster.start(victim) }
        }
        if seed % 2 == 1 { world.run(60_000) { !world.cluster.nodeIDs.contains(moving) } }
        settle(world, group, "moving \(moving)")
        world.load(group, milliseconds: 1_000)
        world.expectWhole()
    }

    /// Who was removed while it was away hears so, and ends.
    @Test func aRemovedNodeEndsWhenItComesBack() throws {
        let world = try World(seed: 1, nodes: 4)
        let group = try world.busy()
        world.cluster.kill("node-4")
        let removed = world.cluster.await { [node = world.cluster.running["node-1"]?.node] in
            await node?.remove("node-4", force: true)
        }
        guard case .success?? = removed else {
            Issue.record("\(String(describing: removed))")
            return
        }
        world.load(group, milliseconds: 1_000)
        try world.cluster.start("node-4")
        world.run(5_000)
        #expect(world.cluster.running["node-4"] == nil)
        #expect(
            world.cluster.failures.contains { $0.contains("removed from the cluster") }, "\(world.cluster.failures)")
    }

    /// Two of three replicas could be gone.
    @Test func noSecondIsRemovedBeforeTheFirstIsReplaced() throws {
        let world = try World(seed: 2, nodes: 5)
        let group = try world.busy()
        let node = try #require(world.cluster.running["node-1"]?.node)
        world.cluster.remove("node-4")
        #expect(world.run(30_000) { world.cluster.onNode("node-1") { $0.ringVersion } == 2 })
        guard case .failure(let refusal)? = world.cluster.await({ await node.remove("node-5", force: true) }) else {
            Issue.record("not refused")
            return
        }
        #expect(refusal.retry && refusal.reason.contains("node-4, which was removed before"), "\(refusal.reason)")
        settle(world, group, "the first is replaced")
        world.cluster.remove("node-5")
        #expect(world.run(30_000) { world.cluster.onNode("node-1") { $0.ringVersion } == 3 })
        settle(world, group, "the second is replaced")
        world.expectWhole()
    }

    @Test func whatIsRefused() throws {
        let world = try World(seed: 1)
        let node = try #require(world.cluster.running["node-1"]?.node)
        let refused = world.cluster.await {
            [await node.leave("node-9"), await node.remove("node-2", force: false)]
        }
        for result in refused ?? [] {
            guard case .failure(let refusal) = result else {
                Issue.record("not refused")
                continue
            }
            #expect(!refusal.retry && !refusal.reason.isEmpty)
        }
    }
}
