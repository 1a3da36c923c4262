import RoostModel
import RoostNode
import RoostProtocol
import RoostSimulation
import Testing

/// Clusters of other sizes than three, and what a client asks of any node.
@Suite struct ShapeTests {
    private func chat(_ world: World, _ count: Int) throws {
        let group = try world.conversation(.group, "ada", "bob", "cyd")
        for number in 1...world.cluster.nodeIDs.count {
            try world.device(["ada", "bob", "cyd"][number % 3], "at\(number)", at: world.node(number))
        }
        for number in 0..<count {
            world.pick(world.devices)?.send(to: group, "m\(number)")
            world.pick(world.devices)?.send(toUser: "cyd", "d\(number)")
            world.run(world.random(0...10))
        }
    }

    /// Many nodes hold no replica of a partition: they learn of its leader from what it says, and send, read and
    /// deliver through it.
    @Test(arguments: World.seeds(2)) func fiveNodesWithThreeReplicas(seed: UInt64) throws {
        let world = try World(seed: seed, nodes: 5, replication: 3, partitions: 6)
        try chat(world, 60)
        world.expectWhole()
        for node in world.cluster.nodeIDs {
            world.cluster.kill(node)
            try chat(world, 10, after: node)
            try world.cluster.start(node)
            world.run(1_500)
        }
        world.expectWhole()
    }

    private func chat(_ world: World, _ count: Int, after node: NodeID) throws {
        let away = world.devices.filter { $0.home != node && $0.isConnected }
        let ids = away.map { ($0, $0.send(toUser: "cyd", "without \(node)")) }
        let done = world.run(4_000) { ids.allSatisfy { $0.0.accepted[$0.1] != nil } }
        #expect(done, "seed \(world.seed): without \(node)")
        for number in 0..<count {
            world.pick(world.devices)?.send(toUser: "ada", "e\(number)")
            world.run(world.random(0...10))
        }
    }

    @Test(arguments: World.seeds(2)) func oneNode(seed: UInt64) throws {
        let world = try World(seed: seed, nodes: 1, replication: 1)
        try chat(world, 40)
        world.expectWhole()
        for _ in 0..<3 {
            for number in 0..<10 { world.devices[0].send(toUser: "bob", "x\(number)") }
            world.run(world.random(0...4))
            world.cluster.kill(world.node(1))
            try world.cluster.start(world.node(1))
            world.run(1_000)
        }
        world.expectWhole()
    }

    @Test(arguments: World.seeds(2)) func twoNodesWithTwoReplicas(seed: UInt64) throws {
        let world = try World(seed: seed, nodes: 2, replication: 2)
        try chat(world, 40)
        world.expectWhole()
        // Without a majority a send gets an error in bounded time, and is accepted when there is one again.
        world.cluster.kill(world.node(1))
        let device = try #require(world.devices.first { $0.home == world.node(2) })
        let id = device.send(toUser: "bob", "alone")
        let told = world.run(12_000) { device.session?.errors.contains { $0.id == id && $0.retryable } == true }
        #expect(told, "seed \(seed): \(device.summary)")
        #expect(device.accepted[id] == nil, "seed \(seed)")
        try world.cluster.start(world.node(1))
        #expect(world.run(10_000) { device.accepted[id] != nil }, "seed \(seed)")
        world.expectWhole()
    }

    @Test(arguments: World.seeds(3)) func threeNodesWithOneReplica(seed: UInt64) throws {
        let world = try World(seed: seed, nodes: 3, replication: 1)
        try chat(world, 40)
        for node in world.cluster.nodeIDs {
            world.cluster.kill(node)
            world.run(500)
            try world.cluster.start(node)
            world.run(1_000)
        }
        world.expectWhole()
    }

    /// Two register one name at two nodes at the same moment.
    @Test(arguments: World.seeds(6)) func aNameIsTakenOnce(seed: UInt64) throws {
        let world = try World(seed: seed)
        let user = UserID(foldedUsername: "ada")
        let results = Results()
        for (number, id) in world.cluster.nodeIDs.enumerated() {
            let node = try #require(world.cluster.running[id]).node
            let record = AccountRecord(
                user: user, username: "ada", passwordHash: "secret \(number)", role: .user, createdAt: node.wall())
            world.cluster.spawn {
                await node.propose(.createAccount(record))
            } then: {
                results.list.append((number, $0))
            }
            world.run(world.random(0...1))
        }
        #expect(world.run(10_000) { results.list.count == 3 }, "seed \(seed)")
        let made = results.list.filter { if case .created = $0.1 { true } else { false } }
        #expect(made.count == 1, "seed \(seed): \(results.list)")
        #expect(results.list.count { $0.1 == .rejected(.conflict) } == 2, "seed \(seed): \(results.list)")
        for id in world.cluster.nodeIDs {
            guard case .account(let record)? = world.read(.account(user), at: id) else {
                Issue.record("seed \(seed): no account at \(id)")
                continue
            }
            #expect(record.passwordHash == "secret \(made[0].0)", "seed \(seed)")
        }
    }

    @Test(arguments: World.seeds(2)) func historyInPages(seed: UInt64) throws {
        let world = try World(seed: seed)
        let group = try world.conversation(.group, "ada", "bob")
        let ada = try world.device("ada", "phone")
        func send(_ count: Int) {
            for number in 0..<count { ada.send(to: group, "m\(number)") }
            #expect(world.run(5_000) { ada.outbox.isEmpty })
        }
        // Bob reads 1 ... 10 and 21 ... 25.
        send(10)
        try world.change(group, by: "ada", .remove, "bob")
        send(10)
        try world.change(group, by: "ada", .add, "bob")
        send(5)
        let bob = try world.user("bob")
        func page(before: UInt64? = nil, after: UInt64? = nil, skip: UInt32 = 0, limit: UInt32) -> [UInt64]? {
            let request = ReadRequest.history(
                conversation: group, user: bob, before: before, after: after, skip: skip, limit: limit)
            guard case .messages(let list)? = world.read(request, at: world.pick(world.cluster.nodeIDs)) else {
                return nil
            }
            return list.map(\.seq)
        }
        #expect(page(limit: 4) == [25, 24, 23, 22], "seed \(seed)")
        #expect(page(skip: 4, limit: 4) == [21, 10, 9, 8], "seed \(seed)")
        #expect(page(skip: 5, limit: 4) == [10, 9, 8, 7], "seed \(seed)")
        #expect(page(skip: 14, limit: 4) == [1], "seed \(seed)")
        #expect(page(skip: 15, limit: 4) == [], "seed \(seed)")
        #expect(page(skip: .max, limit: 100) == [], "seed \(seed)")
        #expect(page(before: 23, limit: 3) == [22, 21, 10], "seed \(seed)")
        #expect(page(before: .max, limit: 1) == [25], "seed \(seed)")
        #expect(page(after: 9, limit: 3) == [10, 21, 22], "seed \(seed)")
        #expect(page(after: .max, limit: 3) == [], "seed \(seed)")
        #expect(page(after: 0, limit: 100) == Array(1...10) + Array(21...25), "seed \(seed)")
    }

    /// Page after page, whatever their size, brings everything once, while more is sent.
    @Test(arguments: World.seeds(3)) func syncMissesNothing(seed: UInt64) throws {
        let world = try World(seed: seed, partitions: 1)
        let groups = [
            try world.conversation(.group, "ada", "bob"), try world.conversation(.group, "ada", "bob"),
        ]
        let ada = try world.device("ada", "phone")
        let bob = try world.user("bob")
        for limit: UInt32 in [1, 7, 10, 20] {
            for number in 0..<Int(limit) * 3 { ada.send(to: groups[number % 3 == 0 ? 0 : 1], "m\(number)") }
            #expect(world.run(5_000) { ada.outbox.isEmpty })
            var found: [MessageID] = []
            var cursor: UInt64 = 0
            while true {
                let request = ReadRequest.sync(user: bob, since: 0, afterIndex: cursor, conversations: [], limit: limit)
                let answer: ReadResponse? = world.cluster.await {
                    [node = world.cluster.running[world.node(1)]?.node] in
                    await node?.readAll { _ in request }[0] ?? .none
                }
                guard case .synced(let messages, let through)? = answer, messages.count <= Int(limit) else {
                    Issue.record("seed \(seed): \(String(describing: answer))")
                    return
                }
                found += messages.map(\.id)
                if messages.isEmpty { break }
                #expect(through > cursor, "seed \(seed)")
                cursor = through
            }
            #expect(found.count == ada.sent.count && Set(found) == Set(ada.sent.map(\.id)), "seed \(seed), \(limit)")
        }
    }
}

private final class Results: @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    var list: [(Int, CommandResult)] = []
}
