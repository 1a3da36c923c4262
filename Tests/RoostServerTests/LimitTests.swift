import Logging
import NIOConcurrencyHelpers
import NIOCore
import RoostModel
import RoostNode
import RoostProtocol
import Testing

@testable import RoostServer

/// What one address, one user or one who guesses may do. The fake node's clock stands still unless a test moves it.
@Suite(.timeLimit(.minutes(5))) struct LimitTests {
    private func login(_ server: TestServer, _ name: String, _ password: String) async throws -> TestResponse {
        try await server.connect().call(
            "POST", "/api/login", body: #"{"username":"\#(name)","password":"\#(password)"}"#)
    }

    private func register(_ server: TestServer, _ name: String, _ password: String = "right") async throws
        -> TestResponse
    {
        try await server.connect().call(
            "POST", "/api/register", body: #"{"username":"\#(name)","password":"\#(password)"}"#)
    }

    private func pass(_ seconds: Int64, at server: TestServer) {
        server.node.state.withLockedValue { $0.wall += seconds * 1_000_000 }
    }

    /// Wrong passwords end in 429, before anything is hashed, for this name alone; and end again.
    @Test func guessingCostsTheOneWhoGuesses() async throws {
        let node = FakeNode { $0.limits.failedLoginsPerMinute = 3 }
        try await TestServer.run(node: node) { server in
            _ = try await register(server, "alice")
            _ = try await register(server, "bob")
            for _ in 0..<3 { #expect(try await login(server, "alice", "wrong").status == 401) }
            let refused = try await login(server, "alice", "right")
            #expect(refused.status == 429 && refused.code == "rate_limited" && refused.headers["retry-after"] == "20")
            #expect(try await login(server, "bob", "right").status == 200)
            // One that does not exist is guarded alike.
            for _ in 0..<3 { #expect(try await login(server, "eve", "wrong").status == 401) }
            #expect(try await login(server, "eve", "wrong").status == 429)
            pass(20, at: server)
            #expect(try await login(server, "alice", "right").status == 200)
            #expect(try await login(server, "alice", "right").status == 200)
        }
    }

    @Test func loginsAndRegistrationsOfAnAddress() async throws {
        let node = FakeNode {
            $0.limits.loginsPerMinuteAddress = 2
            $0.limits.registrationsPerMinuteAddress = 1
            $0.limits.limitLoopback = 1
        }
        try await TestServer.run(node: node) { server in
            #expect(try await register(server, "alice").status == 200)
            let refused = try await register(server, "bob")
            #expect(refused.status == 429 && refused.headers["retry-after"] == "60")
            for _ in 0..<2 { #expect(try await login(server, "alice", "right").status == 200) }
            #expect(try await login(server, "alice", "right").status == 429)
            pass(60, at: server)
            #expect(try await register(server, "bob").status == 200)
            #expect(try await login(server, "alice", "right").status == 200)
        }
    }

    /// Behind a proxy on the same machine all clients have its address.
    @Test func loopbackIsNotLimitedByAddress() async throws {
        let node = FakeNode {
            $0.limits.loginsPerMinuteAddress = 1
            $0.limits.registrationsPerMinuteAddress = 1
            $0.limits.handshakesPerSecondAddress = 1
            $0.limits.maxConnectionsPerAddress = 1
        }
        try await TestServer.run(node: node) { server in
            for name in ["a", "b", "c"] {
                let registered = try await register(server, name)
                let loggedIn = try await login(server, name, "right")
                #expect(registered.status == 200 && loggedIn.status == 200)
            }
        }
    }

    @Test func callsOfAUser() async throws {
        let node = FakeNode { $0.limits.callsPerSecondUser = 1 }
        try await TestServer.run(node: node) { server in
            let alice = try await server.user("alice")
            let bob = try await server.user("bob")
            let connection = try await server.connect()
            for _ in 0..<10 {
                #expect(try await connection.call("GET", "/api/conversations", token: alice.token).status == 200)
            }
            let refused = try await connection.call("GET", "/api/conversations", token: alice.token)
            #expect(refused.status == 429 && refused.headers["retry-after"] == "1")
            #expect(try await connection.call("GET", "/api/conversations", token: bob.token).status == 200)
        }
    }

    @Test func shortPasswordsAreRefusedWhereTheClusterSaysSo() async throws {
        let node = FakeNode { $0.limits.passwordMin = 8 }
        try await TestServer.run(node: node) { server in
            let refused = try await register(server, "alice", "1234567")
            #expect(refused.status == 400 && refused.text.contains("8 characters"))
            #expect(try await register(server, "alice", "ÄÖÜ45678").status == 200)
        }
    }

    // MARK: Connections

    private func gate(_ perAddress: Int, _ newPerSecond: Int = 0, total: Int = 100) -> ConnectionGate {
        var limits = ConnectionLimits(total: total)
        limits.perAddress = perAddress
        limits.newPerSecond = newPerSecond
        return ConnectionGate(limits: limits)
    }

    private func address(_ text: String) throws -> ClientAddress {
        ClientAddress(try SocketAddress(ipAddress: text, port: 9))
    }

    @Test func connectionsOfOneAddress() throws {
        let gate = gate(2, total: 3)
        let (a, b) = (try address("192.0.2.1"), try address("192.0.2.2"))
        #expect(gate.enter(a, now: 1) == .entered && gate.enter(a, now: 1) == .entered)
        guard case .refused(let seconds) = gate.enter(a, now: 1) else {
            Issue.record("a third of the same address")
            return
        }
        #expect((3...12).contains(seconds))
        #expect(gate.enter(b, now: 1) == .entered)
        // The third in total, whoever comes.
        let third = try address("192.0.2.3")
        #expect(gate.enter(third, now: 1) != .entered && gate.open == 3)
        gate.leave(a)
        #expect(gate.enter(a, now: 1) == .entered)
        for address in [a, a, b] { gate.leave(address) }
        #expect(gate.open == 0)
    }

    @Test func newConnectionsOfOneAddress() throws {
        let gate = gate(0, 2)
        let a = try address("2001:db8::1")
        let second: UInt64 = 1_000_000_000
        for _ in 0..<10 { #expect(gate.enter(a, now: second) == .entered) }
        #expect(gate.enter(a, now: second) == .refused(retryAfter: 1))
        // The whole /64 is one.
        let (near, far) = (try address("2001:db8::ffff:1"), try address("2001:db8:0:1::1"))
        #expect(gate.enter(near, now: second) == .refused(retryAfter: 1))
        #expect(gate.enter(far, now: second) == .entered)
        #expect(gate.enter(a, now: 2 * second) == .entered)
    }

    /// Beyond a limit, where it takes a handshake to say so.
    @Test func refusalsAreBoundedInNumberAndRate() throws {
        let gate = gate(0)
        let second: UInt64 = 1_000_000_000
        for _ in 0..<64 { #expect(gate.beginRefusal(now: second)) }
        #expect(!gate.beginRefusal(now: 9 * second))
        for _ in 0..<64 { gate.endRefusal() }
        #expect(!gate.beginRefusal(now: second) && gate.beginRefusal(now: second + second / 64))
        #expect(gate.open == 0)
    }

    @Test func addressesAreWhatTheyAre() throws {
        for text in ["127.8.9.1", "::1", "::ffff:127.0.0.1"] {
            #expect(try address(text).isLoopback, "\(text)")
        }
        for text in ["128.0.0.1", "::2", "fe80::1"] {
            #expect(try !address(text).isLoopback, "\(text)")
        }
        #expect(try address("::ffff:192.0.2.1") == address("192.0.2.1"))
        #expect(try address("192.0.2.1") != address("192.0.2.2"))
    }

    /// Over a socket: refused with 503 and `Retry-After` before anything is read.
    @Test func tooManyOfAnAddressAreTurnedAway() async throws {
        let node = FakeNode {
            $0.limits.maxConnectionsPerAddress = 1
            $0.limits.limitLoopback = 1
        }
        try await TestServer.run(node: node) { server in
            let first = try await server.connect()
            #expect(try await first.call("GET", "/api/none").status == 404)
            let second = try await server.connect()
            let refused = try await second.response()
            #expect(refused.status == 503 && refused.headers["retry-after"] != nil)
        }
    }

    // MARK: Operators

    @Test func operatorsAreToldApart() {
        let tokens = AdminTokens([("adam", "0123456789abcdef"), ("eve", "fedcba9876543210")], isOpen: false)
        #expect(tokens.name(of: "fedcba9876543210") == "eve")
        #expect(tokens.name(of: "0123456789abcdeX") == nil && tokens.name(of: "") == nil && tokens.name(of: nil) == nil)
        #expect(AdminTokens([], isOpen: true).name(of: nil) == "loopback")
        #expect(AdminTokens([("eve", "fedcba9876543210")], isOpen: true).name(of: "fedcba9876543210") == "eve")
        // Where it is closed, nothing opens it by being empty.
        #expect(AdminTokens([], isOpen: false).name(of: nil) == nil)
    }

    @Test func whoDidWhatIsOneLine() async throws {
        let log = LogLines()
        let logger = Logger(label: "audit") { _ in log }
        try await TestServer.run(adminTokens: [("eve", "fedcba9876543210")], logger: logger) { server in
            let admin = try await server.connectAdmin()
            let user = try await server.user("alice")
            let token = "fedcba9876543210"
            _ = try await admin.call("GET", "/admin/users", token: token)
            #expect(log.all.isEmpty, "looking changes nothing")
            _ = try await admin.call("POST", "/admin/users/\(user.id)/disable", token: token)
            _ = try await admin.call(
                "POST", "/admin/users", token: token, body: #"{"username":"zoe","password":"secret words"}"#)
            _ = try await admin.call("POST", "/admin/users/\(UserID(foldedUsername: "no"))/disable", token: token)
            _ = try await admin.call("GET", "/admin/cluster", token: "guess")
            let lines = log.all
            #expect(lines.map { $0["by"] } == ["eve", "eve", "eve", "unknown"])
            #expect(lines.map { $0["status"] } == ["200", "200", "404", "401"])
            #expect(lines.map { $0["from"] } == Array(repeating: "127.0.0.1", count: 4))
            #expect(lines.first?["path"] == "/admin/users/\(user.id)/disable" && lines.first?["method"] == "POST")
            #expect(lines[1]["what"] == "username=zoe role=user")
            #expect(!lines.contains { $0.values.contains { $0.contains("secret") || $0.contains("guess") } })
        }
    }
}

/// Keeps the metadata of what is logged as "audit".
private struct LogLines: LogHandler {
    private let lines = NIOLockedValueBox<[[String: String]]>([])
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    var all: [[String: String]] { lines.withLockedValue { $0 } }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        guard event.message == "audit" else { return }
        lines.withLockedValue { $0.append((event.metadata ?? [:]).mapValues { "\($0)" }) }
    }
}
