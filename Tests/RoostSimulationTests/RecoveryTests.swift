import NIOCore
import RoostModel
import RoostNode
import RoostProtocol
import RoostSimulation
import Testing

/// `roost recover --unsafe`: two of three disks are gone for good.
@Suite struct RecoveryTests {
    @Test(arguments: World.seeds(3)) func oneSurvivorGoesOn(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone", at: world.node(1))
        let bob = try world.device("bob", "phone", at: world.node(2))
        for number in 0..<30 {
            ada.send(to: group, "a\(number)")
            world.run(20)
        }
        // Everything is everywhere, so that nothing may be lost.
        #expect(world.run(5_000) { bob.received[group]?.count == 30 && ada.outbox.isEmpty }, "seed \(seed)")
        world.run(5_000)
        let survivor = world.node(Int(seed % 3) + 1)
        let others = world.cluster.nodeIDs.filter { $0 != survivor }
        for id in others { try world.cluster.wipe(id) }
        world.cluster.kill(survivor)
        #expect(try world.cluster.recover(from: survivor) > 0)
        try world.cluster.start(survivor)
        #expect(world.run(20_000) { world.cluster.isServing }, "seed \(seed): alone it does not serve")
        let sent = ada.send(to: group, "alone")
        #expect(world.run(20_000) { ada.accepted[sent] != nil }, "seed \(seed): \(ada.summary)")
        for id in others { try world.cluster.start(id) }
        let filled = world.run(60_000) {
            world.cluster.nodeIDs.allSatisfy { id in
                world.cluster.onNode(id) { $0.replicasWithVote == $0.replicasHere && $0.replicasHere > 0 } ?? false
            }
        }
        #expect(filled, "seed \(seed): the others are not filled")
        // Any one may die again.
        world.cluster.kill(survivor)
        let late = try world.device("bob", "late", at: others[0])
        #expect(world.run(10_000) { late.received[group]?.count == 31 }, "seed \(seed): \(late.summary)")
        try world.cluster.start(survivor)
        world.expectWhole()
    }

    /// A node of the former generation that turns up again changes nothing.
    @Test func theFormerGenerationIsRefused() throws {
        let world = try World(seed: 7)
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone", at: world.node(1))
        ada.send(to: group, "before")
        world.run(5_000)
        for id in world.cluster.nodeIDs { world.cluster.kill(id) }
        _ = try world.cluster.recover(from: world.node(1))
        for id in world.cluster.nodeIDs { try world.cluster.start(id) }
        world.run(10_000)
        let sent = ada.send(to: group, "after")
        #expect(world.run(20_000) { ada.accepted[sent] != nil }, "\(ada.summary)")
        for id in [world.node(2), world.node(3)] {
            #expect(world.cluster.onNode(id) { node in (0..<4).contains { node.leads(PartitionID($0)) } } == true)
        }
    }

    @Test func aBlankNodeHasNothingToRecover() throws {
        let world = try World(seed: 3)
        try world.cluster.wipe(world.node(1))
        #expect(throws: UnsafeRecovery.Refusal.blank) { _ = try world.cluster.recover(from: world.node(1)) }
    }
}
