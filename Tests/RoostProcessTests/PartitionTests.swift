import Foundation
import Testing

@testable import RoostCLI

extension ProcessSuite {
    @Suite("Nodes that are cut off from each other")
    struct PartitionTests {
        /// Silent or with a reset, one node is cut off from both others while all is under load, and joined again.
        @Test(
            "One of three, cut off and joined again: nothing lost, twice or out of order", .timeLimit(.minutes(6)),
            arguments: [PeerProxy.Mode.closed, .stalled])
        func minority(mode: PeerProxy.Mode) async throws {
            try await ProcessCluster.run(proxied: true) { cluster in
                let alice = try await cluster.account("alice", at: 0)
                let bob = try await cluster.account("bob", at: 1)
                var talks: [String] = []
                for number in 0..<6 {
                    talks.append(try await cluster.conversation("group", alice, with: [bob], name: "\(number)"))
                }
                let place = try await cluster.admin(0, "/admin/conversations/\(talks[0])").json
                let victim = try cluster.index(of: place["leader"].string).orThrow("no leader")
                let led = talks[0]
                let others = (0..<3).filter { $0 != victim }
                let inside = try await cluster.live(bob, "inside", at: victim)
                let outside = try await cluster.live(bob, "outside", at: others[0])
                let stale = try await cluster.live(alice, "stale", at: victim)
                let load = Load(cluster, alice, "desk", to: talks)
                try await load.run(at: others[1]) {
                    try await eventually("some are accepted") { load.accepted.count >= 30 }
                    for other in others { cluster.local.set(mode, between: .init(victim, other)) }
                    let cut = ContinuousClock.now
                    try await eventually("all goes on without it") {
                        Set(load.sends.filter { $0.at > cut && $0.seq != nil }.map(\.conversation)).count == 6
                    }
                    for other in others {
                        try await eventually("it is missed", within: .seconds(10)) {
                            try await cluster.member(victim, seenBy: other)["status"].string == "dead"
                        }
                    }
                    // It may have led: now it accepts nothing.
                    let seen = load.accepted.count
                    try stale.send("stale", to: led, id: newID())
                    try await eventually("many more are accepted") { load.accepted.count >= seen + 100 }
                    #expect(stale.frames("accepted").isEmpty)
                    stale.drop(hard: true)
                    for other in others { cluster.local.set(.open, between: .init(victim, other)) }
                    for node in 0..<3 {
                        for peer in 0..<3 where peer != node {
                            try await eventually("\(node) and \(peer) see each other", within: .seconds(15)) {
                                try await cluster.member(peer, seenBy: node)["status"].string == "alive"
                            }
                        }
                    }
                }
                try await cluster.ready()
                #expect(load.errors == [])
                #expect(load.orderFaults == [])
                for session in [inside, outside] {
                    try await eventually("delivery") { Deliveries(sessions: [session]).has(load.accepted) }
                    #expect(Deliveries(sessions: [session]).faults(accepted: load.accepted) == [])
                    #expect(!session.isEnded)
                }
            }
        }

        @Test("Two of three, with the third between them: it relays, and no send is refused", .timeLimit(.minutes(6)))
        func oneLink() async throws {
            try await ProcessCluster.run(proxied: true) { cluster in
                let alice = try await cluster.account("alice", at: 0)
                let bob = try await cluster.account("bob", at: 1)
                var talks: [String] = []
                for number in 0..<6 {
                    talks.append(try await cluster.conversation("group", alice, with: [bob], name: "\(number)"))
                }
                let phone = try await cluster.live(bob, "phone", at: 1)
                let load = Load(cluster, alice, "desk", to: talks)
                try await load.run(at: 0) {
                    try await eventually("some are accepted") { load.accepted.count >= 30 }
                    cluster.local.set(.closed, between: .init(0, 1))
                    let seen = load.accepted.count
                    try await eventually("it goes on") { load.accepted.count >= seen + 100 }
                    for (node, peer) in [(0, 1), (1, 0)] {
                        // Others reach it; a probe by way of them may just be late.
                        #expect(try await cluster.member(peer, seenBy: node)["status"].string != "dead")
                        try await eventually("\(peer) is alive to \(node)", within: .seconds(5)) {
                            try await cluster.member(peer, seenBy: node)["status"].string == "alive"
                        }
                    }
                    cluster.local.set(.open, between: .init(0, 1))
                    try await eventually("the link is there again") {
                        let links = try await cluster.admin(0, "/admin/links").json.array
                        return links.allSatisfy { $0["connected"].bool == true }
                    }
                }
                #expect(load.longestWait < Patience.times(.seconds(5)))
                #expect(load.errors == [])
                #expect(load.orderFaults == [])
                try await eventually("delivery") { Deliveries(sessions: [phone]).has(load.accepted) }
                #expect(Deliveries(sessions: [phone]).faults(accepted: load.accepted) == [])
            }
        }
    }
}
