import Foundation
import Testing

@testable import RoostCLI

extension ProcessSuite {
    /// SIGSTOP, and SIGCONT after a while: the node wakes up with the belief of a former time.
    @Suite("Nodes that stand still for long")
    struct StallTests {
        /// Two clusters side by side, so that it takes no longer than the longest.
        @Test("Each for 5 s in turn, and one for 30 s, under load", .timeLimit(.minutes(6)))
        func shortAndLong() async throws {
            async let short: Void = stall([(0, .seconds(5)), (1, .seconds(5)), (2, .seconds(5))])
            async let long: Void = stall([(1, .seconds(30))])
            try await short
            try await long
        }

        private func stall(_ victims: [(node: Int, time: Duration)]) async throws {
            try await ProcessCluster.run { cluster in
                let alice = try await cluster.account("alice", at: 0)
                let bob = try await cluster.account("bob", at: 1)
                var talks: [String] = []
                // One that each victim leads among them.
                while talks.count < 64, try await ledBy(victims.map(\.node), cluster, talks) == nil {
                    talks.append(
                        try await cluster.conversation("group", alice, with: [bob], name: "\(talks.count)"))
                }
                var sessions: [[WireSession]] = []
                for node in 0..<3 { sessions.append([try await cluster.live(bob, "phone-\(node)", at: node)]) }
                var accepted: [Load.Send] = []
                for (victim, time) in victims {
                    let load = Load(cluster, alice, "desk", to: talks)
                    try await load.run(at: (victim + 1) % 3, every: .milliseconds(20)) { [talks] in
                        try await eventually("some are accepted") { load.accepted.count >= 20 }
                        try await stop(victim, for: time, cluster, alice, load, talks)
                    }
                    #expect(load.errors == [])
                    #expect(load.orderFaults == [])
                    accepted += load.accepted
                    for node in 0..<3 where sessions[node].last?.isEnded == true {
                        sessions[node].append(try await cluster.live(bob, "phone-\(node)", at: node))
                    }
                }
                for (node, list) in sessions.enumerated() {
                    try await eventually("delivery at \(node)") { Deliveries(sessions: list).has(accepted) }
                    #expect(Deliveries(sessions: list).faults(accepted: accepted) == [])
                }
                let fresh = try await cluster.live(bob, "new", at: victims[0].node)
                #expect(Deliveries(sessions: [fresh]).faults(accepted: accepted) == [])
            }
        }

        /// For each node a conversation that it leads; nil while one has none.
        private func ledBy(_ nodes: [Int], _ cluster: ProcessCluster, _ talks: [String]) async throws -> [String]? {
            var found: [String] = []
            for node in nodes {
                for talk in talks where found.count == nodes.firstIndex(of: node) {
                    let leader = try await cluster.admin(node, "/admin/conversations/\(talk)").json["leader"].string
                    if leader == cluster.nodes[node].id { found.append(talk) }
                }
            }
            return found.count == nodes.count ? found : nil
        }

        private func stop(
            _ victim: Int, for time: Duration, _ cluster: ProcessCluster, _ alice: Account, _ load: Load,
            _ talks: [String]
        ) async throws {
            let led = try await ledBy([victim], cluster, talks)?.first ?? talks[0]
            let near = try await cluster.live(alice, "near", at: victim)
            let child = try cluster.child(victim)
            child.kill(SIGSTOP)
            let stopped = ContinuousClock.now
            try await eventually("all its threads stand still") { child.standsStill }
            // It will take these in first when it wakes up, and still hold itself for the leader.
            let stale = newID()
            try near.send("stale", to: led, id: stale)
            try await eventually("the others go on", within: .seconds(10)) {
                Set(load.sends.filter { $0.at > stopped && $0.seq != nil }.map(\.conversation)).count == talks.count
            }
            let rest = time - (ContinuousClock.now - stopped) - .seconds(1)
            if rest > .zero { try await RoostProcessTests.pause(for: rest) }
            let had = load.accepted.filter { $0.conversation == led }
            async let read = cluster.api(
                victim, "GET", "conversations/\(led)/messages?size=100", token: alice.token)
            try await RoostProcessTests.pause(for: .seconds(1))
            child.kill(SIGCONT)

            // What had been accepted by others when it was asked is in the answer, or it does not answer.
            let page = try await read
            if page.status == 200 {
                let newest = page.json.array.compactMap { $0["seq"].int }.max() ?? 0
                #expect(newest >= had.compactMap(\.seq).max() ?? 0, "a stale read")
            } else {
                #expect(page.status == 503, "\(page.status)")
            }
            // Accepted by the leader of now, behind all that; or refused.
            if let answer = try? await near.answer(to: stale, within: .seconds(15)) {
                if answer["op"].string == "accepted" {
                    #expect(answer["seq"].int ?? 0 > had.compactMap(\.seq).max() ?? 0, "a stale acceptance")
                } else {
                    #expect(answer["code"].string == "unavailable", "\(answer)")
                }
            } else {
                #expect(near.isEnded, "neither an answer nor an end")
            }
            near.drop()
            try await eventually("all see it alive again", within: .seconds(20)) {
                for node in 0..<3 where node != victim {
                    if try await cluster.member(victim, seenBy: node)["status"].string != "alive" { return false }
                }
                return true
            }
        }
    }
}
