import Foundation
import Testing

@testable import RoostCLI

extension ProcessSuite {
    @Suite("roost up")
    struct UpTests {
        /// Processes with this word on their command line.
        private func processes(naming word: String) -> [(pid: pid_t, arguments: [String])] {
            let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
            return entries.compactMap { entry in
                guard let pid = pid_t(entry), let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline")
                else { return nil }
                let arguments = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
                return arguments.contains { $0.contains(word) } ? (pid, arguments) : nil
            }
        }

        /// As a node's own lock file tells.
        private func pid(of id: String, _ cluster: ProcessCluster) -> pid_t? {
            guard let text = FileManager.default.contents(atPath: "\(cluster.directory)/data/\(id)/roost.lock")
            else { return nil }
            return pid_t(String(decoding: text, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
        }

        private func up(_ cluster: ProcessCluster) throws -> ChildProcess {
            try ChildProcess(
                try RoostProgram.path(), ["up", "--config", cluster.configPath], log: cluster.directory + "/up")
        }

        /// Runs `body` beside `up`, tells all that was printed where it fails, and leaves no process behind.
        private func withUp(_ body: (ProcessCluster, ChildProcess) async throws -> Void) async throws {
            let cluster = try ProcessCluster()
            defer { cluster.remove() }
            let up = try up(cluster)
            defer { for process in processes(naming: cluster.directory) { kill(process.pid, SIGKILL) } }
            do {
                try await eventually("all are ready") { up.output.contains("cluster process-test ready: 3 nodes\n") }
                try await body(cluster, up)
            } catch {
                print("\(error)\n\(up.output)\n\(up.errors)")
                throw error
            }
        }

        @Test(
            "It tells where each node listens, starts a killed one again, and SIGTERM drains all",
            .timeLimit(.minutes(6)))
        func up() async throws {
            try await withUp { cluster, up in
                func ready(_ node: LocalCluster.Node) -> String {
                    "\(node.id) ready: clients http://127.0.0.1:\(node.clientPort), "
                        + "admin http://127.0.0.1:\(node.adminPort)"
                }
                func readyLines(_ node: LocalCluster.Node) -> Int {
                    up.output.split(separator: "\n").count { $0 == ready(node) }
                }
                for node in cluster.nodes { #expect(readyLines(node) == 1, "\(up.output)") }
                let alice = try await cluster.account("alice", at: 2)

                let first = try pid(of: "node-2", cluster).orThrow("no process of node-2")
                kill(first, SIGKILL)
                try await eventually("node-2 is ready again") { readyLines(cluster.nodes[1]) == 2 }
                #expect(pid(of: "node-2", cluster) != first)
                #expect(up.errors.contains("roost: node-2 was killed (signal 9); starting it again in 0.5 s\n"))
                #expect(try await cluster.api(1, "GET", "conversations", token: alice.token).status == 200)

                let session = try await cluster.live(alice, "d", at: 1)
                let stopped = ContinuousClock.now
                up.kill(SIGTERM)
                #expect(try await up.exited() == .code(0))
                // Nobody waits until `drain_ms` is over for somebody to take a leadership.
                #expect(ContinuousClock.now - stopped < Patience.times(.seconds(2)))
                #expect([1001, 1012].contains(try await session.closed()))
                #expect(processes(naming: cluster.directory).isEmpty)
            }
        }

        @Test("What it prints: a line for each event, with the node's name before it", .timeLimit(.minutes(6)))
        func lines() async throws {
            try await withUp { cluster, up in
                kill(try pid(of: "node-2", cluster).orThrow("no process of node-2"), SIGKILL)
                try await eventually("it is back") { up.errors.contains("node-2 was killed") }
                try await eventually("all are linked with it again") {
                    let lines = up.errorLines
                    func links(_ node: Int, _ peer: Int) -> Int {
                        lines.count { $0.hasPrefix("node-\(node) | ") && $0.contains("node-\(peer): link up") }
                    }
                    guard [(1, 2), (3, 2), (2, 1), (2, 3)].allSatisfy({ links($0.0, $0.1) == 2 }) else { return false }
                    return up.output.split(separator: "\n").count { $0.hasPrefix("node-2 ready") } == 2
                }
                up.kill(SIGTERM)
                #expect(try await up.exited() == .code(0))

                let own = up.errorLines.filter { $0.hasPrefix("roost: ") }
                #expect(
                    own == [
                        "roost: node-2 was killed (signal 9); starting it again in 0.5 s",
                        "roost: stopping: all nodes drain; once more kills them", "roost: all nodes have stopped",
                    ])
                let nodes = up.errorLines.filter { !$0.hasPrefix("roost: ") }
                #expect(
                    nodes.allSatisfy {
                        $0.contains(/^node-[123] \| \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO |WARN ) \S/)
                    })
                for node in 1...3 {
                    let said = nodes.filter { $0.hasPrefix("node-\(node) | ") }.map { String($0.dropFirst(34)) }
                    func count(_ text: String) -> Int { said.count { $0.contains(text) } }
                    let lives = node == 2 ? 2 : 1
                    #expect(count(" starts data_dir=") == lives, "\(said)")
                    #expect(count("draining leads=") == 1 && count("stopped") == 1, "\(said)")
                    #expect(count("node-2: link lost: ") == (node == 2 ? 0 : 1), "\(said)")
                    for peer in 1...3 where peer != node {
                        let links = node == 2 ? 2 : peer == 2 ? 2 : 1
                        #expect(count("node-\(peer): link up") == links, "\(said)")
                    }
                }
                // No words of programmers, and nothing amiss at the end of an orderly stop.
                for word in ["errno", "descriptor", "NIO", "queue is full", "Error("] {
                    #expect(!up.errors.contains(word), "\(word): \(up.errors)")
                }
                // A node that was killed is lost, and on a slow machine dead and not reached for a while.
                let ofTheKilled = ["node-2: link lost: ", "node-2: dead: ", "node-2: not reached: "]
                let warnings = nodes.filter { line in
                    line.contains("WARN") && !ofTheKilled.contains { line.contains($0) }
                }
                #expect(warnings.isEmpty, "\(warnings)")
            }
        }

        @Test("A node that keeps dying is started later each time", .timeLimit(.minutes(6)))
        func backOff() async throws {
            try await withUp { cluster, up in
                for (round, delay) in ["0.5", "1", "2"].enumerated() {
                    let pid = try pid(of: "node-3", cluster).orThrow("no process of node-3")
                    kill(pid, SIGKILL)
                    try await eventually("death \(round) is told") {
                        up.errors.contains("node-3 was killed (signal 9); starting it again in \(delay) s")
                    }
                    try await eventually("it is there again") {
                        self.pid(of: "node-3", cluster).map { $0 != pid } ?? false
                    }
                }
                up.kill(SIGTERM)
                #expect(try await up.exited() == .code(0))
            }
        }

        @Test("Killed itself, it leaves nothing behind either", .timeLimit(.minutes(6)))
        func upKilled() async throws {
            try await withUp { cluster, up in
                up.kill(SIGKILL)
                _ = try await up.exited()
                try await eventually("its nodes end") { processes(naming: cluster.directory).isEmpty }
            }
        }

        /// `up` ends by itself; the lines it printed.
        private func ends(_ cluster: ProcessCluster, _ code: Int32) async throws -> [Substring] {
            let up = try await RoostProgram.run(
                ["up", "--config", cluster.configPath, "--log-level", "error"], in: cluster.directory)
            #expect(up.status == .code(code), "\(up.errors)")
            #expect(up.output == "")
            #expect(processes(naming: cluster.directory).isEmpty)
            return up.errorLines
        }

        @Test("A port in use: 69, and which", .timeLimit(.minutes(6)))
        func portInUse() async throws {
            let cluster = try ProcessCluster()
            defer { cluster.remove() }
            let port = cluster.nodes[1].clientPort
            let squatter = Wire.Squatter(port: port)
            defer { withExtendedLifetime(squatter) {} }
            let lines = try await ends(cluster, 69)
            #expect(
                lines == [
                    "node-2 | roost: cannot listen on 127.0.0.1:\(port) (client_port): "
                        + "the port is in use by another process",
                    "roost: node-2 exited with 69; trying again can't help, stopping all",
                ])
        }

        @Test("A data directory that can't be made: 73, and which", .timeLimit(.minutes(6)))
        func dataDirectory() async throws {
            let cluster = try ProcessCluster()
            defer { cluster.remove() }
            try FileManager.default.createDirectory(
                atPath: cluster.directory + "/data", withIntermediateDirectories: true)
            // Not by permissions: root, as which tests may run, needs none.
            try Data("a file".utf8).write(to: URL(fileURLWithPath: cluster.directory + "/data/node-3"))
            let lines = try await ends(cluster, 73)
            #expect(lines.count == 2 && lines[0].hasPrefix("node-3 | roost: data_dir "), "\(lines)")
            #expect(lines.last == "roost: node-3 exited with 73; trying again can't help, stopping all")
        }

        @Test("A wrong file: 78 and one line, before any node is started", .timeLimit(.minutes(6)))
        func wrongFile() async throws {
            let cluster = try ProcessCluster()
            defer { cluster.remove() }
            let good = try String(contentsOfFile: cluster.configPath, encoding: .utf8)
            try cluster.write(good.replacing("replication", with: "replicas"))
            let lines = try await ends(cluster, 78)
            #expect(lines.count == 1 && lines[0].hasPrefix("roost: ") && lines[0].contains("replication"), "\(lines)")
            try FileManager.default.removeItem(atPath: cluster.configPath)
            #expect(try await ends(cluster, 78).count == 1)
        }
    }
}
