import Testing

@testable import RoostCLI

extension ProcessSuite {
    /// Three nodes; alice is on the first, bob's two devices on the others.
    @Suite("Messages between nodes", .cluster())
    struct MessagingTests {
        private let cluster: ProcessCluster

        init() throws { cluster = try .shared }

        private func received(_ session: WireSession, _ count: Int) async throws -> [String] {
            try await eventually("\(count) messages, have \(session.contents)") { session.messages.count >= count }
            return session.contents
        }

        @Test("A direct message reaches every device of both but the one that sent it", .timeLimit(.minutes(6)))
        func direct() async throws {
            let alice = try await cluster.account("alice-direct", at: 0)
            let bob = try await cluster.account("bob-direct", at: 1)
            let desk = try await cluster.live(alice, "desk", at: 0)
            let tablet = try await cluster.live(alice, "tablet", at: 1)
            let phone = try await cluster.live(bob, "phone", at: 1)
            let laptop = try await cluster.live(bob, "laptop", at: 2)
            // By name: the conversation does not exist yet.
            let id = newID()
            try desk.text(#"{"op":"send","id":"\#(id)","to_user":"bob-direct","content":"1"}"#)
            let accepted = try await desk.answer(to: id)
            #expect(accepted["op"].string == "accepted")
            #expect(accepted["seq"].int == 1)
            let conversation = try accepted["conversation_id"].string.orThrow("no conversation")
            for number in 2...20 { try desk.send("\(number)", to: conversation) }
            let expected = (1...20).map(String.init)
            for session in [tablet, phone, laptop] {
                #expect(try await received(session, 20) == expected)
                #expect(session.messages.map { $0["seq"].int } == (1...20).map { $0 })
                #expect(session.messages.map { $0["n"].int } == (1...20).map { $0 })
            }
            let first = phone.messages[0]
            #expect(first["id"].string == id)
            #expect(first["sender_id"].string == alice.id)
            #expect(first["origin_device_id"].string == "desk")
            #expect(first["conversation_id"].string == conversation)
            #expect(first["sent_at"] == accepted["sent_at"])
            // The other way, from a device that is not where the conversation began.
            #expect(try await laptop.say("back", to: conversation)["seq"].int == 21)
            for (session, count) in [(desk, 1), (tablet, 21), (phone, 21)] {
                #expect(try await received(session, count).last == "back")
            }
            #expect(laptop.messages.count == 20)
            #expect(desk.messages.map { $0["seq"].int } == [21])
        }

        @Test("A group: one order for all", .timeLimit(.minutes(6)))
        func group() async throws {
            var members: [Account] = []
            for number in 0..<3 { members.append(try await cluster.account("group-\(number)", at: number)) }
            let group = try await cluster.conversation("group", members[0], with: Array(members[1...]))
            var senders: [WireSession] = []
            var readers: [WireSession] = []
            for (node, member) in members.enumerated() {
                senders.append(try await cluster.live(member, "sender", at: node))
                readers.append(try await cluster.live(member, "reader", at: (node + 1) % 3))
            }
            for number in 0..<20 {
                for (name, sender) in senders.enumerated() { try sender.send("\(name)-\(number)", to: group) }
            }
            var orders: [[String]] = []
            for reader in readers { orders.append(try await received(reader, 60)) }
            #expect(Set(orders).count == 1)
            for name in 0..<3 {
                #expect(orders[0].filter { $0.hasPrefix("\(name)-") } == (0..<20).map { "\(name)-\($0)" })
            }
            #expect(readers[0].messages.map { $0["seq"].int } == (1...60).map { $0 })
            let times = readers[0].messages.map { $0["sent_at"].number ?? 0 }
            #expect(times == times.sorted())
        }

        @Test("A channel: its owner and admins post, members read", .timeLimit(.minutes(6)))
        func channel() async throws {
            let owner = try await cluster.account("channel-owner", at: 0)
            let member = try await cluster.account("channel-member", at: 1)
            let channel = try await cluster.conversation("channel", owner, with: [member])
            let from = try await cluster.live(owner, "d", at: 2)
            let reader = try await cluster.live(member, "d", at: 1)
            #expect(try await from.say("news", to: channel)["op"].string == "accepted")
            #expect(try await received(reader, 1) == ["news"])
            let refused = try await reader.say("may I?", to: channel)
            #expect(refused["code"].string == "not_member")
            #expect(refused["retryable"].bool == false)
            let promoted = try await cluster.api(
                1, "POST", "conversations/\(channel)/members",
                body: #"{"user_ids":["\#(member.id)"],"action":"promote"}"#, token: owner.token)
            #expect(promoted.status == 200)
            #expect(try await reader.say("now I may", to: channel)["op"].string == "accepted")
            #expect(try await received(from, 1) == ["now I may"])
        }

        @Test("Notes to oneself reach one's other devices", .timeLimit(.minutes(6)))
        func notes() async throws {
            let alice = try await cluster.account("alice-self", at: 0)
            let desk = try await cluster.live(alice, "desk", at: 0)
            let phone = try await cluster.live(alice, "phone", at: 2)
            let id = newID()
            try desk.text(#"{"id":"\#(id)","to_user":"\#(alice.id)","content":{"any":["json",1.50,null]}}"#)
            #expect(try await desk.answer(to: id)["op"].string == "accepted")
            _ = try await received(phone, 1)
            #expect(phone.messages[0]["content"]["any"][0].string == "json")
            try phone.text(#"{"id":"\#(newID())","toUser":"ALICE-self","content":"2"}"#)
            #expect(try await received(desk, 1) == ["2"])
            #expect(phone.messages.count == 1)
        }

        @Test("start=all and start=now; what was acknowledged does not come again", .timeLimit(.minutes(6)))
        func starts() async throws {
            let alice = try await cluster.account("alice-start", at: 0)
            let bob = try await cluster.account("bob-start", at: 1)
            let talk = try await cluster.conversation("direct", alice, with: [bob])
            let desk = try await cluster.live(alice, "desk", at: 0)
            for number in 1...3 { _ = try await desk.say("\(number)", to: talk) }

            let all = try await cluster.live(bob, "all", at: 2)
            #expect(all.contents == ["1", "2", "3"])
            // In doubt too much is delivered: what is younger than ten seconds may come.
            let now = try await cluster.live(bob, "now", at: 1, options: .init(query: "&start=now"))
            _ = try await desk.say("4", to: talk)
            #expect(try await received(all, 4) == ["1", "2", "3", "4"])
            try await eventually("the device that began now has the new message") { now.contents.last == "4" }

            // Acknowledgements are kept within a second or so; until then a message may come again.
            try await eventually("all of it is acknowledged") {
                let view = try await self.cluster.admin(0, "/admin/conversations/\(talk)").json
                return view["cursors"].array.contains {
                    $0["user_id"].string == bob.id && $0["device_id"].string == "all" && $0["seq"].int == 4
                }
            }
            all.drop()
            _ = try await desk.say("5", to: talk)
            let again = try await cluster.live(bob, "all", at: 0)
            #expect(again.contents == ["5"])
        }

        @Test("A newer session of a device ends the older with 4409, on whatever node", .timeLimit(.minutes(6)))
        func replaced() async throws {
            let alice = try await cluster.account("alice-replaced", at: 0)
            let bob = try await cluster.account("bob-replaced", at: 1)
            let talk = try await cluster.conversation("direct", alice, with: [bob])
            let desk = try await cluster.live(alice, "desk", at: 0)
            var session = try await cluster.live(bob, "phone", at: 0)
            for node in [1, 2, 2, 0] {
                let next = try await cluster.live(bob, "phone", at: node)
                #expect(try await session.closed() == 4409)
                session = next
            }
            _ = try await desk.say("to the last", to: talk)
            #expect(try await received(session, 1) == ["to the last"])
            try await eventually("the last session alone is in the presence table") {
                let users = try await self.cluster.admin(1, "/admin/presence?user_id=\(bob.id)").json["users"]
                let online = users[0]["devices"].array.filter { $0["online"].bool == true }
                return online.map { $0["node_id"].string } == ["node-1"]
            }
        }

        @Test("Disabling a user ends sessions and logins on every node within a second", .timeLimit(.minutes(6)))
        func disabled() async throws {
            let bob = try await cluster.account("bob-disabled", at: 1)
            var sessions: [WireSession] = []
            for node in 0..<3 { sessions.append(try await cluster.live(bob, "d\(node)", at: node)) }
            let run = try await RoostProgram.run(
                [
                    "users", "disable", "--username", bob.name, "--admin",
                    "http://127.0.0.1:\(cluster.nodes[2].adminPort)",
                ], in: cluster.directory)
            try #require(run.status == .code(0), "\(run.errors)")
            for session in sessions { #expect(try await session.closed(within: .seconds(1)) == 4401) }
            for node in 0..<3 {
                try await eventually("no login at node \(node)", within: .seconds(1)) {
                    try await self.cluster.api(
                        node, "POST", "login", body: ProcessCluster.credentials(bob.name)
                    ).status == 401
                }
                #expect(try await cluster.api(node, "GET", "conversations", token: bob.token).status == 401)
                await #expect(throws: WireSession.Refused.self) {
                    try await cluster.session(bob, "again", at: node)
                }
            }
        }

        @Test("Sent again: the same answer; with other content: refused; what follows is not held up")
        func idempotence() async throws {
            let alice = try await cluster.account("alice-again", at: 0)
            let bob = try await cluster.account("bob-again", at: 1)
            let talk = try await cluster.conversation("direct", alice, with: [bob])
            let phone = try await cluster.live(bob, "phone", at: 1)
            let ids = (0..<8).map { _ in newID() }
            var session = try await cluster.live(alice, "desk", at: 0)
            for index in 0..<4 { try session.send("\(index)", to: talk, id: ids[index]) }
            var first: [JSON] = []
            for index in 0..<4 { first.append(try await session.answer(to: ids[index])) }
            session.drop()
            session = try await cluster.live(alice, "desk", at: 2)
            for index in 0..<8 { try session.send("\(index)", to: talk, id: ids[index]) }
            for index in 0..<4 { #expect(try await session.answer(to: ids[index]) == first[index]) }
            let clock = ContinuousClock()
            let start = clock.now
            for index in 4..<8 {
                #expect(try await session.answer(to: ids[index])["seq"].int == index + 1)
            }
            #expect(clock.now - start < Patience.times(.seconds(2)))
            let other = newID()
            try session.send("other", to: talk, id: ids[0])
            try session.send("good", to: talk, id: other)
            let refused = "error"
            try await eventually("id_reused") {
                session.frames(refused).contains { $0["id"].string == ids[0] && $0["code"].string == "id_reused" }
            }
            #expect(try await session.answer(to: other, within: .seconds(2))["seq"].int == 9)
            #expect(try await received(phone, 9) == (0..<8).map(String.init) + ["good"])
        }
    }
}
