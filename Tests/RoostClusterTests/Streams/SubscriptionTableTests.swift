import RoostCluster
import RoostModel
import RoostProtocol
import Testing

@Suite struct SubscriptionTableTests {
    private func session(_ slot: UInt32, user: UInt64, id: UInt64? = nil) -> SubscribedSession {
        SubscribedSession(
            slot: slot, session: SessionID(id ?? UInt64(slot) * 1_000), generation: Generation(term: 1, count: 1),
            user: UserID(UUID128(high: 0, low: user)), device: DeviceID(validated: "d\(slot)"), startAt: 0)
    }
    private func user(_ number: UInt64) -> UserID { UserID(UUID128(high: 0, low: number)) }

    @Test func opensJoinsAndCloses() {
        var table = SubscriptionTable()
        table.open(node: "n1", sessions: [session(1, user: 1), session(2, user: 2)], reset: true)
        table.open(node: "n1", sessions: [session(3, user: 1)], reset: false)
        table.open(node: "n2", sessions: [session(1, user: 1)], reset: true)
        #expect(table.sessionCount == 4)
        #expect(table.subscribers(of: user(1)).map { "\($0.node) \($0.slot)" } == ["n1 1", "n1 3", "n2 1"])
        #expect(
            table.stream(of: "n1")?.digest == session(1, user: 1).digest ^ session(2, user: 2).digest
                ^ session(3, user: 1).digest)
        // A slot stands for another session by now: the news of the former's end does not concern it.
        table.close(node: "n1", slot: 3, session: SessionID(9))
        #expect(table.sessionCount == 4)
        table.close(node: "n1", slot: 3, session: SessionID(3_000))
        #expect(table.subscribers(of: user(1)).map { "\($0.node) \($0.slot)" } == ["n1 1", "n2 1"])
        table.end(node: "n1")
        #expect(table.stream(of: "n1") == nil && table.subscribers(of: user(2)).isEmpty)
        #expect(table.subscribers(of: user(1)).count == 1 && !table.isEmpty)
        table.end(node: "n2")
        #expect(table.isEmpty)
    }

    @Test func aResetLeavesOnlyWhatItNames() {
        var table = SubscriptionTable()
        table.open(node: "n1", sessions: [session(1, user: 1), session(2, user: 2)], reset: true)
        #expect(table.advance(node: "n1") == 1)
        #expect(table.advance(node: "n1") == 2)
        table.open(node: "n1", sessions: [session(2, user: 2)], reset: true)
        #expect(table.subscribers(of: user(1)).isEmpty && table.subscribers(of: user(2)).count == 1)
        #expect(table.stream(of: "n1")?.digest == session(2, user: 2).digest)
        #expect(table.advance(node: "n1") == 1)
    }

    @Test func aSlotUsedAgainIsOneSubscriber() {
        var table = SubscriptionTable()
        table.open(node: "n1", sessions: [session(1, user: 1)], reset: true)
        table.open(node: "n1", sessions: [session(1, user: 1)], reset: false)
        #expect(table.subscribers(of: user(1)).count == 1)
        table.open(node: "n1", sessions: [session(1, user: 2, id: 5)], reset: false)
        #expect(table.subscribers(of: user(1)).isEmpty && table.subscribers(of: user(2)).count == 1)
        #expect(table.stream(of: "n1")?.digest == session(1, user: 2, id: 5).digest)
    }

    /// Against a list of what is open, looked through each time.
    @Test(arguments: UInt64(1)...50) func property(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var table = SubscriptionTable()
        var model: [String: SubscribedSession] = [:]
        let nodes: [NodeID] = ["n1", "n2", "n3"]
        for step in 0..<200 {
            let node = nodes[Int.random(in: 0...2, using: &generator)]
            switch Int.random(in: 0...9, using: &generator) {
            case 0...4:
                let made = session(
                    UInt32.random(in: 1...9, using: &generator), user: UInt64.random(in: 1...4, using: &generator),
                    id: UInt64(step))
                table.open(node: node, sessions: [made], reset: false)
                model["\(node) \(made.slot)"] = made
            case 5...7:
                let slot = UInt32.random(in: 1...9, using: &generator)
                if let there = model["\(node) \(slot)"] {
                    table.close(node: node, slot: slot, session: there.session)
                    model["\(node) \(slot)"] = nil
                }
            case 8:
                table.end(node: node)
                for slot in 1...9 { model["\(node) \(slot)"] = nil }
            default:
                let made = (1...3).map {
                    session($0, user: UInt64.random(in: 1...4, using: &generator), id: UInt64(step))
                }
                table.open(node: node, sessions: made, reset: true)
                for slot in 1...9 { model["\(node) \(slot)"] = nil }
                for item in made { model["\(node) \(item.slot)"] = item }
            }
            for number in UInt64(1)...4 {
                let there = table.subscribers(of: user(number)).map { "\($0.node) \($0.slot)" }.sorted()
                let expected = model.filter { $0.value.user == user(number) }.map(\.key).sorted()
                #expect(there == expected, "seed \(seed)")
            }
            for node in nodes {
                let digest = model.filter { $0.key.hasPrefix("\(node) ") }.reduce(UInt64(0)) { $0 ^ $1.value.digest }
                #expect(table.stream(of: node)?.digest ?? 0 == digest, "seed \(seed)")
            }
        }
    }
}
