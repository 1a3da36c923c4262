import NIOConcurrencyHelpers
import NIOCore
import RoostModel
import RoostNode
import RoostProtocol
import Testing

@testable import RoostServer

@Suite(.timeLimit(.minutes(5))) struct ConversationAPITests {
    private let group = "5d2b1f0e-0000-4000-8000-000000000001"

    @Test func aGroupIsMadeAndRead() async throws {
        try await TestServer.run { server in
            let alice = try await server.user("alice")
            let bob = try await server.user("bob")
            let eve = try await server.user("eve")
            let connection = try await server.connect()
            let body =
                #"{"id":"\#(group.uppercased())","type":"group","name":"Ours \"x\"","#
                + #""user_ids":["\#(bob.id)","\#(alice.id)"]}"#
            let made = try await connection.call("POST", "/api/conversations", token: alice.token, body: body)
            #expect(made.status == 200)
            #expect(made.object["id"] as? String == group)
            #expect(made.object["type"] as? String == "group")
            #expect(made.object["name"] as? String == "Ours \"x\"")
            #expect(made.object["created_at"] as? String == "2023-11-14T22:13:20.000000Z")
            #expect(made.object["last_seq"] as? Int == 0)
            let members = made.object["members"] as? [[String: String]] ?? []
            #expect(
                Set(members) == [
                    ["user_id": alice.id.description, "role": "owner"],
                    ["user_id": bob.id.description, "role": "member"],
                ])

            let read = try await connection.call("GET", "/api/conversations/\(group)", token: bob.token)
            #expect(read.text == made.text)
            let list = try await connection.call("GET", "/api/conversations", token: bob.token)
            #expect(list.text == "[\(made.text)]")
            #expect(try await connection.call("GET", "/api/conversations", token: eve.token).text == "[]")
            let foreign = try await connection.call("GET", "/api/conversations/\(group)", token: eve.token)
            #expect(foreign.status == 403)
            let unknown = try await connection.call(
                "GET", "/api/conversations/5d2b1f0e-0000-4000-8000-0000000000ff", token: eve.token)
            #expect(unknown.status == 404)
            #expect(try await connection.call("GET", "/api/conversations/x", token: eve.token).status == 400)
        }
    }

    @Test func directAndSelfIdsFollowFromTheUsers() async throws {
        try await TestServer.run { server in
            let alice = try await server.user("alice")
            let bob = try await server.user("bob")
            let connection = try await server.connect()
            func make(_ body: String) async throws -> TestResponse {
                try await connection.call("POST", "/api/conversations", token: alice.token, body: body)
            }
            let direct = try await make(#"{"type":"direct","user_ids":["\#(bob.id)"]}"#)
            #expect(direct.object["id"] as? String == ConversationID(direct: bob.id, alice.id).description)
            let own = try await make(#"{"type":"self","user_ids":["\#(alice.id)"]}"#)
            #expect(own.object["id"] as? String == ConversationID(direct: alice.id, alice.id).description)
            #expect(try await make(#"{"type":"self"}"#).status == 200)
            #expect(try await make(#"{"type":"self","user_ids":["\#(bob.id)"]}"#).status == 400)
            #expect(try await make(#"{"type":"direct","user_ids":[]}"#).status == 400)
            #expect(try await make(#"{"type":"direct","id":"\#(group)","user_ids":["\#(bob.id)"]}"#).status == 400)
            #expect(try await make(#"{"type":"party","user_ids":[]}"#).status == 400)
            #expect(try await make(#"{"type":"group","user_ids":["x"]}"#).status == 400)
        }
    }

    @Test func unknownUsersAreNamed() async throws {
        try await TestServer.run { server in
            let alice = try await server.user("alice")
            let stranger = UserID(foldedUsername: "stranger")
            let body = #"{"type":"group","user_ids":["\#(alice.id)","\#(stranger)"]}"#
            let response = try await server.connect()
                .call("POST", "/api/conversations", token: alice.token, body: body)
            #expect(response.status == 404)
            #expect((response.object["detail"] as? String)?.contains(stranger.description) == true)
            #expect(server.node.state.withLockedValue { $0.proposals.isEmpty })
        }
    }

    @Test(arguments: [
        (Rejection.conflict, 409), (.unavailable, 503), (.limitExceeded, 400), (.notAllowed, 403), (.notMember, 403),
        (.unknownConversation, 404), (.unknownUser, 404), (.invalid, 400),
    ])
    func refusalsHaveTheirStatus(_ rejection: Rejection, _ status: Int) async throws {
        try await TestServer.run { server in
            let alice = try await server.user("alice")
            server.node.state.withLockedValue { $0.onPropose = { _ in .rejected(rejection) } }
            let connection = try await server.connect()
            let made = try await connection.call(
                "POST", "/api/conversations", token: alice.token, body: #"{"type":"group","user_ids":[]}"#)
            #expect(made.status == status)
            let changed = try await connection.call(
                "POST", "/api/conversations/\(group)/members", token: alice.token,
                body: #"{"user_ids":["\#(alice.id)"],"action":"remove"}"#)
            #expect(changed.status == status)
        }
    }

    @Test func membersChange() async throws {
        try await TestServer.run { server in
            let alice = try await server.user("alice")
            let bob = try await server.user("bob")
            let connection = try await server.connect()
            func change(_ body: String) async throws -> TestResponse {
                try await connection.call("POST", "/api/conversations/\(group)/members", token: alice.token, body: body)
            }
            let done = try await change(#"{"user_ids":["\#(bob.id)"],"action":"promote"}"#)
            #expect(done.text == #"{"status":"updated"}"#)
            let id = try #require(ConversationID(group))
            let expected = ChangeMembersCommand(conversation: id, actor: alice.id, users: [bob.id], action: .promote)
            #expect(server.node.state.withLockedValue { $0.proposals } == [.changeMembers(expected)])
            #expect(try await change(#"{"user_ids":["\#(bob.id)"],"action":"kick"}"#).status == 400)
            #expect(try await change(#"{"user_ids":[],"action":"add"}"#).status == 400)
            #expect(try await change(#"{"action":"add"}"#).code == "missing_field")
            let stranger = UserID(foldedUsername: "stranger")
            #expect(try await change(#"{"user_ids":["\#(stranger)"],"action":"add"}"#).status == 404)
        }
    }

    @Test func aPartOfTheListIsNoList() async throws {
        try await TestServer.run { server in
            let alice = try await server.user("alice")
            server.node.state.withLockedValue {
                $0.onReadAll = { partition, _ in partition == 2 ? .rejected(.unavailable) : nil }
            }
            let connection = try await server.connect()
            #expect(try await connection.call("GET", "/api/conversations", token: alice.token).status == 503)
            #expect(try await connection.call("GET", "/api/sync", token: alice.token).status == 503)
        }
    }

    @Test func historyAsksForWhatIsWanted() async throws {
        try await TestServer.run { server in
            let alice = try await server.user("alice")
            let id = try #require(ConversationID(group))
            server.node.state.withLockedValue { state in
                state.messages = [
                    Message(
                        id: MessageID(UUID128(high: 1, low: 1)), conversation: id, seq: 4, sender: alice.id,
                        originDevice: DeviceID(validated: "d"), type: "text",
                        content: ByteBuffer(string: #"{"a" : 1.50, "b":"\u00e9"}"#), sentAt: 1_700_000_000_123_456)
                ]
            }
            let connection = try await server.connect()
            func page(_ query: String) async throws -> (TestResponse, ReadRequest?) {
                let response = try await connection.call(
                    "GET", "/api/conversations/\(group)/messages\(query)", token: alice.token)
                return (response, server.node.state.withLockedValue { $0.reads.last })
            }
            let (first, request) = try await page("")
            // The content byte for byte.
            #expect(
                first.text
                    == #"[{"id":"00000000-0000-0001-0000-000000000001","conversation_id":"\#(group)","seq":4,"#
                    + #""sender_id":"\#(alice.id)","origin_device_id":"d","type":"text","#
                    + #""content":{"a" : 1.50, "b":"\u00e9"},"sent_at":1700000000.123456}]"#)
            func expect(_ before: UInt64?, _ after: UInt64?, _ skip: UInt32, _ limit: UInt32) -> ReadRequest {
                .history(conversation: id, user: alice.id, before: before, after: after, skip: skip, limit: limit)
            }
            #expect(request == expect(UInt64(Int64.max), nil, 0, 50))
            #expect(try await page("?page=3&size=20").1 == expect(UInt64(Int64.max), nil, 40, 20))
            #expect(try await page("?before=9").1 == expect(9, nil, 0, 50))
            #expect(try await page("?after=0&size=100").1 == expect(nil, 0, 0, 100))
            for wrong in ["?size=0", "?size=101", "?page=0", "?page=x", "?before=1&after=1", "?after=-1"] {
                #expect(try await page(wrong).0.status == 400, "\(wrong)")
            }
            for (rejection, status) in [(Rejection.notMember, 403), (.unknownConversation, 404), (.unavailable, 503)] {
                server.node.state.withLockedValue {
                    $0.onRead = { if case .history = $0 { .rejected(rejection) } else { nil } }
                }
                #expect(try await page("").0.status == status)
            }
        }
    }

    @Test func presenceIsForThoseWhoShareAConversation() async throws {
        try await TestServer.run { server in
            let alice = try await server.user("alice")
            let bob = try await server.user("bob")
            let eve = try await server.user("eve")
            let admin = try await server.user("admin", role: .admin)
            let phone = DeviceID(validated: "phone")
            server.node.state.withLockedValue { state in
                state.devices[bob.id] = ["phone", "old"].map {
                    DeviceRecord(user: bob.id, device: DeviceID(validated: $0), startAt: 0, createdAt: 1_000_000)
                }
                state.presence = [
                    PresenceView(
                        user: bob.id, device: phone, node: "node-3", session: SessionID(5), online: true, since: 5)
                ]
            }
            let connection = try await server.connect()
            let own = try await connection.call("GET", "/api/presence/\(bob.id)", token: bob.token)
            #expect(
                own.text
                    == #"[{"device_id":"old","node_id":null,"status":"offline","#
                    + #""last_online":"1970-01-01T00:00:01.000000Z"},"#
                    + #"{"device_id":"phone","node_id":"node-3","status":"online","#
                    + #""last_online":"2023-11-14T22:13:20.000000Z"}]"#
            )
            #expect(try await connection.call("GET", "/api/presence/\(bob.id)", token: eve.token).status == 403)
            #expect(try await connection.call("GET", "/api/presence/\(bob.id)", token: admin.token).status == 200)
            let body = #"{"type":"group","user_ids":["\#(bob.id)"]}"#
            _ = try await connection.call("POST", "/api/conversations", token: alice.token, body: body)
            #expect(try await connection.call("GET", "/api/presence/\(bob.id)", token: alice.token).status == 200)

            // Whoever hides when he was last online hides it from the others, and from them only.
            for method in ["PUT", "POST"] {
                for hidden in [true, false] {
                    let body = #"{"hide_last_seen":\#(hidden)}"#
                    let set = try await connection.call(method, "/api/settings", token: bob.token, body: body)
                    #expect(set.text == body)
                    #expect(try await connection.call("GET", "/api/settings", token: bob.token).text == body)
                    for (token, sees) in [(bob.token, true), (admin.token, true), (alice.token, !hidden)] {
                        let answer = try await connection.call("GET", "/api/presence/\(bob.id)", token: token)
                        #expect(answer.text.contains(#""last_online":null"#) != sees, "\(answer.text)")
                        #expect(answer.text.contains(#""last_online":"2"#) == sees, "\(answer.text)")
                    }
                }
            }
            #expect(try await connection.call("PUT", "/api/settings", token: bob.token, body: "{}").status == 400)
            #expect(try await connection.call("DELETE", "/api/settings", token: bob.token).status == 405)

            let path = "/api/presence/nodes?user_ids=\(bob.id),\(eve.id)"
            #expect(try await connection.call("GET", path, token: alice.token).status == 403)
            let nodes = try await connection.call("GET", path, token: admin.token)
            #expect(nodes.text == #"{"node-3":[{"user_id":"\#(bob.id)","device_id":"phone"}]}"#)
        }
    }
}
