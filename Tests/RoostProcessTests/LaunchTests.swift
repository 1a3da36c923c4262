import Foundation
import Testing

@testable import RoostCLI

extension ProcessSuite {
    @Suite("Starting and stopping")
    struct LaunchTests {
        /// One line on stderr, and nothing that is meant for programmers.
        private func oneLine(_ child: ChildProcess, _ code: Int32, naming words: String...) {
            #expect(child.status == .code(code), "\(child.errors)")
            #expect(child.errorLines.count == 1, "\(child.errors)")
            #expect(child.errors.hasPrefix("roost: "))
            for word in words { #expect(child.errors.contains(word), "\(child.errors)") }
            #expect(!child.errors.contains("Fatal error") && !child.errors.contains(" at /"))
            #expect(child.output == "")
        }

        private func node(_ cluster: ProcessCluster, _ arguments: [String] = ["--id", "node-1"]) async throws
            -> ChildProcess
        {
            try await RoostProgram.run(
                ["node", "--config", cluster.configPath, "--log-level", "error"] + arguments, in: cluster.directory)
        }

        @Test("A port in use: 69", .timeLimit(.minutes(6)), arguments: ["client_port", "peer_port", "admin_port"])
        func portInUse(key: String) async throws {
            let cluster = try ProcessCluster()
            defer { cluster.remove() }
            let own = cluster.nodes[0]
            let port = ["client_port": own.clientPort, "peer_port": own.peerPort][key] ?? own.adminPort
            let squatter = try Wire.Squatter(port: port).orThrow("port \(port) is not free")
            oneLine(try await node(cluster), 69, naming: key, "\(squatter.port)", "in use")
        }

        @Test("A data directory that can't be: 73", .timeLimit(.minutes(6)))
        func dataDirectory() async throws {
            let cluster = try ProcessCluster()
            defer { cluster.remove() }
            // A file where the directory should be, and one where its parent should be.
            let data = cluster.directory + "/data"
            try Data("a file".utf8).write(to: URL(fileURLWithPath: data))
            oneLine(try await node(cluster), 73, naming: data)
            try FileManager.default.removeItem(atPath: data)
            try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
            try Data("a file".utf8).write(to: URL(fileURLWithPath: data + "/node-1"))
            oneLine(try await node(cluster), 73, naming: data + "/node-1")
        }

        @Test("A wrong cluster.json: 78", .timeLimit(.minutes(6)))
        func configuration() async throws {
            let cluster = try ProcessCluster()
            defer { cluster.remove() }
            let good = try String(contentsOfFile: cluster.configPath, encoding: .utf8)
            let table: [(String, [String])] = [
                ("", ["cluster.json"]),
                ("{", ["cluster.json"]),
                (good.replacing(#""replication":3"#, with: #""replication":4"#), ["replication"]),
                (good.replacing(#""replication":3"#, with: #""replicas":3"#), ["replic"]),
                (good.replacing("node-2", with: "node-1"), ["nodes[1].id"]),
                (good.replacing("scrypt_log_n", with: "scrypt"), ["security.scrypt"]),
                (good.replacing(#""scrypt_log_n":10"#, with: #""scrypt_log_n":"ten""#), ["security.scrypt_log_n"]),
                (good.replacing("\(cluster.nodes[1].peerPort)", with: "\(cluster.nodes[0].adminPort)"), ["peer_port"]),
            ]
            for (text, words) in table {
                try cluster.write(text)
                let child = try await node(cluster)
                oneLine(child, 78)
                for word in words { #expect(child.errors.contains(word), "\(child.errors)") }
            }
            try FileManager.default.removeItem(atPath: cluster.configPath)
            oneLine(try await node(cluster), 78, naming: "cluster.json")
        }

        @Test("Certificates: 78 and the command where they are missing, which then helps", .timeLimit(.minutes(6)))
        func certificates() async throws {
            let cluster = try ProcessCluster(
                nodes: 1, settings: #","security":{"scrypt_log_n":10,"certificates":"tls"}"#)
            defer { cluster.remove() }
            oneLine(try await node(cluster), 78, naming: "tls/node-1.pem", "roost certs issue --id node-1")
            let options = ["--ca", cluster.directory + "/ca", "--config", cluster.configPath]
            func run(_ arguments: [String]) async throws -> ChildProcess {
                try await RoostProgram.run(["certs"] + arguments + options, in: cluster.directory)
            }
            oneLine(try await run(["issue", "--id", "node-1"]), 78, naming: "roost certs init")
            #expect(try await run(["init"]).status == .code(0))
            oneLine(try await run(["init"]), 73, naming: "has a CA already")
            #expect(try await run(["issue", "--id", "node-1"]).status == .code(0))
            oneLine(try await run(["issue", "--id", "node-1"]), 73, naming: "roost certs renew")
            #expect(try await run(["show"]).output.contains("node-1"))
            try cluster.start(0)
            try await cluster.ready()
            #expect(try await run(["renew"]).status == .code(0))
            let metrics = String(decoding: try await cluster.admin(0, "/metrics").body, as: UTF8.self)
            #expect(metrics.contains(#"roost_certificate_expiry_timestamp_seconds{kind="peer"}"#))
            #expect(try await cluster.terminate(0) == .code(0))
        }

        @Test("An unknown node: 78; a wrong command line: 64", .timeLimit(.minutes(6)))
        func commandLine() async throws {
            let cluster = try ProcessCluster()
            defer { cluster.remove() }
            oneLine(try await node(cluster, ["--id", "node-9"]), 78, naming: "node-9")
            oneLine(try await node(cluster, ["--id", "node-1", "--log-level", "loud"]), 64, naming: "loud")
            for arguments in [["dance"], ["node"], ["node", "--id"], ["up", "--nodes", "3"]] {
                let child = try await RoostProgram.run(arguments, in: cluster.directory)
                #expect(child.status == .code(64), "\(arguments)")
                #expect(child.errors.contains("--help"), "\(child.errors)")
                #expect(child.output == "")
            }
        }

        @Test(
            "One node alone, R=1: ready line, messages, drained SIGTERM, and all is there again",
            .timeLimit(.minutes(6)))
        func single() async throws {
            try await ProcessCluster.run(nodes: 1) { cluster in
                let own = cluster.nodes[0]
                let line =
                    "ready node-1 client=http://127.0.0.1:\(own.clientPort) admin=http://127.0.0.1:\(own.adminPort)\n"
                try await eventually("it says so") { try cluster.child(0).output == line }
                #expect(
                    try cluster.child(0).errors.contains("WARN  replication is 1: each message is on one node alone"))
                let alice = try await cluster.account("alice")
                let bob = try await cluster.account("bob")
                let talk = try await cluster.conversation("direct", alice, with: [bob])
                let phone = try await cluster.live(bob, "phone", at: 0)
                let desk = try await cluster.live(alice, "desk", at: 0)
                #expect(try await desk.say("1", to: talk)["seq"].int == 1)
                try await eventually("delivery") { phone.contents == ["1"] }
                #expect(try await cluster.terminate(0) == .code(0))
                // Draining: come again, to another node if there is one.
                #expect([1001, 1012].contains(try await desk.closed()))

                try cluster.start(0)
                try await cluster.ready()
                let again = try await cluster.live(alice, "desk", at: 0)
                #expect(try await again.say("2", to: talk)["seq"].int == 2)
                let fresh = try await cluster.live(bob, "tablet", at: 0)
                #expect(fresh.contents == ["1", "2"])
                #expect(try await cluster.terminate(0) == .code(0))
            }
        }

        @Test("SIGTERM drains: leaders move before, sends elsewhere go on, the node is `left`", .timeLimit(.minutes(6)))
        func drain() async throws {
            try await ProcessCluster.run { cluster in
                let alice = try await cluster.account("alice")
                let bob = try await cluster.account("bob")
                var talks: [String] = []
                for number in 0..<6 {
                    talks.append(try await cluster.conversation("group", alice, with: [bob], name: "\(number)"))
                }
                let phone = try await cluster.live(bob, "phone", at: 1)
                let leaving = try await cluster.live(bob, "leaving", at: 2)
                let load = Load(cluster, alice, "desk", to: talks)
                try await load.run(at: 0) {
                    try await eventually("some are accepted") { load.accepted.count >= 30 }
                    #expect(try await cluster.terminate(2) == .code(0))
                    let count = load.accepted.count
                    try await eventually("it goes on") { load.accepted.count >= count + 30 }
                    for node in 0..<2 {
                        try await eventually("\(node) knows that it left", within: .seconds(5)) {
                            try await cluster.member(2, seenBy: node)["status"].string == "left"
                        }
                    }
                }
                #expect(leaving.closeCode == 1012)
                #expect(load.longestWait < Patience.times(.seconds(1)))
                #expect(load.errors == [])
                try await eventually("delivery") { Deliveries(sessions: [phone]).has(load.accepted) }
                #expect(Deliveries(sessions: [phone]).faults(accepted: load.accepted) == [])
            }
        }
    }
}
