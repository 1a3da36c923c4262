import Foundation
import Testing

@testable import RoostCLI

extension ProcessSuite {
    /// Disks, or parts of what is on them, that are gone when the node comes back.
    @Suite("Disks that are lost")
    struct DiskLossTests {
        /// No send is given up, however slow the machine: what is lost is looked for, not what is late.
        private static let patient = #","security":{"scrypt_log_n":10},"timing":{"proposal_timeout_ms":60000}"#
        /// Filled slowly enough to be watched.
        private static let slow = patient + #","durability":{"catch_up_bytes_per_second":65536}"#

        private static let inStatus = "replicas being filled"

        private struct Seen: Sendable {
            var unfilled = false
            var filling = false
            var learners = false
            var status = ""
        }

        /// Two users, and as much in the log as takes a few seconds to fill again.
        private func prepare(_ cluster: ProcessCluster) async throws -> (Account, Account, [String]) {
            let alice = try await cluster.account("alice", at: 0)
            let bob = try await cluster.account("bob", at: 1)
            var talks: [String] = []
            for number in 0..<4 {
                talks.append(try await cluster.conversation("group", alice, with: [bob], name: "talk \(number)"))
            }
            let desk = try await cluster.live(alice, "filler", at: 0)
            let text = String(repeating: "x", count: 8_000)
            for number in 0..<100 {
                #expect(try await desk.say(text, to: talks[number % 4])["op"].string == "accepted")
            }
            desk.drop()
            return (alice, bob, talks)
        }

        private func filled(_ cluster: ProcessCluster, _ node: Int) async -> Bool {
            guard let view = try? await cluster.admin(node, "/admin/cluster").json else { return false }
            return view["unfilled_replicas"].int == 0
        }

        /// Watches the filling of a node until it is filled.
        private func watch(_ cluster: ProcessCluster, _ victim: Int) async throws -> Seen {
            var seen = Seen()
            let id = cluster.nodes[victim].id
            try await eventually("\(id) is filled", within: .seconds(60)) {
                if try await cluster.admin(victim, "/admin/cluster").json["unfilled_replicas"].int ?? 0 > 0 {
                    seen.unfilled = true
                }
                for other in 0..<3 where other != victim {
                    let filling = try await cluster.admin(other, "/admin/cluster").json["filling"].array
                    guard
                        filling.contains(where: {
                            $0["node_id"].string == id && $0["replicas"].int ?? 0 > 0
                                && $0["missing_entries"].int != nil
                        })
                    else { continue }
                    seen.filling = true
                    let partitions = try await cluster.admin(other, "/admin/partitions").json.array
                    let hasLearner = partitions.contains { partition in
                        partition["replicas"].array.contains {
                            $0["node_id"].string == id && $0["role"].string == "learner"
                        }
                    }
                    guard hasLearner, !seen.status.contains(Self.inStatus) else { continue }
                    seen.learners = true
                    let url = "http://127.0.0.1:\(cluster.nodes[other].adminPort)"
                    seen.status = try await RoostProgram.run(
                        ["status", "--admin", url], in: cluster.directory
                    ).output
                }
                return await self.filled(cluster, victim)
            }
            return seen
        }

        @Test("Each data directory in turn, under load: filled again, and nothing is lost", .timeLimit(.minutes(6)))
        func wipedInTurn() async throws {
            try await ProcessCluster.run(settings: Self.slow) { cluster in
                let (alice, bob, talks) = try await prepare(cluster)
                let load = Load(cluster, alice, "desk", to: talks)
                try await load.run(at: 0, every: .milliseconds(20)) {
                    for victim in 0..<3 {
                        let before = load.accepted.count
                        try await eventually("some are accepted") { load.accepted.count >= before + 30 }
                        try await cluster.kill(victim)
                        try FileManager.default.removeItem(
                            atPath: "\(cluster.directory)/data/\(cluster.nodes[victim].id)")
                        try await eventually("it goes on") { load.accepted.count >= before + 60 }
                        try cluster.start(victim)
                        try await cluster.ready([victim])
                        let seen = try await watch(cluster, victim)
                        #expect(seen.unfilled && seen.filling && seen.learners)
                        #expect(seen.status.contains(Self.inStatus), "\(seen.status)")
                    }
                }
                #expect(load.errors == [])
                #expect(load.orderFaults == [])
                // Every disk of the founding is gone by now.
                for node in 0..<3 {
                    let fresh = try await cluster.live(bob, "new-\(node)", at: node)
                    #expect(Deliveries(sessions: [fresh]).faults(accepted: load.accepted) == [])
                }
            }
        }

        enum Loss: String, CaseIterable, Sendable {
            case logLost, logCutShort, olderDatabase
        }

        /// What SQLite itself opens without a word.
        @Test(
            "A database with less than it confirmed is set aside, and filled again", .timeLimit(.minutes(6)),
            arguments: Loss.allCases)
        func confirmedAndGone(loss: Loss) async throws {
            try await ProcessCluster.run(settings: Self.patient) { cluster in
                let (alice, bob, talks) = try await prepare(cluster)
                let victim = 2
                let data = "\(cluster.directory)/data/node-3"
                let older = "\(cluster.directory)/older.db"
                #expect(try await cluster.terminate(victim) == .code(0))
                try FileManager.default.copyItem(atPath: data + "/roost.db", toPath: older)
                try cluster.start(victim)
                try await cluster.ready([victim])
                let load = Load(cluster, alice, "desk", to: talks)
                try await load.run(at: 0, every: .milliseconds(20)) {
                    try await eventually("many are accepted") { load.accepted.count >= 300 }
                    try await cluster.kill(victim)
                    let log = URL(fileURLWithPath: data + "/roost.db-wal")
                    switch loss {
                    case .logLost: try FileManager.default.removeItem(at: log)
                    case .logCutShort:
                        let bytes = try Data(contentsOf: log)
                        try #require(bytes.count > 100_000)
                        try bytes.prefix(bytes.count - 50_000).write(to: log)
                    case .olderDatabase:
                        try FileManager.default.removeItem(at: log)
                        try FileManager.default.removeItem(atPath: data + "/roost.db")
                        try FileManager.default.copyItem(atPath: older, toPath: data + "/roost.db")
                    }
                    try cluster.start(victim)
                    try await cluster.ready([victim])
                    try await eventually("it is filled", within: .seconds(60)) { await filled(cluster, victim) }
                }
                let errors = try cluster.child(victim).errors
                #expect(errors.contains("commits that it had confirmed"), "\(errors)")
                let names = try FileManager.default.contentsOfDirectory(atPath: data)
                #expect(names.count { $0.hasPrefix("damaged-") } == 1, "\(names)")
                #expect(load.errors == [])
                #expect(load.orderFaults == [])
                // It votes again, and has everything: another one may go.
                try await cluster.kill(0)
                let fresh = try await cluster.live(bob, "new", at: victim)
                #expect(Deliveries(sessions: [fresh]).faults(accepted: load.accepted) == [])
                let desk = try await cluster.live(alice, "late", at: victim)
                for talk in talks { #expect(try await desk.say("after", to: talk)["op"].string == "accepted") }
            }
        }
    }
}
