import NIOCore
import RoostModel
import RoostNode
import RoostProtocol
import RoostSimulation
import RoostStorage
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
        try world.cluster.recover(from: [survivor])
        try world.cluster.start(survivor)
        #expect(world.run(20_000) { world.cluster.isServing }, "seed \(seed): alone it does not serve")
        let sent = ada.send(to: group, "alone")
        #expect(world.run(20_000) { ada.accepted[sent] != nil }, "seed \(seed): \(ada.summary)")
        for id in others { try world.cluster.start(id) }
        #expect(world.run(60_000) { world.isFilled }, "seed \(seed): the others are not filled")
        // Any one may die again.
        world.cluster.kill(survivor)
        let late = try world.device("bob", "late", at: others[0])
        #expect(world.run(10_000) { late.received[group]?.count == 31 }, "seed \(seed): \(late.summary)")
        try world.cluster.start(survivor)
        world.expectWhole()
    }

    /// Two of five: of some partitions a majority survives, of others one replica, here or there. Each goes on from the
    /// newest log; what one survivor had and the others confirmed stays.
    @Test(arguments: World.seeds(3)) func someSurvivorsOfMany(seed: UInt64) throws {
        let world = try World(seed: seed, nodes: 5, replication: 3, partitions: 8)
        var groups: [ConversationID] = []
        for _ in 0..<12 { groups.append(try world.conversation(.group, "ada", "bob")) }
        let ada = try world.device("ada", "phone", at: world.node(1))
        let bob = try world.device("bob", "phone", at: world.node(2))
        for number in 0..<60 {
            ada.send(to: groups[number % 12], "a\(number)")
            world.run(20)
        }
        #expect(world.run(10_000) { ada.outbox.isEmpty }, "seed \(seed): \(ada.summary)")
        world.run(5_000)
        // Any two that leave no partition without a replica: of five, with three replicas each, any two do.
        let first = Int(seed % 5)
        let lost = [world.node(first + 1), world.node((first + 2) % 5 + 1)]
        let survivors = world.cluster.nodeIDs.filter { !lost.contains($0) }
        for id in lost { try world.cluster.wipe(id) }
        for id in survivors { world.cluster.kill(id) }
        // One alone does not hold all.
        #expect(throws: UnsafeRecovery.Refusal.self) { try world.cluster.recover(from: [survivors[0]]) }
        let plan = try world.cluster.recover(from: survivors)
        #expect(plan.choices.count == 8 && plan.survivors == survivors)
        let alone = plan.choices.filter { $0.voter != nil }
        #expect(alone.allSatisfy { $0.survivors.count == 1 && $0.lost.count == 2 }, "seed \(seed): \(alone)")
        for id in survivors { try world.cluster.start(id) }
        #expect(world.run(30_000) { world.cluster.isServing }, "seed \(seed): they do not serve")
        for group in groups { ada.send(to: group, "after") }
        #expect(world.run(20_000) { ada.outbox.isEmpty }, "seed \(seed): \(ada.summary)")
        for id in lost { try world.cluster.start(id) }
        #expect(world.run(60_000) { world.isFilled }, "seed \(seed): the others are not filled")
        world.cluster.kill(survivors[0])
        let late = try world.device("bob", "late", at: lost[0])
        let all = { (device: SimulationDevice) in groups.reduce(0) { $0 + (device.received[$1]?.count ?? 0) } }
        #expect(world.run(20_000) { all(late) == 72 }, "seed \(seed): \(late.summary)")
        #expect(world.run(20_000) { all(bob) == 72 }, "seed \(seed): \(bob.summary)")
        try world.cluster.start(survivors[0])
        world.expectWhole()
    }

    /// R = 5, two survivors, one of which lags: its log yields to the newer one, and it is brought up to date.
    @Test(arguments: World.seeds(2)) func theNewestLogOfTwoGoesOn(seed: UInt64) throws {
        let world = try World(seed: seed, nodes: 5, replication: 5)
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone", at: world.node(1))
        ada.send(to: group, "first")
        world.run(3_000)
        let (behind, newest) = (world.node(4), world.node(5))
        world.cluster.kill(behind)
        for number in 0..<20 {
            ada.send(to: group, "a\(number)")
            world.run(50)
        }
        #expect(world.run(10_000) { ada.outbox.isEmpty }, "seed \(seed)")
        world.run(5_000)
        for id in world.cluster.nodeIDs where id != behind && id != newest { try world.cluster.wipe(id) }
        world.cluster.kill(newest)
        let plan = try world.cluster.recover(from: [behind, newest])
        let choice = try #require(plan.choices.first { $0.partition == world.cluster.partition(of: group) })
        #expect(choice.voter?.node == newest && choice.survivors == [behind, newest])
        for id in [behind, newest] { try world.cluster.start(id) }
        #expect(world.run(30_000) { world.cluster.isServing }, "seed \(seed): they do not serve")
        for id in world.cluster.nodeIDs where id != behind && id != newest { try world.cluster.start(id) }
        #expect(world.run(60_000) { world.isFilled }, "seed \(seed): the others are not filled")
        let late = try world.device("bob", "late", at: behind)
        #expect(world.run(20_000) { late.received[group]?.count == 21 }, "seed \(seed): \(late.summary)")
        world.expectWhole()
    }

    /// Of two survivors the one with the newer log has damaged rows. It counts as far as it is whole: with the last row
    /// damaged it is still the newest, and gives that up; with all that is newer damaged the other goes on, and it is
    /// filled anew, since it has applied more.
    @Test(arguments: [3, 5], [true, false])
    func aDamagedLogCountsAsFarAsItIsWhole(replicas: Int, lastOnly: Bool) throws {
        let world = try World(seed: 11, nodes: replicas, replication: replicas)
        let group = try world.conversation(.group, "ada", "bob")
        let partition = world.cluster.partition(of: group)
        let ada = try world.device("ada", "phone", at: world.node(1))
        ada.send(to: group, "first")
        world.run(3_000)
        let (whole, damaged) = (world.node(replicas - 1), world.node(replicas))
        world.cluster.kill(whole)
        for number in 0..<20 {
            ada.send(to: group, "a\(number)")
            world.run(50)
        }
        #expect(world.run(10_000) { ada.outbox.isEmpty })
        world.run(5_000)
        let lost = world.cluster.nodeIDs.filter { $0 != whole && $0 != damaged }
        for id in lost { try world.cluster.wipe(id) }
        world.cluster.kill(damaged)
        let disk = try #require(world.cluster.disk(of: damaged))
        let (last, common) = (
            try disk.loadPartition(partition).lastIndex,
            try #require(world.cluster.disk(of: whole)).loadPartition(partition).lastIndex
        )
        for index in (lastOnly ? last : common)...last {
            #expect(try disk.flipBit(partition: partition, index: index))
        }
        let plan = try world.cluster.recover(from: [whole, damaged])
        let choice = try #require(plan.choices.first { $0.partition == partition })
        #expect(choice.voter?.node == (lastOnly ? damaged : whole))
        #expect(choice.damaged.map(\.node) == (lastOnly ? [] : [damaged]))
        #expect(choice.newest.wholeIndex == (lastOnly ? last - 1 : common))
        // It was told of what is given up.
        ada.reconnects = false
        ada.disconnect()
        for id in [whole, damaged] + lost { try world.cluster.start(id) }
        #expect(world.run(60_000) { world.isFilled && world.cluster.isServing })
        let late = try world.device("bob", "late", at: damaged)
        let left = late.received[group]?.map(\.seq) ?? []
        // The last entry may be of acknowledgements.
        #expect(lastOnly ? left.count >= 20 : left == [1], "\(late.summary)")
        #expect(left == Array(1...UInt64(max(1, left.count))))
        let other = try world.device("ada", "other", at: whole)
        let sent = other.send(to: group, "after")
        #expect(world.run(20_000) { other.accepted[sent] != nil }, "\(other.summary)")
        #expect(world.run(20_000) { late.received[group]?.count == left.count + 1 }, "\(late.summary)")
        world.expectAgreement()
    }

    /// The survivor had heard of a change of the ring that the log left of partition 0 does not have: it is written again,
    /// and further changes follow it.
    @Test func aRingNewerThanTheLogIsKept() throws {
        let world = try World(seed: 12)
        let survivor = world.node(2)
        func ring() throws -> Ring? {
            let node = try #require(world.cluster.running[survivor]?.node)
            guard case .ring(let ring)? = world.cluster.await({ await node.read(.ring) }) else { return nil }
            return ring
        }
        world.run(3_000)
        let founded = try #require(try ring())
        for id in world.cluster.nodeIDs where id != survivor { try world.cluster.wipe(id) }
        world.cluster.kill(survivor)
        let disk = try #require(world.cluster.disk(of: survivor))
        var facts = try #require(try disk.loadFacts())
        func member(_ id: NodeID) -> RingMember {
            RingMember(node: id, host: "\(id)", peerPort: 1, clientPort: 1, adminPort: 1)
        }
        guard case .changed(let heard) = founded.changed(by: .join(member("node-8"))) else {
            Issue.record("\(founded) takes nobody in")
            return
        }
        facts.ring = heard
        try disk.saveFacts(facts)
        try world.cluster.recover(from: [survivor])
        try world.cluster.start(survivor)
        #expect(world.run(20_000) { world.cluster.isServing })
        #expect(world.propose(.changeRing(.join(member("node-9")))) == .done)
        let now = try #require(try ring())
        #expect(now.version == heard.version + 2)
        #expect(now["node-8"]?.state == .active && now["node-9"]?.state == .active)
    }

    /// A node of the former generation that turns up again changes nothing.
    @Test func theFormerGenerationIsRefused() throws {
        let world = try World(seed: 7)
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone", at: world.node(1))
        ada.send(to: group, "before")
        world.run(5_000)
        for id in world.cluster.nodeIDs { world.cluster.kill(id) }
        try world.cluster.recover(from: [world.node(1)])
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
        #expect(throws: UnsafeRecovery.Refusal.blank) { try world.cluster.recover(from: [world.node(1)]) }
    }
}
