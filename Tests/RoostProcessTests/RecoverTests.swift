import Foundation
import Testing

@testable import RoostCLI

extension ProcessSuite {
    @Suite("roost recover")
    struct RecoverTests {
        private func recover(_ cluster: ProcessCluster, _ arguments: String...) async throws -> ChildProcess {
            try await RoostProgram.run(["recover", "--config", cluster.configPath] + arguments, in: cluster.directory)
        }

        /// Each survivor holds some of the partitions, and is dealt with on a machine of its own.
        @Test("Two of five disks are gone: each partition goes on from its newest log", .timeLimit(.minutes(6)))
        func severalSurvivors() async throws {
            try await ProcessCluster.run(nodes: 5) { cluster in
                let alice = try await cluster.account("alice", at: 0)
                let bob = try await cluster.account("bob", at: 1)
                var talks: [String] = []
                for number in 0..<8 {
                    talks.append(try await cluster.conversation("group", alice, with: [bob], name: "\(number)"))
                }
                let load = Load(cluster, alice, "desk", to: talks)
                try await load.run(at: 2, every: .milliseconds(5)) {
                    try await eventually("some are accepted") { load.accepted.count >= 100 }
                }
                // All replicas have all of it: what is not lost with two disks is what this is about.
                for node in 0..<5 {
                    try await eventually("all is everywhere") {
                        try await cluster.admin(node, "/admin/partitions").json.array.allSatisfy { partition in
                            let indices = partition["replicas"].array.compactMap { $0["match_index"].int }
                            return Set(indices).count <= 1
                        }
                    }
                }
                try await cluster.kill([0, 1, 2, 3, 4])
                for node in ["node-1", "node-2"] {
                    try FileManager.default.removeItem(atPath: "\(cluster.directory)/data/\(node)")
                }

                // Its last life wanted to be rid of it: the operator has nothing better.
                let data = { (node: Int) in "\(cluster.directory)/data/node-\(node)" }
                try Data("damaged beyond use\n".utf8).write(to: URL(fileURLWithPath: data(3) + "/set-aside"))

                let alone = try await recover(cluster, "--from", "node-3")
                #expect(alone.status == .code(73) && alone.errors.contains("no survivor named holds partition"))
                let twice = try await recover(cluster, "--from", "node-3", "--from", "node-3")
                #expect(twice.status == .code(64), "\(twice.errors)")
                let asked = try await recover(cluster, "--from", "node-3", "--from", "node-4", "--from", "node-5")
                #expect(asked.status == .code(0), "\(asked.errors)")
                #expect(asked.output.contains("node-3, node-4, node-5 hold 32 partitions"), "\(asked.output)")
                #expect(asked.output.contains("nothing was changed"))
                #expect(asked.output.contains("node-3: its data was to be set aside at the next start: damaged beyond"))
                #expect(asked.output.contains(#/partition \d+: goes on from node-[345] with \d+ entries/#))
                #expect(asked.output.contains("others: a majority survives, nothing is lost"), "\(asked.output)")

                var surveys: [String] = []
                for node in 3...5 {
                    let saved = try await recover(cluster, "--from", "node-\(node)", "--save", cluster.directory)
                    #expect(saved.status == .code(0), "\(saved.errors)")
                    surveys += ["--with", "\(cluster.directory)/node-\(node).json"]
                }
                let done = try await RoostProgram.run(
                    ["recover", "--config", cluster.configPath, "--from", "node-3", "--unsafe"] + surveys,
                    in: cluster.directory)
                #expect(done.status == .code(0), "\(done.errors)")
                #expect(done.output.contains("done: start node-3 now"), "\(done.output)")
                // As if all had been done on one machine, and the command killed after the first of them.
                let kept = data(4) + "/recovery"
                try FileManager.default.createDirectory(atPath: kept, withIntermediateDirectories: true)
                for node in 3...5 {
                    try FileManager.default.copyItem(
                        atPath: "\(cluster.directory)/node-\(node).json", toPath: "\(kept)/node-\(node).json")
                }
                let half = try await recover(
                    cluster, "--from", "node-3", "--from", "node-4", "--from", "node-5", "--unsafe")
                #expect(half.status == .code(73), "\(half.output)")
                #expect(half.errors.contains("interrupted, which goes on with --with \(kept)/node-3.json"))
                let rest = try await RoostProgram.run(
                    [
                        "recover", "--config", cluster.configPath, "--from", "node-3", "--from", "node-4", "--from",
                        "node-5", "--unsafe",
                    ] + (3...5).flatMap { ["--with", "\(kept)/node-\($0).json"] }, in: cluster.directory)
                #expect(rest.status == .code(0) && rest.output.contains("node-3: done before"), "\(rest.errors)")
                #expect(!FileManager.default.fileExists(atPath: kept))
                // Once more is no more than once.
                let again = try await RoostProgram.run(
                    ["recover", "--config", cluster.configPath, "--from", "node-3", "--unsafe"] + surveys,
                    in: cluster.directory)
                #expect(again.status == .code(0) && again.output.contains("node-3: done before"), "\(again.errors)")
                // By other surveys it would be another generation.
                let survey = try String(contentsOfFile: surveys[3], encoding: .utf8)
                try survey.replacing(#/"nonce" : \d+/#, with: #""nonce" : 1"#)
                    .write(toFile: surveys[3], atomically: true, encoding: .utf8)
                let other = try await RoostProgram.run(
                    ["recover", "--config", cluster.configPath, "--from", "node-3", "--unsafe"] + surveys,
                    in: cluster.directory)
                #expect(other.status == .code(73) && other.errors.contains("has changed since its survey"))

                // Of all of them once more, now that they are of one generation: another one, on one machine.
                let once = try await recover(
                    cluster, "--from", "node-3", "--from", "node-4", "--from", "node-5", "--unsafe")
                #expect(once.status == .code(0), "\(once.errors)")
                #expect(once.output.contains("done: start node-3, node-4, node-5 now"), "\(once.output)")
                for node in 3...5 { #expect(!FileManager.default.fileExists(atPath: data(node) + "/recovery")) }

                for node in 2..<5 { try cluster.start(node) }
                try await cluster.ready([2, 3, 4])
                let files = try FileManager.default.contentsOfDirectory(atPath: data(3))
                #expect(!files.contains { $0.hasPrefix("damaged-") || $0 == "set-aside" })
                let desk = try await cluster.live(alice, "late", at: 2)
                for talk in talks { #expect(try await desk.say("after", to: talk)["op"].string == "accepted") }
                for node in 0..<2 { try cluster.start(node) }
                try await cluster.ready()
                for node in 0..<5 {
                    try await eventually("all are filled", within: .seconds(60)) {
                        try await cluster.admin(node, "/admin/cluster").json["unfilled_replicas"].int == 0
                    }
                }
                // Any one may die again.
                try await cluster.kill(3)
                let fresh = try await cluster.live(bob, "new", at: 0)
                #expect(Deliveries(sessions: [fresh]).faults(accepted: load.accepted) == [])
                #expect(fresh.contents.count { $0 == "after" } == 8)
            }
        }
    }
}
