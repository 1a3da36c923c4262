import Foundation
import Testing

@testable import RoostCLI

extension ProcessSuite {
    @Suite("Commands against a cluster", .cluster())
    struct CommandTests {
        private struct Outcome {
            var code: Int32?
            var output: String
            var errors: [Substring]
        }

        /// Each test keeps its tokens in a directory of its own. The input is one line, or none.
        private func roost(
            _ cluster: ProcessCluster, home: String, _ arguments: [String], input: String = ""
        ) async throws -> Outcome {
            func quoted(_ text: String) -> String { "'" + text.replacing("'", with: #"'\''"#) + "'" }
            let command = ([try RoostProgram.path()] + arguments).map(quoted).joined(separator: " ")
            let script =
                "cd \(quoted(cluster.directory)) && printf %s \(quoted(input)) | XDG_CONFIG_HOME=\(quoted(home)) \(command)"
            let child = try ChildProcess("/bin/sh", ["-c", script], log: "\(cluster.directory)/command-\(newID())")
            guard case .code(let code) = try await child.exited(within: .seconds(30)) else {
                return Outcome(code: nil, output: child.output, errors: child.errorLines)
            }
            return Outcome(code: code, output: child.output, errors: child.errorLines)
        }

        private func fails(
            _ cluster: ProcessCluster, home: String, _ code: Int32, _ words: String, _ arguments: [String],
            input: String = ""
        ) async throws {
            let outcome = try await roost(cluster, home: home, arguments, input: input)
            #expect(outcome.code == code, "\(arguments): \(outcome.errors)")
            let errors = outcome.errors.filter { !$0.hasPrefix("connected to ") }
            #expect(errors.count == 1 && errors[0].hasPrefix("roost: "), "\(arguments): \(errors)")
            #expect(errors.last?.contains(words) == true, "\(arguments): \(errors)")
        }

        private func newHome(_ cluster: ProcessCluster) -> String { "\(cluster.directory)/home-\(newID())" }

        @Test("users create, list, disable and enable", .timeLimit(.minutes(6)))
        func users() async throws {
            let cluster = try ProcessCluster.shared
            let home = newHome(cluster)
            func run(_ arguments: String...) async throws -> Outcome {
                try await roost(cluster, home: home, arguments)
            }
            let made = try await run(
                "users", "create", "--username", "Root", "--password", "long enough", "--role", "admin")
            #expect(made.code == 0 && made.output.hasPrefix("made Root, role admin, user id "), "\(made)")
            let id = made.output.split(separator: " ").last?.trimmingCharacters(in: .newlines) ?? ""
            #expect(UUID(uuidString: id) != nil)
            try await fails(
                cluster, home: home, 1, "the username is taken",
                ["users", "create", "--username", "root", "--password", "long enough"])
            try await fails(
                cluster, home: home, 1, "at least 8 characters",
                ["users", "create", "--username", "short", "--password", "p"])
            try await fails(
                cluster, home: home, 64, "--role",
                ["users", "create", "--username", "x", "--password", "long enough", "--role", "king"])
            let list = try await run("users", "list")
            #expect(list.output.contains(#/(?m)^USERNAME +ROLE +STATUS +USER ID$/#), "\(list)")
            #expect(list.output.contains("Root") && list.output.contains(id))
            let json = try await run("users", "list", "--json")
            let entry = try JSON(json.output.utf8).array.first { $0["user_id"].string == id }
            #expect(entry?["role"].string == "admin" && entry?["disabled"].bool == false, "\(json)")

            #expect(try await run("login", "--username", "Root", "--password", "long enough").code == 0)
            #expect(try await run("call", "--user", "Root", "--endpoint", "conversations").output == "[]\n")
            let disabled = try await run("users", "disable", "--username", "root")
            #expect(disabled.code == 0 && disabled.output == "disabled root\n", "\(disabled)")
            try await fails(
                cluster, home: home, 77, "disabled", ["login", "--username", "Root", "--password", "long enough"])
            try await eventually("the token is refused", within: .seconds(2)) {
                try await run("call", "--user", "Root", "--endpoint", "conversations").code == 77
            }
            try await fails(cluster, home: home, 77, "token", ["ws", "--user", "Root"])
            #expect(try await run("users", "list").output.contains(#/Root +admin +disabled/#))
            #expect(try await run("users", "enable", "--user-id", id).code == 0)
            #expect(try await run("login", "--username", "Root", "--password", "long enough").code == 0)
            try await fails(cluster, home: home, 1, "no such user", ["users", "disable", "--username", "nobody"])
            try await fails(cluster, home: home, 64, "--user-id", ["users", "disable", "--user-id", "x"])
            try await fails(cluster, home: home, 64, "--username", ["users", "disable"])
        }

        @Test("What goes wrong is one line, and a code for scripts", .timeLimit(.minutes(6)))
        func errors() async throws {
            let cluster = try ProcessCluster.shared
            let home = newHome(cluster)
            let alice = try await cluster.account("alice-\(newID().prefix(8))")
            let bob = try await cluster.account("bob-\(newID().prefix(8))")
            let talk = try await cluster.conversation("group", bob, with: [], name: "bob's own")
            let login = ["login", "--username", alice.name, "--password"]
            #expect(try await roost(cluster, home: home, login + [ProcessCluster.password]).code == 0)
            let nobody = "http://127.0.0.1:\(try FreePorts.take(1)[0])"
            let call = ["call", "--user", alice.name, "--endpoint"]
            let ws = ["ws", "--user", alice.name]
            let table: [(Int32, String, [String])] = [
                (77, "username or password is wrong", login + ["wrong"]),
                (69, "connection refused", login + ["x", "--server", nobody]),
                (64, "--server", login + ["x", "--server", "nonsense"]),
                (64, "--password is missing", ["login", "--username", alice.name]),
                (1, "taken", ["register", "--username", alice.name, "--password", "x"]),
                (77, "admin", ["register", "--username", "new", "--password", "x", "--role", "admin"]),
                (69, "connection refused", ["register", "--username", "n", "--password", "x", "--server", nobody]),
                (77, "nobody is not logged in", ["call", "--user", "nobody", "--endpoint", "conversations"]),
                (77, "not_member", call + ["conversations/\(talk)"]),
                (1, "unknown_conversation", call + ["conversations/\(newID())"]),
                (1, "unknown_user", call + ["users?username=nobody"]),
                (1, "not_found", call + ["no/such/path"]),
                (64, "--method", call + ["conversations", "--method", "brew"]),
                (64, "--body", call + ["conversations", "--method", "post", "--body", "{"]),
                (64, "--since", call + ["sync", "--since", "yesterday"]),
                (1, "not_member", ws + ["--conversation", talk]),
                (1, "unknown_user", ws + ["--to", "nobody"]),
                (1, "nobody to send to", ws),
                (64, "--conversation", ws + ["--conversation", "x"]),
                (64, "--device-id", ws + ["--device-id", "a b"]),
                (64, "--start", ws + ["--start", "never"]),
                (77, "nobody is not logged in", ["ws", "--user", "nobody"]),
                (69, "connection refused", ["status", "--admin", nobody]),
                (69, "connection refused", ["users", "list", "--admin", nobody]),
                (64, "--admin", ["status", "--admin", "nonsense"]),
            ]
            for (code, words, arguments) in table {
                try await fails(cluster, home: home, code, words, arguments, input: "a line\n")
            }
            let bad = try await roost(cluster, home: home, ws, input: #"{"op":"dance"}"# + "\n")
            #expect(bad.code == 1 && bad.errors.last?.contains("unknown_op") == true, "\(bad)")
        }

        @Test("status and ws with a node down, and with all of them", .timeLimit(.minutes(6)))
        func nodesDown() async throws {
            try await ProcessCluster.run { cluster in
                let home = newHome(cluster)
                let alice = try await cluster.account("alice")
                #expect(
                    try await roost(
                        cluster, home: home, ["login", "--username", "alice", "--password", ProcessCluster.password]
                    ).code == 0)
                let watch = try ChildProcess(
                    try RoostProgram.path(), ["status", "--watch", "--config", "\(cluster.directory)/cluster.json"],
                    log: "\(cluster.directory)/watch-\(newID())")
                try await eventually("the table is there") { watch.output.contains("as node-1 sees it") }
                try await cluster.kill(0)
                try await eventually("it is missed") {
                    try await cluster.member(0, seenBy: 1)["status"].string == "dead"
                }
                try await eventually("it is seen to die") {
                    watch.output.contains(#/(?m)^[0-9:]{8} node-1 is dead, was /#)
                }
                watch.kill(SIGINT)
                #expect(try await watch.exited(within: .seconds(10)) == .code(0), "\(watch.output)")
                try await eventually("every partition has a leader") {
                    try await roost(cluster, home: home, ["status"]).output.contains("all with a leader")
                }
                let status = try await roost(cluster, home: home, ["status"])
                #expect(status.code == 0 && status.output.contains("as node-2 sees it"), "\(status)")
                #expect(status.output.contains(#/(?m)^node-1 +dead /#), "\(status)")
                #expect(status.output.contains(#/(?m)^node-2 - node-1 +no: /#), "\(status)")
                // The first of the file is gone: the client goes on with the next by itself, or, if that takes its time, with
                // the one after.
                let said = try await roost(
                    cluster, home: home, ["ws", "--user", "alice", "--to", "alice"], input: "me\n")
                let others: [[Substring]] = [["connected to node-2"], ["connected to node-3"]]
                #expect(said.code == 0 && others.contains(said.errors), "\(said)")
                try await cluster.kill([1, 2])
                for arguments in [["status"], ["users", "list"], ["ws", "--user", "alice"]] {
                    try await fails(cluster, home: home, 69, "connection refused", arguments)
                }
                _ = alice
            }
        }
    }
}
