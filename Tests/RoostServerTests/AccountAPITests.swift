import NIOConcurrencyHelpers
import NIOCore
import RoostModel
import RoostNode
import RoostProtocol
import Testing

@testable import RoostServer

@Suite(.timeLimit(.minutes(5))) struct AccountAPITests {
    @Test func registerLoginAndFind() async throws {
        try await TestServer.run { server in
            let connection = try await server.connect()
            let made = try await connection.call(
                "POST", "/api/register", body: #"{"username":"Ålice","password":"B"}"#)
            #expect(made.status == 200)
            #expect(made.object["message"] is String)
            #expect(made.object["created_at"] as? String == "2023-11-14T22:13:20.000000Z")
            let id = made.object["user_id"] as? String
            #expect(id == UsernameRules.userID(of: "ålice")?.description)

            let again = try await connection.call(
                "POST", "/api/register", body: #"{"username":"A\u030aLICE","password":"x"}"#)
            #expect(again.status == 409)
            #expect(again.code == "username_taken")

            let login = try await connection.call(
                "POST", "/api/login", body: #"{"username":"ÅLICE","password":"B"}"#)
            #expect(login.status == 200)
            #expect(login.object["token_type"] as? String == "bearer")
            #expect(login.object["expires_in"] as? Int == 86_400)
            #expect(login.object["user_id"] as? String == id)
            let token = try #require(login.object["access_token"] as? String)
            #expect(try await server.tokens.verify(token).role == .user)

            let found = try await connection.call("GET", "/api/users?username=%C3%A5lice", token: token)
            #expect(found.object["user_id"] as? String == id)
            #expect(found.object["username"] as? String == "Ålice")
            #expect(try await connection.call("GET", "/api/users?username=nobody", token: token).status == 404)
            #expect(try await connection.call("GET", "/api/users", token: token).code == "missing_field")
        }
    }

    @Test func wrongLoginsAreAlike() async throws {
        try await TestServer.run { server in
            let connection = try await server.connect()
            _ = try await connection.call("POST", "/api/register", body: #"{"username":"bob","password":"b"}"#)
            let wrong = try await connection.call("POST", "/api/login", body: #"{"username":"bob","password":"c"}"#)
            let unknown = try await connection.call("POST", "/api/login", body: #"{"username":"eve","password":"c"}"#)
            let impossible = try await connection.call("POST", "/api/login", body: #"{"username":"","password":"c"}"#)
            #expect(wrong.status == 401)
            #expect(wrong.text == unknown.text)
            #expect(wrong.text == impossible.text)
            server.node.state.withLockedValue { state in
                for user in state.accounts.keys { state.accounts[user]?.disabled = true }
            }
            let disabled = try await connection.call("POST", "/api/login", body: #"{"username":"bob","password":"b"}"#)
            #expect(disabled.text == wrong.text)
        }
    }

    @Test(arguments: [
        (#"{"username":"a"}"#, "missing_field", "password"), (#"{"password":"a"}"#, "missing_field", "username"),
        (#"{"username":1,"password":"a"}"#, "invalid_field", "username"),
        (#"{"username":null,"password":"a"}"#, "invalid_field", "username"),
        (#"{"username":"","password":"a"}"#, "invalid_field", "username"),
        (#"{"username":"a","password":""}"#, "invalid_field", "password"),
        (#"{"username":"a","password":"b","role":"root"}"#, "invalid_field", "role"),
        (#"{"username":"a""#, "invalid_json", "JSON"), ("", "invalid_json", "JSON"), ("[]", "invalid_json", "JSON"),
        ("7", "invalid_json", "JSON"),
    ])
    func wrongBodiesNameTheField(_ body: String, _ code: String, _ named: String) async throws {
        try await TestServer.run { server in
            let response = try await server.connect().call("POST", "/api/register", body: body)
            #expect(response.status == 400)
            #expect(response.code == code)
            #expect((response.object["detail"] as? String)?.contains(named) == true)
        }
    }

    @Test func onlyAdminsMakeAdmins() async throws {
        try await TestServer.run { server in
            let connection = try await server.connect()
            let body = #"{"username":"root","password":"long enough","role":"admin"}"#
            #expect(try await connection.call("POST", "/api/register", body: body).status == 403)
            let user = try await server.user("alice")
            #expect(try await connection.call("POST", "/api/register", token: user.token, body: body).status == 403)
            let admin = try await server.user("admin", role: .admin)
            #expect(try await connection.call("POST", "/api/register", token: admin.token, body: body).status == 200)
            let login = try await connection.call(
                "POST", "/api/login", body: #"{"username":"root","password":"long enough"}"#)
            let token = try #require(login.object["access_token"] as? String)
            #expect(try await server.tokens.verify(token).role == .admin)
        }
    }

    @Test func aProposalThatConflictsWithItselfSucceeds() async throws {
        let node = FakeNode()
        // Made by a first attempt whose answer was lost.
        let made = NIOLockedValueBox<AccountRecord?>(nil)
        node.state.withLockedValue {
            $0.onPropose = { command in
                guard case .createAccount(let account) = command else { return nil }
                made.withLockedValue { $0 = account }
                return .rejected(.conflict)
            }
            $0.onRead = { request in
                guard case .account = request, let account = made.withLockedValue({ $0 }) else { return nil }
                return .account(account)
            }
        }
        try await TestServer.run(node: node) { server in
            let response = try await server.connect().call(
                "POST", "/api/register", body: #"{"username":"a","password":"b"}"#)
            #expect(response.status == 200)
        }
    }

    @Test func withoutALeaderOneMayRetry() async throws {
        try await TestServer.run { server in
            server.node.state.withLockedValue { $0.onRead = { _ in .rejected(.unavailable) } }
            let connection = try await server.connect()
            for path in ["/api/register", "/api/login"] {
                let response = try await connection.call("POST", path, body: #"{"username":"a","password":"b"}"#)
                #expect(response.status == 503)
                #expect(response.headers["retry-after"] == "1")
                #expect(response.code == "unavailable")
            }
        }
    }

    @Test func aFullPasswordQueueIs503() async throws {
        let node = FakeNode { $0.security.maxQueuedPasswordChecks = 0 }
        try await TestServer.run(node: node) { server in
            let response = try await server.connect().call(
                "POST", "/api/register", body: #"{"username":"a","password":"b"}"#)
            #expect(response.status == 503)
            #expect(response.code == "busy")
            #expect(response.headers["retry-after"] != nil)
        }
    }

    @Test func tokensAreNeededEverywhereElse() async throws {
        try await TestServer.run { server in
            let connection = try await server.connect()
            for path in [
                "/api/users?username=a", "/api/conversations", "/api/sync", "/api/presence/nodes",
                "/api/presence/183851d1-5e40-56cd-99d1-e435bd09f7bc", "/api/settings", "/api/devices",
            ] {
                let response = try await connection.call("GET", path)
                #expect(response.status == 401, "\(path)")
                #expect(response.headers["www-authenticate"] == "Bearer")
                #expect(try await connection.call("GET", path, token: "a.b.c").status == 401)
            }
        }
    }

    /// Of HTTP calls and of WebSockets, whose upgrade is refused before there is a session.
    @Test func aTokenThatIsOverOrChangedIsRefused() async throws {
        try await TestServer.run { server in
            let user = try await server.user("alice")
            func statuses(_ token: String) async throws -> [Int] {
                let call = try await server.connect().call("GET", "/api/conversations", token: token)
                let connection = try await server.connect()
                try await connection.send(TestUpgrade.request(user: "\(user.id)", protocols: "roost.v1, \(token)"))
                return [call.status, try await connection.response().status]
            }
            let parts = user.token.split(separator: ".").map(String.init)
            for algorithm in ["none", "HS512", "RS256"] {
                let text = #"{"alg":"\#(algorithm)","typ":"at+jwt","kid":"key-1"}"#
                let header = Base64URL.encode(Array(text.utf8))
                #expect(try await statuses("\(header).\(parts[1]).\(parts[2])") == [401, 401], "\(algorithm)")
                #expect(try await statuses("\(header).\(parts[1]).") == [401, 401], "\(algorithm), unsigned")
            }
            #expect(try await statuses(user.token) == [200, 101])
            let lifetime = Int64(server.node.configuration.security.tokenLifetimeSeconds)
            server.node.state.withLockedValue { $0.wall += (lifetime + 1) * 1_000_000 }
            #expect(try await statuses(user.token) == [401, 401])
        }
    }

    /// Where the account can't be read, one call waits for it, not every one.
    @Test func anAccountThatCannotBeReadIsAskedForOnceASecond() async throws {
        try await TestServer.run { server in
            let alice = try await server.user("alice")
            let bob = try await server.user("bob")
            let connection = try await server.connect()
            func call(_ token: String) async throws -> Int {
                try await connection.call("GET", "/api/conversations", token: token).status
            }
            server.node.state.withLockedValue { $0.accounts[bob.id]?.disabled = true }
            #expect(try await call(bob.token) == 401)
            server.node.state.withLockedValue {
                $0.wall += 2_000_000
                $0.reads = []
                $0.onRead = { if case .account = $0 { .rejected(.unavailable) } else { nil } }
            }
            for _ in 0..<3 {
                #expect(try await call(alice.token) == 200)
                // What was known before stays so.
                #expect(try await call(bob.token) == 401)
            }
            #expect(server.node.state.withLockedValue { $0.reads } == [.account(alice.id), .account(bob.id)])
        }
    }

    @Test func aDisabledAccountsTokenIsRefusedWithinASecond() async throws {
        try await TestServer.run { server in
            let user = try await server.user("alice")
            let connection = try await server.connect()
            #expect(try await connection.call("GET", "/api/conversations", token: user.token).status == 200)
            server.node.state.withLockedValue {
                $0.accounts[user.id]?.disabled = true
                $0.wall += 1_000_000
            }
            #expect(try await connection.call("GET", "/api/conversations", token: user.token).status == 401)
        }
    }
}
