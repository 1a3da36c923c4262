import RoostModel
import RoostNode
import RoostProtocol
import RoostSimulation
import Testing

/// Contents as long as they may be: what is read in parts has no holes.
@Suite struct HistoryTests {
    private static let count = 130

    private func filled() throws -> (world: World, group: ConversationID, alice: UserID) {
        let world = try World(seed: 5, nodes: 1, partitions: 1)
        let group = try world.conversation(.group, "alice", "bert")
        let phone = try world.device("alice", "phone")
        for _ in 0..<Self.count { phone.send(to: group, String(repeating: "x", count: 61_000)) }
        #expect(world.run(60_000) { phone.accepted.count == Self.count })
        return (world, group, try world.user("alice"))
    }

    private func messages(_ response: ReadResponse?) throws -> [Message] {
        guard case .messages(let messages)? = response else {
            Issue.record("\(String(describing: response))")
            return []
        }
        return messages
    }

    @Test func pages() throws {
        let (world, group, alice) = try filled()
        var seen: [UInt64] = []
        for page in UInt32(0)..<2 {
            seen += try messages(
                world.read(
                    .history(
                        conversation: group, user: alice, before: nil, after: nil, skip: page * 100, limit: 100))
            ).map(\.seq)
        }
        #expect(seen == (1...UInt64(Self.count)).reversed())
    }

    /// Who was out for a while, and reads both sides of it.
    @Test func acrossMemberships() throws {
        let (world, group, _) = try filled()
        _ = try world.change(group, by: "alice", .remove, "bert")
        _ = try world.change(group, by: "alice", .add, "bert")
        let phone = try #require(world.devices.first)
        for _ in 0..<20 { phone.send(to: group, String(repeating: "y", count: 61_000)) }
        #expect(world.run(60_000) { phone.accepted.count == Self.count + 20 })
        let bert = try world.user("bert")
        var seen: [UInt64] = []
        while true {
            let part = try messages(
                world.read(
                    .history(
                        conversation: group, user: bert, before: nil, after: seen.last ?? 0, skip: 0, limit: 149)))
            if part.isEmpty { break }
            seen += part.map(\.seq)
        }
        #expect(seen == Array(1...UInt64(Self.count + 20)))
    }

    @Test func sync() throws {
        let (world, group, alice) = try filled()
        let other = try world.conversation(.group, "alice", "cyd")
        let phone = try #require(world.devices.first)
        for _ in 0..<10 { phone.send(to: other, "short") }
        #expect(world.run(60_000) { phone.accepted.count == Self.count + 10 })
        var seen: [ConversationID: [UInt64]] = [:]
        var index: UInt64 = 0
        for _ in 0..<1_000 {
            let request = ReadRequest.sync(user: alice, since: 0, afterIndex: index, conversations: [], limit: 1_000)
            guard let node = world.cluster.running[world.node(1)]?.node,
                let response = world.cluster.await({ await node.read(request, of: 0) }),
                case .synced(let messages, let through) = response
            else {
                Issue.record("no answer above \(index)")
                break
            }
            for message in messages { seen[message.conversation, default: []].append(message.seq) }
            if messages.isEmpty { break }
            index = through
        }
        #expect(seen[group] == Array(1...UInt64(Self.count)))
        #expect(seen[other] == Array(1...10))
    }
}
