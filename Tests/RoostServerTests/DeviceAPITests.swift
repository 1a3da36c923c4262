import NIOConcurrencyHelpers
import NIOCore
import RoostModel
import RoostNode
import RoostProtocol
import Testing

@testable import RoostServer

/// Logging out, and one's devices.
@Suite(.timeLimit(.minutes(5))) struct DeviceAPITests {
    private func status(_ server: TestServer, _ token: String) async throws -> Int {
        try await server.connect().call("GET", "/api/conversations", token: token).status
    }

    private func add(_ names: String..., to user: UserID, of server: TestServer) {
        server.node.state.withLockedValue {
            $0.devices[user] = names.map {
                DeviceRecord(
                    user: user, device: DeviceID(validated: $0), startAt: 0, createdAt: 1_000_000, seenAt: 2_000_000)
            }
        }
    }

    @Test func aLogoutEndsOneToken() async throws {
        try await TestServer.run { server in
            let user = try await server.user("alice")
            let other = try await server.token(of: user.id)
            #expect(try await status(server, user.token) == 200)
            let answer = try await server.connect().call("POST", "/api/logout", token: user.token)
            #expect(answer.status == 200)
            #expect(try await status(server, user.token) == 401)
            #expect(try await status(server, other) == 200)
            // A token that is revoked cannot revoke.
            #expect(try await server.connect().call("POST", "/api/logout", token: user.token).status == 401)
        }
    }

    @Test func aLogoutEverywhereEndsAll() async throws {
        try await TestServer.run { server in
            let user = try await server.user("alice")
            let other = try await server.token(of: user.id)
            let answer = try await server.connect().call(
                "POST", "/api/logout", token: user.token, body: #"{"everywhere":true}"#)
            #expect(answer.status == 200)
            #expect(try await status(server, other) == 401)
            let fresh = try await server.token(of: user.id)
            #expect(try await status(server, fresh) == 200)
            let wrong = try await server.connect().call(
                "POST", "/api/logout", token: fresh, body: #"{"everywhere":1}"#)
            #expect(wrong.status == 400)
        }
    }

    /// Where it was not this node that was told: within a second.
    @Test func aTokenRevokedElsewhereIsRefusedWithinASecond() async throws {
        try await TestServer.run { server in
            let user = try await server.user("alice")
            let caller = try await server.tokens.verify(user.token)
            #expect(try await status(server, user.token) == 200)
            server.node.state.withLockedValue {
                $0.accounts[user.id]?.revocations.revoke(caller.token, now: 0)
                $0.wall += 900_000
            }
            #expect(try await status(server, user.token) == 401)
        }
    }

    @Test func devicesAreListedAndRemoved() async throws {
        try await TestServer.run { server in
            let user = try await server.user("alice")
            let connection = try await server.connect()
            add("desk", "phone", to: user.id, of: server)
            let view = PresenceView(
                user: user.id, device: DeviceID(validated: "desk"), node: "node-2", session: SessionID(1), online: true,
                since: 0)
            server.node.state.withLockedValue { $0.presence = [view] }
            let list = try await connection.call("GET", "/api/devices", token: user.token).array
            #expect(list.map { $0["device_id"] as? String } == ["desk", "phone"])
            #expect(list.map { $0["status"] as? String } == ["online", "offline"])
            #expect(list.map { $0["node_id"] as? String } == ["node-2", nil])
            #expect(list[1]["last_online"] as? String == "1970-01-01T00:00:02.000000Z")
            #expect(list[1]["created_at"] as? String == "1970-01-01T00:00:01.000000Z")

            let phone = try await server.token(of: user.id, device: DeviceID(validated: "phone"))
            let removed = try await connection.call("DELETE", "/api/devices/phone", token: user.token)
            #expect(removed.status == 200)
            // Those made for it go, the one that asked stays.
            #expect(try await status(server, phone) == 401)
            #expect(try await status(server, user.token) == 200)
            let again = try await connection.call("DELETE", "/api/devices/phone", token: user.token)
            #expect(again.status == 404 && again.code == "unknown_device")
            #expect(try await connection.call("DELETE", "/api/devices/a%20b", token: user.token).status == 400)
            #expect(try await connection.call("POST", "/api/devices/phone", token: user.token).status == 405)
        }
    }

    @Test func aTokenOfADeviceIsForNoOther() async throws {
        try await TestServer.run { server in
            let user = try await server.user("alice")
            _ = try await server.connect().call(
                "POST", "/api/register", body: #"{"username":"bob","password":"long enough"}"#)
            let login = try await server.connect().call(
                "POST", "/api/login", body: #"{"username":"bob","password":"long enough","device_id":"phone"}"#)
            let token = try #require(login.object["access_token"] as? String)
            #expect(try await server.tokens.verify(token).device == DeviceID("phone"))
            let wrong = try await server.connect().call(
                "POST", "/api/login", body: #"{"username":"bob","password":"long enough","device_id":"a b"}"#)
            #expect(wrong.status == 400)

            let desk = try await server.token(of: user.id, device: DeviceID(validated: "desk"))
            for (device, expected) in [("phone", 403), ("desk", 101)] {
                let connection = try await server.connect()
                try await connection.send(
                    TestUpgrade.request(
                        user: "\(user.id)", query: "?device_id=\(device)", protocols: "roost.v1, \(desk)"))
                #expect(try await connection.response().status == expected)
            }
            let request = try await server.node.sessions.next().request
            let expected = try await server.tokens.verify(desk)
            #expect(request.token == expected.token)
        }
    }

    /// What a session asks about the tokens that it is given later.
    @Test func aLaterTokenMustBeOfTheSameUserAndDevice() async throws {
        try await TestServer.run { server in
            let user = try await server.user("alice")
            let bob = try await server.user("bob")
            let connection = try await server.connect()
            try await connection.send(TestUpgrade.request(user: "\(user.id)", protocols: "roost.v1, \(user.token)"))
            _ = try await connection.response()
            let check = try #require(try await server.node.sessions.next().request.checkToken)
            func verdict(_ token: String) async -> String {
                await withCheckedContinuation { continuation in
                    check(token) { verdict in
                        switch verdict {
                        case .holds(let token): continuation.resume(returning: "holds until \(Int(token.expires))")
                        case .refused(let reason): continuation.resume(returning: reason)
                        case .unknown: continuation.resume(returning: "unknown")
                        }
                    }
                }
            }
            let same = try await server.token(of: user.id)
            let own = try await server.token(of: user.id, device: DeviceID("d"))
            let other = try await server.token(of: user.id, device: DeviceID("e"))
            #expect(await verdict(same) == "holds until 1700086400")
            #expect(await verdict(own) == "holds until 1700086400")
            #expect(await verdict(bob.token) == "it is another user's")
            #expect(await verdict(other) == "it is another device's")
            #expect(await verdict("x") == "this is not a token")
        }
    }

    @Test func aRevokedTokenOpensNoSession() async throws {
        let node = FakeNode()
        node.state.withLockedValue { $0.refusal = .revoked }
        try await TestServer.run(node: node) { server in
            let user = try await server.user("alice")
            let connection = try await server.connect()
            try await connection.send(TestUpgrade.request(user: "\(user.id)", protocols: "roost.v1, \(user.token)"))
            #expect(try await connection.response().status == 401)
        }
    }

    // MARK: Operators

    @Test func keysAreRotatedByTheAdminPort() async throws {
        try await TestServer.run { server in
            let admin = try await server.connectAdmin()
            let before = try await admin.call("GET", "/admin/keys")
            #expect(before.array.map { $0["id"] as? String } == ["key-1"])
            #expect(before.array.first?["signs"] as? Bool == true)
            #expect(!before.text.contains("secret"))
            let made = try await admin.call("POST", "/admin/keys/rotate")
            #expect(made.object["id"] as? String == "key-2" && made.object["signs"] as? Bool == false)
            #expect(try await admin.call("DELETE", "/admin/keys/key-1").status == 409)
            #expect(try await admin.call("DELETE", "/admin/keys/key-2").status == 200)
            #expect(try await admin.call("DELETE", "/admin/keys/key-2").status == 404)
        }
    }

    @Test func anOperatorLogsAUserOut() async throws {
        try await TestServer.run { server in
            let user = try await server.user("alice")
            let admin = try await server.connectAdmin()
            #expect(try await admin.call("POST", "/admin/users/\(user.id)/logout").status == 200)
            #expect(try await status(server, user.token) == 401)
            let unknown = UserID(foldedUsername: "nobody")
            #expect(try await admin.call("POST", "/admin/users/\(unknown)/logout").status == 404)
        }
    }
}
