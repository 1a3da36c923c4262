import Foundation
import Testing

@testable import RoostCLI

extension ProcessSuite {
    /// Whatever one client does, another is served.
    @Suite(
        "Bad input to a running node",
        .cluster(settings: #","security":{"scrypt_log_n":10},"limits":{"handshake_ms":700,"max_frame":4096}"#))
    struct BadInputTests {
        private let cluster: ProcessCluster
        private var port: Int { cluster.nodes[0].clientPort }

        init() throws { cluster = try .shared }

        /// Two users with a talk, and a third who is not in it.
        private struct People {
            var alice: Account
            var bob: Account
            var eve: Account
            var talk: String
            /// Bob's, on another node.
            var witness: WireSession
            var sender: WireSession
        }

        private func people(_ name: String) async throws -> People {
            let alice = try await cluster.account("alice-\(name)", at: 0)
            let bob = try await cluster.account("bob-\(name)", at: 1)
            let eve = try await cluster.account("eve-\(name)", at: 2)
            let talk = try await cluster.conversation("group", alice, with: [bob])
            return People(
                alice: alice, bob: bob, eve: eve, talk: talk,
                witness: try await cluster.live(bob, "witness", at: 1),
                sender: try await cluster.live(alice, "sender", at: 0))
        }

        /// The attacked node takes and delivers a message of another client.
        private func stillServes(_ people: People, _ after: String) async throws {
            let answer = try await people.sender.say(after, to: people.talk)
            #expect(answer["op"].string == "accepted", "after \(after)")
            try await eventually("delivery after \(after)") { people.witness.contents.last == after }
        }

        // MARK: Frames

        @Test("Frames that are answered by an error, and the session goes on", .timeLimit(.minutes(6)))
        func errors() async throws {
            let people = try await people("frames")
            let talk = people.talk
            let table: [(frame: String, code: String)] = [
                ("", "invalid_json"),
                ("hello", "invalid_json"),
                ("[1]", "invalid_json"),
                ("{\"op\":\"send\"", "invalid_json"),
                (#"{"op":"send","conversation_id":"\#(talk)","content":"\ud800"}"#, "invalid_json"),
                (#"{"op":"send","content":"to nobody"}"#, "missing_field"),
                (#"{"op":"send","conversation_id":"\#(talk)"}"#, "missing_field"),
                (#"{"op":"ack"}"#, "missing_field"),
                (#"{"op":"dance"}"#, "unknown_op"),
                (#"{"op":7}"#, "invalid_field"),
                (#"{"op":"ack","n":"one"}"#, "invalid_field"),
                (#"{"op":"ack","n":999}"#, "invalid_field"),
                (#"{"op":"ack","n":-1}"#, "invalid_field"),
                (#"{"op":"send","id":"7","conversation_id":"\#(talk)","content":"x"}"#, "invalid_field"),
                (#"{"op":"send","conversation_id":"here","content":"x"}"#, "invalid_field"),
                (#"{"op":"send","conversation_id":"\#(talk)","type":5,"content":"x"}"#, "invalid_field"),
                (#"{"conversation_id":"\#(talk)","to_user":"\#(people.bob.id)","content":"x"}"#, "invalid_field"),
                (#"{"op":"send","conversation_id":"\#(newID())","content":"x"}"#, "unknown_conversation"),
                (#"{"op":"send","to_user":"\#(newID())","content":"x"}"#, "unknown_user"),
                (#"{"op":"send","to_user":"nobody of this name","content":"x"}"#, "unknown_user"),
            ]
            let session = try await cluster.live(people.alice, "bad", at: 0)
            for (index, row) in table.enumerated() {
                try session.text(row.frame)
                try await eventually("an error for \(row.frame)") { session.frames("error").count > index }
                let error = session.frames("error")[index]
                #expect(error["code"].string == row.code, "\(row.frame): \(error)")
                #expect(error["retryable"].bool == false)
                #expect(error["detail"].string?.isEmpty == false)
                try await stillServes(people, "frame \(index)")
            }
            #expect(try await session.say("still here", to: talk)["op"].string == "accepted")
            let foreign = try await cluster.live(people.eve, "d", at: 0)
            #expect(try await foreign.say("let me in", to: talk)["code"].string == "not_member")
            #expect(!session.isEnded)
            #expect(people.witness.contents.last == "still here")
        }

        @Test("Frames that end the session, with the code of the protocol", .timeLimit(.minutes(6)))
        func closes() async throws {
            let people = try await people("closes")
            let text = Array(#"{"op":"ack","n":0}"#.utf8)
            let table: [(what: String, bytes: [UInt8], code: Int)] = [
                ("too large", WireSession.encode(1, Array(repeating: 0x20, count: 4_097)), 1009),
                ("a length of 2^63", [0x81, 0xff] + [0x80] + Array(repeating: 0, count: 11), 1009),
                (
                    "too large in fragments",
                    WireSession.encode(1, Array(repeating: 0x20, count: 4_000), final: false)
                        + WireSession.encode(0, Array(repeating: 0x20, count: 97)), 1009
                ),
                ("not UTF-8", WireSession.encode(1, [0x22, 0xc3, 0x28, 0x22]), 1007),
                ("a surrogate in UTF-8", WireSession.encode(1, [0x22, 0xed, 0xa0, 0x80, 0x22]), 1007),
                ("binary", WireSession.encode(2, text), 1003),
                ("unmasked", WireSession.encode(1, text, masked: false), 1002),
                ("a reserved opcode", WireSession.encode(3, text), 1002),
                ("a reserved control opcode", WireSession.encode(11, []), 1002),
                ("a reserved bit", WireSession.encode(1, text, reserved: 4), 1002),
                ("a continuation of nothing", WireSession.encode(0, text), 1002),
                (
                    "a message within another", WireSession.encode(1, text, final: false) + WireSession.encode(1, text),
                    1002
                ),
                ("a fragmented ping", WireSession.encode(9, [], final: false), 1002),
                ("a long ping", WireSession.encode(9, Array(repeating: 1, count: 126)), 1002),
                ("a wrong close code", WireSession.encode(8, [0x03, 0xed]), 1002),
                ("HTTP in a WebSocket", Array("GET / HTTP/1.1\r\n\r\n".utf8), 1002),
            ]
            for row in table {
                let session = try await cluster.live(people.alice, "bad", at: 0)
                try session.bytes(row.bytes)
                #expect(try await session.closed() == row.code, "\(row.what)")
                try await stillServes(people, row.what)
            }
            let session = try await cluster.live(people.alice, "bad", at: 0)
            try session.frame(opcode: 8, [0x03, 0xe8])
            #expect(try await session.closed() == 1000)
        }

        @Test("Half a frame, a reset, a client that only reads: nobody else notices", .timeLimit(.minutes(6)))
        func halfOpen() async throws {
            let people = try await people("half")
            let half = try await cluster.live(people.alice, "half", at: 0)
            try half.bytes([0x81, 0xfe, 0x01])
            try await stillServes(people, "half a frame")
            half.drop(hard: true)
            try await stillServes(people, "a reset")
            // A frame in single bytes is a frame.
            let slow = try await cluster.live(people.alice, "slow", at: 0)
            for byte in WireSession.encode(
                1, Array(#"{"to_user":"\#(people.bob.name)","content":"byte by byte"}"#.utf8))
            { try slow.bytes([byte]) }
            try await eventually("its message") { people.witness.contents.last == "byte by byte" }
        }

        // MARK: Handshakes

        @Test("Handshakes that are refused", .timeLimit(.minutes(6)))
        func handshakes() async throws {
            let people = try await people("hands")
            let alice = people.alice
            let table: [(what: String, user: String, token: String?, device: String?, query: String, status: Int)] = [
                ("no token", alice.id, nil, "d", "", 401),
                ("a forged token", alice.id, try forged(alice, as: people.bob), "d", "", 401),
                ("a token without algorithm", alice.id, try unsigned(alice), "d", "", 401),
                ("another user's path", people.bob.id, alice.token, "d", "", 403),
                ("a path without a user", "nobody", alice.token, "d", "", 400),
                ("no device", alice.id, alice.token, nil, "", 400),
                ("a bad device", alice.id, alice.token, "a%20b", "", 400),
                ("a long device", alice.id, alice.token, String(repeating: "d", count: 65), "", 400),
                ("a bad start", alice.id, alice.token, "d", "&start=soon", 400),
                ("a bad ack", alice.id, alice.token, "d", "&ack=never", 400),
            ]
            for row in table {
                do {
                    _ = try await WireSession.open(
                        port: port, user: row.user, token: row.token, device: row.device,
                        options: .init(query: row.query))
                    Issue.record("\(row.what): it was let in")
                } catch let refused as WireSession.Refused {
                    #expect(refused.answer.status == row.status, "\(row.what)")
                    #expect(refused.answer.headers["content-type"] == "application/problem+json")
                }
            }
            try await stillServes(people, "refused handshakes")
        }

        @Test("Connections that say nothing, or half of it, are closed", .timeLimit(.minutes(6)))
        func silence() async throws {
            let people = try await people("silence")
            let whole = WireSession.handshake(
                port: port, user: people.alice.id, token: people.alice.token, device: "d")
            let port = port
            for (what, text) in [("nothing", ""), ("half a handshake", String(whole.dropLast(60)))] {
                let wire = try await onThread { try Wire(port: port) }
                try wire.write(text)
                let start = ContinuousClock.now
                _ = try await onThread { try wire.readAll() }
                let lasted = ContinuousClock.now - start
                #expect(lasted < Patience.times(.seconds(3)), "\(what)")
                try await stillServes(people, what)
            }
            // Ended by the client in the middle.
            let wire = try await onThread { try Wire(port: port) }
            try wire.write(String(whole.dropLast(60)))
            wire.shutWriting()
            _ = try await onThread { try wire.readAll() }
            try await stillServes(people, "an end in the middle")
        }

        @Test("Nonsense on the ports of peers and operators", .timeLimit(.minutes(6)))
        func otherPorts() async throws {
            let people = try await people("ports")
            let nonsense: [[UInt8]] = [
                Array("GET / HTTP/1.1\r\nhost: x\r\n\r\n".utf8),
                Array(repeating: 0, count: 100),
                Array(repeating: 0xff, count: 100_000),
                [0x7f, 0xff, 0xff, 0xff] + Array(repeating: 0x55, count: 1_000),
                (0..<4_096).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ $0 >> 3) },
            ]
            for (index, bytes) in nonsense.enumerated() {
                for port in [cluster.nodes[0].peerPort, cluster.nodes[0].adminPort] {
                    // It may be closed before all of it is written.
                    try await onThread {
                        let wire = try Wire(port: port)
                        try? wire.write(bytes)
                        wire.shutWriting()
                        _ = try wire.readAll()
                    }
                }
                try await stillServes(people, "nonsense \(index)")
            }
            let links = try await cluster.admin(0, "/admin/links").json.array
            #expect(links.map { $0["connected"].bool } == [true, true])
        }

        // MARK: HTTP

        @Test("HTTP calls that are refused", .timeLimit(.minutes(6)))
        func http() async throws {
            let people = try await people("http")
            let (alice, bob, eve) = (people.alice, people.bob, people.eve)
            let talk = "conversations/\(people.talk)"
            typealias Row = (method: String, path: String, body: String?, token: String?, status: Int, code: String)
            let table: [Row] = [
                ("POST", "register", "nope", nil, 400, "invalid_json"),
                ("POST", "register", #"{"username":"x"}"#, nil, 400, "missing_field"),
                ("POST", "register", #"{"username":5,"password":"p"}"#, nil, 400, "invalid_field"),
                ("POST", "register", #"{"username":"\#(newID())","password":"p"}"#, nil, 400, "invalid_field"),
                ("POST", "register", #"{"username":"x","password":"p","role":"admin"}"#, nil, 403, "forbidden"),
                ("POST", "register", ProcessCluster.credentials(alice.name), nil, 409, "username_taken"),
                ("POST", "register", String(repeating: " ", count: 300_000), nil, 413, "too_large"),
                ("POST", "login", #"{"username":"\#(alice.name)","password":"wrong"}"#, nil, 401, "unauthorized"),
                ("POST", "login", ProcessCluster.credentials("nobody-at-all"), nil, 401, "unauthorized"),
                ("GET", "conversations", nil, nil, 401, "unauthorized"),
                ("GET", "conversations", nil, "a.b.c", 401, "unauthorized"),
                ("GET", "conversations", nil, try forged(alice, as: bob), 401, "unauthorized"),
                ("GET", "conversations", nil, try unsigned(alice), 401, "unauthorized"),
                ("GET", "conversations/nope", nil, alice.token, 400, "invalid_field"),
                ("GET", "conversations/\(newID())", nil, alice.token, 404, "unknown_conversation"),
                ("GET", talk, nil, eve.token, 403, "not_member"),
                ("GET", "\(talk)/messages", nil, eve.token, 403, "not_member"),
                ("GET", "\(talk)/messages?size=101", nil, alice.token, 400, "invalid_field"),
                ("GET", "\(talk)/messages?before=-1", nil, alice.token, 400, "invalid_field"),
                ("POST", "conversations", #"{"type":"club","user_ids":[]}"#, alice.token, 400, "invalid_field"),
                (
                    "POST", "conversations", #"{"type":"group","user_ids":["\#(newID())"]}"#, alice.token, 404,
                    "unknown_user"
                ),
                (
                    "POST", "\(talk)/members", #"{"user_ids":["\#(eve.id)"],"action":"add"}"#, bob.token, 403,
                    "not_allowed"
                ),
                (
                    "POST", "\(talk)/members", #"{"user_ids":["\#(eve.id)"],"action":"add"}"#, eve.token, 403,
                    "not_member"
                ),
                ("GET", "sync?user_id=\(bob.id)&since=0", nil, alice.token, 403, "forbidden"),
                ("GET", "sync?user_id=\(alice.id)&since=NaN", nil, alice.token, 400, "invalid_field"),
                ("GET", "sync?user_id=\(alice.id)&since=0&cursor=zzz", nil, alice.token, 400, "invalid_field"),
                ("GET", "presence/\(eve.id)", nil, alice.token, 403, "forbidden"),
                ("GET", "presence/nodes?user_ids=\(bob.id)", nil, alice.token, 403, "forbidden"),
                ("GET", "users?username=nobody-at-all", nil, alice.token, 404, "unknown_user"),
                ("GET", "nothing/here", nil, alice.token, 404, "not_found"),
                ("DELETE", "conversations", nil, alice.token, 405, "method_not_allowed"),
            ]
            for row in table {
                let answer = try await cluster.api(0, row.method, row.path, body: row.body, token: row.token)
                #expect(answer.status == row.status, "\(row.method) \(row.path): \(answer.json)")
                #expect(answer.code == row.code, "\(row.method) \(row.path): \(answer.json)")
                #expect(answer.headers["content-type"] == "application/problem+json")
                #expect(answer.json["status"].int == row.status)
                for key in ["type", "title", "detail"] { #expect(answer.json[key].string?.isEmpty == false) }
            }
            try await stillServes(people, "refused calls")
        }

        @Test("What is no HTTP is refused or closed", .timeLimit(.minutes(6)))
        func noHTTP() async throws {
            let people = try await people("nohttp")
            let requests = [
                "hello\r\n\r\n",
                "GET / HTTP/9.9\r\n\r\n",
                "GET / HTTP/1.1\r\n: empty\r\n\r\n",
                "POST /api/register HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
                "POST /api/register HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
                "GET /\(String(repeating: "x", count: 200_000)) HTTP/1.1\r\n\r\n",
                "GET / HTTP/1.1\r\n\(String(repeating: "a: b\r\n", count: 40_000))\r\n",
            ]
            let port = port
            for request in requests {
                let answer = try await onThread {
                    let wire = try Wire(port: port)
                    try? wire.write(request)
                    return try wire.readAll()
                }
                if !answer.isEmpty { #expect((400...505).contains(try HTTPResult(parsing: answer).status)) }
                try await stillServes(people, String(request.prefix(20)))
            }
        }

        // MARK: Tokens

        /// The signature of one token under another user's claims.
        private func forged(_ account: Account, as other: Account) throws -> String {
            var parts = account.token.split(separator: ".").map(String.init)
            parts[1] = String(other.token.split(separator: ".")[1])
            return parts.joined(separator: ".")
        }

        private func unsigned(_ account: Account) throws -> String {
            let header = Data(#"{"alg":"none","typ":"JWT"}"#.utf8).base64EncodedString().filter { $0 != "=" }
            return "\(header).\(account.token.split(separator: ".")[1])."
        }
    }
}
