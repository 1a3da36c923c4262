import NIOCore
import RoostModel
import RoostNode
import RoostProtocol
import RoostSimulation
import Testing

/// What the cluster promises while nodes and links fail, one kind of failure at a time.
@Suite struct FailureTests {
    @Test(arguments: World.seeds(2)) func eachNodeInTurn(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.busy()
        for node in world.cluster.nodeIDs {
            world.load(group, milliseconds: 1_000)
            world.cluster.kill(node)
            // Devices connected elsewhere go on, within an election.
            let others = world.devices.filter { $0.home != node && $0.isConnected }
            let ids = others.map { ($0, $0.send(to: group, "meanwhile")) }
            let done = world.run(3_000) { ids.allSatisfy { $0.0.accepted[$0.1] != nil } }
            #expect(done, "seed \(seed): sends stop when \(node) dies")
            world.load(group, milliseconds: 1_500)
            try world.cluster.start(node)
            world.load(group, milliseconds: 1_500)
        }
        world.expectWhole()
    }

    @Test(arguments: World.seeds(3)) func allNodesAtOnce(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.busy()
        for _ in 0..<3 {
            world.load(group, milliseconds: 700)
            for node in world.cluster.nodeIDs { world.cluster.kill(node) }
            world.run(world.random(0...500))
            for node in world.cluster.nodeIDs { try world.cluster.start(node) }
        }
        world.load(group, milliseconds: 500)
        world.expectWhole()
    }

    /// The ingress has lost its link to the leader, and both reach the third node: sends, opens, reads and deliveries
    /// go on.
    @Test(arguments: World.seeds(3)) func aCutBetweenIngressAndLeader(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.conversation(.group, "ada", "bob")
        // Leaderships have found their places.
        world.run(8_000)
        let leader = try #require(world.cluster.leader(of: world.cluster.partition(of: group)))
        let away = try #require(world.cluster.nodeIDs.first { $0 != leader })
        let ada = try world.device("ada", "phone", at: away)
        let bob = try world.device("bob", "phone", at: leader)
        world.cluster.network.cut(leader, away)
        world.run(50)
        for number in 0..<20 {
            let sent = [ada.send(to: group, "a\(number)"), bob.send(to: group, "b\(number)")]
            let done = world.run(1_500) {
                ada.accepted[sent[0]] != nil && bob.accepted[sent[1]] != nil
                    && ada.received[group]?.count == number + 1 && bob.received[group]?.count == number + 1
            }
            #expect(done, "seed \(seed): \(number) \(ada.summary) \(bob.summary)")
            if number == 10 {
                // A session that begins behind the cut.
                let late = try world.device("bob", "desk", at: away)
                #expect(late.received[group]?.count == 22, "seed \(seed)")
            }
        }
        #expect(world.cluster.leader(of: world.cluster.partition(of: group)) == leader, "seed \(seed)")
        #expect(ada.sessions.count == 1 && bob.sessions.count == 1, "seed \(seed)")
        world.cluster.network.heal(leader, away)
        for number in 0..<20 {
            ada.send(to: group, "c\(number)")
            world.run(world.random(0...30))
        }
        world.expectWhole()
    }

    /// A cable is pulled: nothing is told to either end.
    @Test(arguments: World.seeds(3)) func aStalledLink(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.busy()
        world.load(group, milliseconds: 500)
        world.cluster.network.stall(world.node(1), world.node(2))
        world.load(group, milliseconds: world.random(500...9_000))
        world.cluster.network.heal(world.node(1), world.node(2))
        world.load(group, milliseconds: 500)
        world.expectWhole()
    }

    @Test(arguments: World.seeds(3)) func anIsolatedNodeComesBack(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.busy()
        let alone = world.node(Int(seed % 3) + 1)
        world.load(group, milliseconds: 500)
        for node in world.cluster.nodeIDs where node != alone { world.cluster.network.cut(alone, node) }
        world.load(group, milliseconds: 15_000)
        let behind = world.devices.filter { $0.home == alone && $0.isConnected }
        #expect(behind.allSatisfy { !$0.outbox.isEmpty || $0.sent.isEmpty }, "seed \(seed)")
        for node in world.cluster.nodeIDs where node != alone { world.cluster.network.heal(alone, node) }
        world.load(group, milliseconds: 500)
        world.expectWhole()
    }

    /// The answer got lost with the node; sent again with its id at another one, it is still one message.
    @Test(arguments: World.seeds(5)) func sentAgainAfterACrash(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.conversation(.group, "ada", "bob")
        let leader = try #require(world.cluster.leader(of: world.cluster.partition(of: group)))
        let ada = try world.device("ada", "phone", at: leader)
        let bob = try world.device("bob", "phone", at: world.cluster.nodeIDs.first { $0 != leader })
        for round in 0..<4 {
            for number in 0..<10 { ada.send(to: group, "m\(round).\(number)") }
            world.run(world.random(0...6))
            if let home = ada.home {
                world.cluster.kill(home)
                #expect(world.run(15_000) { ada.outbox.isEmpty }, "seed \(seed)")
                try world.cluster.start(home)
                world.run(2_000)
            }
        }
        world.expectWhole()
        #expect(bob.received[group]?.count == 40, "seed \(seed)")
        let texts = bob.received[group]?.map { String(buffer: $0.content) } ?? []
        #expect(texts == (0..<4).flatMap { round in (0..<10).map { "\"m\(round).\($0)\"" } }, "seed \(seed)")
    }

    /// Ids are read from the tables a part at a time while others are sent already.
    @Test func allIDsAreKnownAfterAStart() throws {
        let world = try World(seed: 1)
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone")
        let count = 2_100
        var ids: [MessageID] = []
        while ids.count < count {
            for _ in 0..<100 { ids.append(ada.send(to: group, "m\(ids.count)")) }
            #expect(world.run(10_000) { ada.outbox.isEmpty })
        }
        for node in world.cluster.nodeIDs { world.cluster.kill(node) }
        for node in world.cluster.nodeIDs { try world.cluster.start(node) }
        world.run(5_000)
        let user = try world.user("ada")
        for (place, id) in ids.enumerated() where place % 100 == 0 || place == count - 1 {
            let send = SendCommand(
                conversation: group, peer: nil, sender: user, device: DeviceID(validated: "desk"), id: id, type: "text",
                content: ByteBuffer(string: "\"m\(place)\""),
                order: SendOrder(session: SessionID(9), run: 1, counter: UInt64(place) + 1, base: UInt64(place) + 1))
            guard case .sent(_, let seq, _) = world.propose(.send(send)) else {
                Issue.record("no answer for message \(place)")
                return
            }
            #expect(seq == UInt64(place) + 1)
        }
    }

    @Test(arguments: World.seeds(3)) func aDrainedNode(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.busy()
        world.load(group, milliseconds: 500)
        let id = world.node(Int(seed % 3) + 1)
        let node = try #require(world.cluster.running[id]).node
        let here = world.devices.filter { $0.home == id && $0.isConnected }
        let closes = here.map(\.closes.count)
        var isDrained = false
        let began = world.cluster.executor.now
        let drained = Flag()
        world.cluster.spawn {
            await node.drain()
        } then: {
            drained.isSet = true
        }
        while !isDrained && world.cluster.executor.now < began + 20_000_000_000 {
            world.load(group, milliseconds: 50)
            isDrained = drained.isSet
        }
        let took = (world.cluster.executor.now - began) / 1_000_000
        #expect(isDrained && took < 5_000, "seed \(seed): \(took) ms")
        for (device, before) in zip(here, closes) {
            #expect(device.closes.dropFirst(before).first == 1012, "seed \(seed): \(device.closes)")
        }
        let leads = (0..<world.cluster.configuration.partitions).filter { number in
            world.cluster.onNode(id) { $0.leads(PartitionID(UInt16(number))) } ?? false
        }
        #expect(leads.isEmpty, "seed \(seed): still leads \(leads)")
        world.cluster.kill(id)
        // Nobody waits for an election: leadership was handed over.
        let ids = world.devices.filter { $0.isConnected }.map { ($0, $0.send(to: group, "at once")) }
        #expect(world.run(500) { ids.allSatisfy { $0.0.accepted[$0.1] != nil } }, "seed \(seed)")
        try world.cluster.start(id)
        world.load(group, milliseconds: 1_000)
        world.expectWhole()
    }

    /// All at once, and one after the other within an election: nobody hands leadership to one that is going, too.
    @Test(arguments: World.seeds(3), [0, 150]) func allDrain(seed: UInt64, apart: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.busy()
        world.load(group, milliseconds: 500)
        let nodes = world.cluster.nodeIDs.compactMap { world.cluster.running[$0]?.node }
        let flags = nodes.map { _ in Flag() }
        let began = world.cluster.executor.now
        for (node, flag) in zip(nodes, flags) {
            world.cluster.spawn {
                await node.drain()
            } then: {
                flag.isSet = true
            }
            if apart > 0 { world.cluster.run(milliseconds: apart) }
        }
        #expect(world.cluster.run(milliseconds: 5_000) { flags.allSatisfy(\.isSet) }, "seed \(seed)")
        let took = (world.cluster.executor.now - began) / 1_000_000
        #expect(took < 2_000, "seed \(seed): \(took) ms")
    }

    /// What has a majority goes on, also where a node starts that knows of partitions without one.
    @Test func aNodeStartsWhileSomePartitionsHaveNoMajority() throws {
        let world = try World(seed: 3, nodes: 5, replication: 3, partitions: 16)
        for number in 4...5 { world.cluster.kill(world.node(number)) }
        world.run(15_000)
        let led = (0..<UInt16(16)).filter { world.cluster.leader(of: PartitionID($0)) != nil }
        #expect(!led.isEmpty && led.count < 16, "seed 3 does not show it")
        world.cluster.kill(world.node(3))
        world.run(1_000)
        try world.cluster.start(world.node(3))
        #expect(world.run(40_000) { world.cluster.isServing })
    }
}

private final class Flag: @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    var isSet = false
}
