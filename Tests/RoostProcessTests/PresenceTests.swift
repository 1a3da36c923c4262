import Foundation
import Testing

@testable import RoostCLI

extension ProcessSuite {
    @Suite("Who is online")
    struct PresenceTests {
        /// What a session was told of a user, in order: the status, and when he was seen last.
        private func told(_ session: WireSession, of account: Account) -> [(status: String, lastSeen: Double?)] {
            session.frames("presence").filter { $0["user_id"].string == account.id }.map {
                ($0["status"].string ?? "?", $0["last_seen"].number)
            }
        }

        @Test("Subscribed, away within the debounce, hidden, and a node that is killed", .timeLimit(.minutes(4)))
        func subscription() async throws {
            try await ProcessCluster.run { cluster in
                var accounts: [String: Account] = [:]
                for name in ["alice", "bob", "carol", "dora", "mallory"] {
                    accounts[name] = try await cluster.account(name)
                }
                func account(_ name: String) throws -> Account { try accounts[name].orThrow(name) }
                let (bob, carol, dora) = try (account("bob"), account("carol"), account("dora"))
                _ = try await cluster.conversation("group", try account("alice"), with: [bob, carol, dora])
                let hidden = try await cluster.api(
                    1, "PUT", "settings", body: #"{"hide_last_seen":true}"#, token: carol.token)
                #expect(hidden.status == 200)

                let alice = try await cluster.live(try account("alice"), "desk", at: 0)
                var phone = try await cluster.live(bob, "phone", at: 1)
                let lonely = try await cluster.live(carol, "lonely", at: 1)
                let tablet = try await cluster.live(dora, "tablet", at: 1)
                let (watch, stranger) = try (newID(), account("mallory"))
                let ids = [bob, carol, dora, stranger].map { "\"\($0.id)\"" }.joined(separator: ",")
                try alice.text(#"{"op":"subscribe","id":"\#(watch)","presence":[\#(ids)]}"#)
                try await eventually("all three are online") {
                    [bob, carol, dora].allSatisfy { self.told(alice, of: $0).map(\.status) == ["online"] }
                }
                let answer = try alice.frames("subscribed").first.orThrow("no answer")
                #expect(answer["id"].string == watch)
                #expect(answer["refused"].array.compactMap(\.string) == [stranger.id])

                // Away for less than the debounce, and back elsewhere: nobody is told.
                phone.drop()
                try await pause(for: .milliseconds(500))
                phone = try await cluster.live(bob, "phone", at: 2)
                try await pause(for: .seconds(5))
                #expect(told(alice, of: bob).count == 1)
                // For good: told when the debounce is over, and when he was seen last.
                let left = Date().timeIntervalSince1970
                phone.drop()
                try await eventually("bob is offline") { told(alice, of: bob).count == 2 }
                let away = Date().timeIntervalSince1970 - left
                #expect(away > 2.5 && away < 3 + Patience.times(.seconds(2)).seconds, "\(away)")
                let last = try told(alice, of: bob)[1].lastSeen.orThrow("no last_seen")
                #expect(told(alice, of: bob)[1].status == "offline" && abs(last - left) < 2, "\(last) \(left)")

                // The node of the others is killed. Dora comes back at once; carol, who hides it, does not.
                try await cluster.kill(1)
                let killed = ContinuousClock.now
                let again = try await cluster.live(dora, "tablet", at: 2)
                try await eventually("carol is offline", within: .seconds(10)) {
                    told(alice, of: carol).last?.status == "offline"
                }
                #expect(told(alice, of: carol).map(\.status) == ["online", "offline"])
                #expect(told(alice, of: carol).last?.lastSeen == nil)
                #expect(killed.duration(to: .now) > .seconds(3))
                try await pause(for: .seconds(2))
                #expect(told(alice, of: dora).map(\.status) == ["online"])
                #expect(lonely.isEnded && tablet.isEnded && !again.isEnded)

                // It comes back, and so does she, there.
                try cluster.start(1)
                try await cluster.ready([1])
                let home = try await cluster.live(carol, "lonely", at: 1)
                try await eventually("carol is online") { told(alice, of: carol).last?.status == "online" }
                #expect(!home.isEnded && told(alice, of: stranger).isEmpty)
            }
        }
    }
}
