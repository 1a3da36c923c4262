import Foundation
import NIOConcurrencyHelpers
import NIOCore
import RoostModel
import RoostNode
import RoostProtocol
import Testing

@testable import RoostServer

@Suite(.timeLimit(.minutes(5))) struct AdminTests {
    @Test func healthFollowsThePhase() async throws {
        try await TestServer.run { server in
            let connection = try await server.connectAdmin()
            for path in ["/livez", "/healthz", "/readyz"] {
                #expect(try await connection.call("GET", path).status == 200)
            }
            for phase in [NodeView.Phase.founding, .starting, .draining] {
                server.node.state.withLockedValue { $0.view = FakeNode.view(phase) }
                let ready = try await connection.call("GET", "/readyz")
                #expect(ready.status == 503)
                #expect(ready.object["detail"] as? String == "the others")
                #expect(try await connection.call("GET", "/livez").status == 200)
            }
        }
    }

    @Test func metricsAreText() async throws {
        try await TestServer.run { server in
            let response = try await server.connectAdmin().call("GET", "/metrics")
            #expect(response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
            let expected = """
                # HELP roost_test a \\\\ help
                # TYPE roost_test gauge
                roost_test{peer="a\\"b\\n"} 1.5

                """
            #expect(response.text.hasPrefix(expected))
            for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "roost_core_loop_lag_seconds"] {
                #expect(response.text.contains("\n\(name) "))
            }
        }
    }

    @Test func nodesLeaveAndAreRemoved() async throws {
        try await TestServer.run { server in
            let connection = try await server.connectAdmin()
            #expect(try await connection.call("POST", "/admin/leave", body: #"{"node_id":"node-2"}"#).status == 200)
            // Not by mistake the node that was asked.
            #expect(try await connection.call("POST", "/admin/leave", body: "{}").status == 400)
            #expect(try await connection.call("POST", "/admin/remove", body: #"{"node_id":"node-3"}"#).status == 200)
            #expect(try await connection.call("POST", "/admin/remove", body: "{}").status == 400)
        }
    }

    @Test func theClusterIsShown() async throws {
        try await TestServer.run { server in
            let connection = try await server.connectAdmin()
            let cluster = try await connection.call("GET", "/admin/cluster").object
            #expect(cluster["cluster"] as? String == "test")
            #expect(cluster["node_id"] as? String == "node-1")
            let member = (cluster["members"] as? [[String: Any]])?.first ?? [:]
            #expect(member["id"] as? String == "node-1")
            #expect(member["status"] as? String == "alive")
            #expect(member["epoch"] as? Int == 7)
            #expect(member["incarnation"] as? Int == 2)
            #expect(member["host"] as? String == "127.0.0.1")
            let ring = cluster["ring"] as? [String: Any]
            #expect(ring?["version"] as? Int == 1 && ring?["replication"] as? Int == 1)
            #expect(ring?["partitions"] as? Int == 4)
            #expect((ring?["members"] as? [Any])?.isEmpty == true)

            let partition = try await connection.call("GET", "/admin/partitions").array.first ?? [:]
            #expect(partition["id"] as? Int == 0)
            #expect(partition["leader"] as? String == "node-1")
            #expect(partition["term"] as? Int == 3)
            #expect(partition["commit_index"] as? Int == 9)
            #expect(partition["applied_index"] as? Int == 8)
            #expect(partition["conversations"] as? Int == 2)
            let replicas = partition["replicas"] as? [[String: Any]] ?? []
            #expect(replicas.map { $0["role"] as? String } == ["voter", "learner"])
            #expect(replicas.map { $0["match_index"] as? Int } == [9, 4])

            let link = try await connection.call("GET", "/admin/links").array.first ?? [:]
            #expect(link["node_id"] as? String == "node-2")
            #expect(link["connected"] as? Bool == true)
            #expect(link["bytes_in"] as? Int == 10)
            #expect(link["round_trip_us"] as? Int == 150)
            #expect(link["queued_bytes"] as? Int == 0)
        }
    }

    @Test func operatorsMakeListAndDisableAccounts() async throws {
        try await TestServer.run { server in
            let connection = try await server.connectAdmin()
            for password in ["x", "seven77"] {
                let short = try await connection.call(
                    "POST", "/admin/users", body: #"{"username":"root","password":"\#(password)"}"#)
                #expect(short.status == 400 && short.text.contains("at least 8 characters"), "\(short.text)")
            }
            let made = try await connection.call(
                "POST", "/admin/users", body: #"{"username":"root","password":"eight888","role":"admin"}"#)
            #expect(made.status == 200)
            #expect(made.object["role"] as? String == "admin")
            let id = try #require(UsernameRules.userID(of: "root"))
            #expect(made.object["user_id"] as? String == id.description)
            #expect(try await connection.call("GET", "/admin/users").text == "[\(made.text)]")
            #expect(!made.text.contains("scrypt"))
            let disabled = try await connection.call("POST", "/admin/users/\(id)/disable")
            #expect(disabled.text == #"{"status":"disabled"}"#)
            #expect(server.node.state.withLockedValue { $0.revoked } == [id])
            #expect(server.node.state.withLockedValue { $0.accounts[id]?.disabled } == true)
            #expect(try await connection.call("POST", "/admin/users/\(id)/enable").status == 200)
            #expect(server.node.state.withLockedValue { $0.accounts[id]?.disabled } == false)
            let unknown = UserID(foldedUsername: "nobody")
            #expect(try await connection.call("POST", "/admin/users/\(unknown)/disable").status == 404)
            #expect(try await connection.call("GET", "/admin/users/\(unknown)").status == 404)
        }
    }

    @Test func accountsAndPresenceComeInPages() async throws {
        try await TestServer.run { server in
            var ids: [UserID] = []
            for number in 0..<5 { ids.append(try await server.user("user-\(number)").id) }
            ids.sort()
            let online = ids
            server.node.state.withLockedValue { state in
                state.presence = online.map {
                    PresenceView(
                        user: $0, device: DeviceID(validated: "phone"), node: "node-1", session: SessionID(1),
                        online: true, since: 0)
                }
            }
            let connection = try await server.connectAdmin()
            func page(_ path: String) async throws -> (users: [String?], response: TestResponse) {
                let response = try await connection.call("GET", path)
                let users = response.array.isEmpty ? response.object["users"] as? [[String: Any]] ?? [] : response.array
                return (users.map { $0["user_id"] as? String }, response)
            }
            let names = ids.map(\.description)
            let first = try await page("/admin/users?limit=3")
            #expect(first.users == names.prefix(3).map { $0 })
            #expect(first.response.headers["link"] == "</admin/users?after=\(names[2])&limit=3>; rel=\"next\"")
            let second = try await page("/admin/users?limit=3&after=\(names[2])")
            #expect(second.users == names.suffix(2).map { $0 })
            #expect(second.response.headers["link"] == nil)
            #expect(try await page("/admin/users").users == names)
            for query in ["limit=0", "limit=1001", "after=x"] {
                #expect(try await connection.call("GET", "/admin/users?\(query)").status == 400)
            }

            let all = try await page("/admin/presence")
            #expect(all.users == names)
            #expect(all.response.object["next_after"] is NSNull)
            let some = try await page("/admin/presence?limit=2&after=\(names[0])")
            #expect(some.users == [names[1], names[2]])
            #expect(some.response.object["next_after"] as? String == names[2])
            #expect(try await page("/admin/presence?user_id=\(names[3])").users == [names[3]])
        }
    }

    @Test func aUserIsShownWithWhatWaits() async throws {
        try await TestServer.run { server in
            let bob = try await server.user("bob")
            let phone = DeviceID(validated: "phone")
            server.node.state.withLockedValue { state in
                state.devices[bob.id] = [DeviceRecord(user: bob.id, device: phone, startAt: 0, createdAt: 0)]
                state.presence = [
                    PresenceView(
                        user: bob.id, device: phone, node: "node-1", session: SessionID(255), online: true, since: 0)
                ]
                state.onReadAll = { partition, request in
                    guard case .pending(_, let devices) = request else { return nil }
                    return .pending(devices.map { DevicePending(device: $0.device, count: UInt64(partition.value)) })
                }
            }
            let connection = try await server.connectAdmin()
            let user = try await connection.call("GET", "/admin/users/\(bob.id)").object
            #expect(user["username"] as? String == "bob")
            #expect(user["partition"] as? Int == Int(PartitionID(of: bob.id.uuid, count: 4).value))
            #expect(user["conversations"] as? Int == 0)
            let device = (user["devices"] as? [[String: Any]])?.first ?? [:]
            #expect(device["device_id"] as? String == "phone")
            #expect(device["session"] as? String == "00000000000000ff")
            #expect(device["node_id"] as? String == "node-1")
            #expect(device["pending"] as? Int == 0 + 1 + 2 + 3)

            let presence = try await connection.call("GET", "/admin/presence?user_id=\(bob.id)").object
            #expect(presence["version"] as? [String: Int] == ["node-1": 5])
            #expect(presence["online_devices"] as? Int == 1)
            #expect((presence["users"] as? [[String: Any]])?.count == 1)
        }
    }

    @Test func whyDidBobNotGetIt() async throws {
        try await TestServer.run { server in
            let alice = try await server.user("alice")
            let bob = try await server.user("bob")
            let conversation = ConversationID(direct: alice.id, bob.id)
            let names = ["read", "late", "online", "offline"]
            server.node.state.withLockedValue { state in
                state.devices[alice.id] = [
                    DeviceRecord(user: alice.id, device: DeviceID(validated: "own"), startAt: 0, createdAt: 0)
                ]
                state.devices[bob.id] = names.map {
                    DeviceRecord(
                        user: bob.id, device: DeviceID(validated: $0), startAt: $0 == "late" ? 11 : 0, createdAt: 0)
                }
                state.presence = [
                    PresenceView(
                        user: bob.id, device: DeviceID(validated: "online"), node: "node-2", session: SessionID(1),
                        online: true, since: 0)
                ]
                state.located = (
                    2,
                    MessageLocation(
                        conversation: conversation, seq: 5, sender: alice.id,
                        originDevice: DeviceID(validated: "own"), sentAt: 10, index: 77, term: 3,
                        leader: "node-1",
                        replicas: ["node-1", "node-2", "node-3", "node-4"].map {
                            MessageReplica(node: $0, isVoter: $0 != "node-4")
                        }, readers: [alice.id, bob.id],
                        cursors: [
                            CursorAdvance(
                                user: bob.id, device: DeviceID(validated: "read"), conversation: conversation, seq: 5),
                            CursorAdvance(
                                user: bob.id, device: DeviceID(validated: "offline"), conversation: conversation, seq: 4
                            ),
                        ])
                )
            }
            server.node.state.withLockedValue {
                $0.replicas = [
                    "node-1": ReplicaStatus(term: 3, syncedAt: 2_500_000, lastIndex: 80, appliedIndex: 79),
                    "node-2": ReplicaStatus(term: 2, syncedAt: 2_500_000, lastIndex: 77, appliedIndex: 70),
                    "node-4": ReplicaStatus(term: nil, syncedAt: nil, lastIndex: 20, appliedIndex: 20),
                ]
            }
            let id = UUID128(high: 4, low: 4)
            let connection = try await server.connectAdmin()
            let message = try await connection.call("GET", "/admin/messages/\(id)").object
            #expect(message["partition"] as? Int == 2)
            #expect(message["seq"] as? Int == 5)
            #expect(message["index"] as? Int == 77)
            #expect(message["term"] as? Int == 3)
            #expect(message["leader"] as? String == "node-1")
            let replicas = message["replicas"] as? [[String: Any]] ?? []
            #expect(replicas.map { $0["node_id"] as? String } == ["node-1", "node-2", "node-3", "node-4"])
            #expect(replicas.map { $0["role"] as? String } == ["voter", "voter", "voter", "learner"])
            #expect(replicas.map { $0["answered"] as? Bool } == [true, true, false, true])
            // Another term's entry is not this one.
            #expect(replicas.map { $0["holds"] as? Bool } == [true, false, nil, false])
            #expect(replicas.map { $0["applied"] as? Bool } == [true, false, nil, false])
            #expect(replicas.map { $0["synced_at"] as? Double } == [2.5, nil, nil, nil])
            let devices = message["devices"] as? [[String: Any]] ?? []
            #expect(devices.map { $0["device_id"] as? String } == ["own"] + names)
            #expect(devices.map { $0["acknowledged"] as? Bool } == [false, true, false, false, false])
            #expect(devices.map { $0["online"] as? Bool } == [false, false, false, true, false])
            let explanations = devices.compactMap { $0["explanation"] as? String }
            for (explanation, word) in zip(explanations, ["sent it", "acknowledged", "later", "node-2", "connects"]) {
                #expect(explanation.contains(word))
            }
            let mine = try await connection.call("GET", "/admin/messages/\(id)?user_id=\(alice.id)").object
            #expect((mine["devices"] as? [[String: Any]])?.map { $0["device_id"] as? String } == ["own"])
            // Whose devices cannot be read is told, not left out.
            server.node.state.withLockedValue { state in
                state.onRead = { if case .devices(bob.id) = $0 { .rejected(.unavailable) } else { nil } }
            }
            let part = try await connection.call("GET", "/admin/messages/\(id)").object
            #expect(part["devices_unknown"] as? [String] == [bob.id.description])
            server.node.state.withLockedValue { $0.located = nil }
            #expect(try await connection.call("GET", "/admin/messages/\(id)").status == 404)
            server.node.state.withLockedValue { $0.onReadAll = { _, _ in .rejected(.unavailable) } }
            #expect(try await connection.call("GET", "/admin/messages/\(id)").status == 503)
        }
    }

    @Test func aTokenGuardsWhatIsNotHealth() async throws {
        try await TestServer.run(adminTokens: [("ops", "let-me-in")]) { server in
            let connection = try await server.connectAdmin()
            #expect(try await connection.call("GET", "/livez").status == 200)
            #expect(try await connection.call("GET", "/readyz").status == 200)
            for path in ["/metrics", "/admin/cluster", "/admin/users"] {
                #expect(try await connection.call("GET", path).status == 401)
                #expect(try await connection.call("GET", path, token: "let-me-iN").status == 401)
                #expect(try await connection.call("GET", path, token: "let-me-in").status == 200)
            }
            #expect(try await connection.call("POST", "/admin/drain").status == 401)
            #expect(server.node.state.withLockedValue { !$0.drained })
            #expect(try await connection.call("POST", "/admin/drain", token: "let-me-in").status == 200)
            #expect(server.node.state.withLockedValue { $0.drained })
        }
    }
}
