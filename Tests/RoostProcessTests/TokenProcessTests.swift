import RoostModel
import Testing

@testable import RoostCLI

extension ProcessSuite {
    /// Tokens of a cluster of processes: whose ends at one node ends at all within a second.
    @Suite("Tokens", .cluster(settings: #","security":{"scrypt_log_n":10,"token_lifetime_seconds":60}"#))
    struct TokenProcessTests {
        private let cluster: ProcessCluster

        init() throws { cluster = try .shared }

        private func login(_ account: Account, at node: Int, device: String? = nil) async throws -> String {
            let extra = device.map { #","device_id":"\#($0)""# } ?? ""
            let body =
                #"{"username":"\#(account.name)","password":"\#(ProcessCluster.password)"\#(extra)}"#
            return try await cluster.api(node, "POST", "login", body: body).json["access_token"].string
                .orThrow("login of \(account.name)")
        }

        private func refusedEverywhere(_ token: String) async throws {
            for node in 0..<3 {
                try await eventually("401 at node \(node)", within: .seconds(1)) {
                    try await self.cluster.api(node, "GET", "conversations", token: token).status == 401
                }
            }
        }

        @Test("A logout at one node ends the token and its sessions on every node within a second")
        func logout() async throws {
            let alice = try await cluster.account("alice-logout", at: 0)
            var other = alice
            other.token = try await login(alice, at: 1)
            var sessions: [WireSession] = []
            for node in 0..<3 { sessions.append(try await cluster.live(alice, "d\(node)", at: node)) }
            let kept = try await cluster.live(other, "kept", at: 2)
            // All nodes have just found the token good.
            for node in 0..<3 {
                #expect(try await cluster.api(node, "GET", "conversations", token: alice.token).status == 200)
            }
            #expect(try await cluster.api(1, "POST", "logout", token: alice.token).status == 200)
            for session in sessions { #expect(try await session.closed(within: .seconds(1)) == 4401) }
            try await refusedEverywhere(alice.token)
            await #expect(throws: WireSession.Refused.self) { try await cluster.session(alice, "d0", at: 0) }
            #expect(try await cluster.api(0, "GET", "conversations", token: other.token).status == 200)
            let all = try await cluster.api(0, "POST", "logout", body: #"{"everywhere":true}"#, token: other.token)
            #expect(all.status == 200)
            #expect(try await kept.closed(within: .seconds(1)) == 4401)
            try await refusedEverywhere(other.token)
        }

        @Test("A device is removed with its session, its tokens and what it has acknowledged")
        func device() async throws {
            let alice = try await cluster.account("alice-device", at: 0)
            let bob = try await cluster.account("bob-device", at: 1)
            let talk = try await cluster.conversation("direct", alice, with: [bob])
            var phone = bob
            phone.token = try await login(bob, at: 2, device: "phone")
            let session = try await cluster.live(phone, "phone", at: 2)
            let desk = try await cluster.live(alice, "desk", at: 0)
            _ = try await desk.say("hello", to: talk)
            try await eventually("the message") { session.contents == ["hello"] }
            let list = try await cluster.api(0, "GET", "devices", token: bob.token).json.array
            #expect(list.map { $0["device_id"].string } == ["phone"] && list.first?["status"].string == "online")
            let removed = try await HTTP.call(
                port: cluster.nodes[0].clientPort, "DELETE", "/api/devices/phone", token: bob.token)
            #expect(removed.status == 200)
            #expect(try await session.closed(within: .seconds(1)) == 4401)
            try await refusedEverywhere(phone.token)
            #expect(try await cluster.api(1, "GET", "devices", token: bob.token).json.array.isEmpty)
            // The one who asked may not be that device either, until he logs in again.
            await #expect(throws: WireSession.Refused.self) { try await cluster.session(bob, "phone", at: 1) }
            phone.token = try await login(bob, at: 1, device: "phone")
            let fresh = try await cluster.live(phone, "phone", at: 1)
            try await eventually("the message again") { fresh.contents == ["hello"] }
        }

        @Test("A signing key is rotated and nobody is logged out; one that is removed ends what it signed")
        func rotation() async throws {
            let alice = try await cluster.account("alice-keys", at: 0)
            let admin = "http://127.0.0.1:\(cluster.nodes[1].adminPort)"
            let before = try await cluster.admin(0, "/admin/keys").json.array
            let first = try before.first?["id"].string.orThrow("no key") ?? ""
            let session = try await cluster.live(alice, "phone", at: 2)
            let run = try await RoostProgram.run(["keys", "rotate", "--admin", admin], in: cluster.directory)
            try #require(run.status == .code(0), "\(run.errors)")
            for node in 0..<3 {
                #expect(try await cluster.api(node, "GET", "conversations", token: alice.token).status == 200)
                let token = try await login(alice, at: node)
                for other in 0..<3 {
                    #expect(try await cluster.api(other, "GET", "conversations", token: token).status == 200)
                }
            }
            _ = try await session.say("to myself", to: try await cluster.conversation("self", alice, with: []))
            let gone = try await RoostProgram.run(["keys", "remove", first, "--admin", admin], in: cluster.directory)
            try #require(gone.status == .code(0), "\(gone.errors)")
            for node in 0..<3 {
                try await eventually("401 at node \(node)", within: .seconds(2)) {
                    try await self.cluster.api(node, "GET", "conversations", token: alice.token).status == 401
                }
            }
        }

        @Test("A session is told that its token expires, and goes on with another", .timeLimit(.minutes(4)))
        func expiry() async throws {
            let alice = try await cluster.account("alice-expiry", at: 0)
            let renewed = try await cluster.live(alice, "renewed", at: 1)
            let left = try await cluster.live(alice, "left", at: 2)
            try await eventually("both are told", within: .seconds(70)) {
                !renewed.frames("token_expiring").isEmpty && !left.frames("token_expiring").isEmpty
            }
            try renewed.text(#"{"op":"token","token":"\#(try await login(alice, at: 0))"}"#)
            try await eventually("the new one is taken") { !renewed.frames("token_accepted").isEmpty }
            #expect(try await left.closed(within: .seconds(20)) == 4401)
            #expect(renewed.closeCode == nil)
        }
    }
}
