import Foundation
import Testing

@testable import RoostCLI

extension ProcessSuite {
    @Suite("Nodes that come and go")
    struct MembershipTests {
        /// A device as its client runs it: connects elsewhere when its session ends.
        private final class Listener: @unchecked Sendable {
            // Unchecked: what changes is touched under `lock` only.
            private let cluster: ProcessCluster
            private let account: Account
            private let device: String
            private let lock = NSLock()
            private var list: [WireSession] = []
            private var ending = false

            init(_ cluster: ProcessCluster, _ account: Account, _ device: String) {
                self.cluster = cluster
                self.account = account
                self.device = device
            }

            var sessions: [WireSession] { lock.withLock { list } }

            func run(at first: Int, _ body: @escaping @Sendable () async throws -> Void) async throws {
                async let listening: Void = listen(first)
                do { try await body() } catch {
                    lock.withLock { ending = true }
                    try? await listening
                    throw error
                }
                lock.withLock { ending = true }
                try await listening
            }

            private func listen(_ first: Int) async throws {
                var node = first
                while !lock.withLock({ ending }) {
                    if let session = try? await cluster.session(account, device, at: node) {
                        lock.withLock { list.append(session) }
                        while !session.isEnded, !lock.withLock({ ending }) { try await pause(for: .milliseconds(20)) }
                    } else {
                        try await pause(for: .milliseconds(50))
                    }
                    node = (node + 1) % cluster.nodes.count
                }
            }
        }

        private func roost(_ cluster: ProcessCluster, _ arguments: String...) async throws {
            let child = try ChildProcess(
                try RoostProgram.path(), arguments, log: "\(cluster.directory)/command-\(newID())")
            let exit = try await child.exited(within: .seconds(90))
            guard case .code(0) = exit else {
                throw HarnessError("\(arguments): \(exit) \(child.output) \(child.errors)")
            }
        }

        private func admin(_ cluster: ProcessCluster, _ node: Int) -> String {
            "http://127.0.0.1:\(cluster.nodes[node].adminPort)"
        }

        private func settled(_ cluster: ProcessCluster, _ nodes: [Int]) async throws {
            for node in nodes {
                try await eventually("the replicas led by \(node) are where they should be", within: .seconds(60)) {
                    let view = try await cluster.admin(node, "/admin/cluster").json
                    return view["unsettled_partitions"].int == 0 && view["unfilled_replicas"].int == 0
                }
            }
        }

        @Test("One joins, one leaves, one is gone for good, under load", .timeLimit(.minutes(6)))
        func growAndShrink() async throws {
            try await ProcessCluster.run(spares: 1) { cluster in
                let alice = try await cluster.account("alice", at: 0)
                let bob = try await cluster.account("bob", at: 1)
                var talks: [String] = []
                for number in 0..<6 {
                    talks.append(try await cluster.conversation("group", alice, with: [bob], name: "talk \(number)"))
                }
                let talk = talks
                let load = Load(cluster, alice, "desk", to: talk)
                let phone = Listener(cluster, bob, "phone")
                try await load.run(at: 2) {
                    try await phone.run(at: 0) {
                        try await eventually("some are accepted") { load.accepted.count >= 50 }
                        // Killed on the way in, it goes on where it was.
                        try cluster.start(3)
                        try await eventually("node-4 is in the ring") {
                            try await cluster.member(3, seenBy: 0)["status"].string == "alive"
                        }
                        try await cluster.kill(3)
                        try cluster.start(3)
                        try await cluster.ready([3])
                        try await settled(cluster, [0, 1, 2, 3])
                        let joined = load.accepted.count

                        let leaving = try cluster.child(0)
                        try await roost(cluster, "leave", "node-1", "--no-wait", "--admin", admin(cluster, 1))
                        try await pause(for: .milliseconds(300))
                        // Killed on the way out, it goes on, too.
                        try await cluster.kill(0)
                        let again = try cluster.start(0)
                        #expect(leaving.status != nil)
                        guard case .code(0) = try await again.exited(within: .seconds(90)) else {
                            throw HarnessError("node-1 does not leave: \(String(describing: again.status))")
                        }
                        try await settled(cluster, [1, 2, 3])

                        try await cluster.kill(1)
                        try await eventually("node-2 is held for dead", within: .seconds(30)) {
                            try await cluster.member(1, seenBy: 2)["status"].string == "dead"
                        }
                        try await roost(
                            cluster, "remove", "node-2", "--admin", admin(cluster, 2), "--admin", admin(cluster, 3))
                        try await settled(cluster, [2, 3])
                        try await eventually("sends go on") { load.accepted.count > joined + 50 }
                    }
                }
                #expect(load.open.isEmpty)
                #expect(load.orderFaults == [], "after \(load.errors.count) refusals, first: \(load.errors.prefix(1))")
                let accepted = load.accepted
                let last = try await cluster.live(bob, "phone", at: 3)
                let fresh = try await cluster.live(bob, "new", at: 2)
                try await eventually("bob has everything") {
                    Deliveries(sessions: phone.sessions + [last]).has(accepted)
                        && Deliveries(sessions: [fresh]).has(accepted)
                }
                #expect(Deliveries(sessions: phone.sessions + [last]).faults(accepted: accepted) == [])
                #expect(Deliveries(sessions: [fresh]).faults(accepted: accepted) == [])
                // Who was removed is told so.
                let back = try cluster.start(1)
                guard case .code(78) = try await back.exited(within: .seconds(30)) else {
                    throw HarnessError("node-2 comes back: \(String(describing: back.status))")
                }
                #expect(back.errors.contains("removed from the cluster"))
                // The two that are left come back by what they know, though the file says otherwise.
                try await cluster.kill([2, 3])
                for node in [2, 3] { try cluster.start(node) }
                try await cluster.ready([2, 3])
                #expect(
                    try await cluster.live(alice, "desk", at: 3).say("after", to: talk[0])["op"].string == "accepted")
            }
        }

        @Test("A node comes back at another port, and is found by those whose files are old", .timeLimit(.minutes(4)))
        func anotherPort() async throws {
            try await ProcessCluster.run { cluster in
                let alice = try await cluster.account("alice", at: 0)
                let bob = try await cluster.account("bob", at: 1)
                let talk = try await cluster.conversation("group", alice, with: [bob])
                // The highest id is dialled by all the others, the lowest by none; two at once must find each other, too.
                for (turn, movers) in [[2], [1, 2], [0]].enumerated() {
                    let ports = try FreePorts.take(movers.count)
                    try await cluster.kill(movers)
                    for (node, port) in zip(movers, ports) { try cluster.local.start(node, peerPort: port) }
                    try await cluster.ready(movers)
                    for observer in 0..<3 {
                        try await eventually("\(observer) has links to all", within: .seconds(30)) {
                            let links = try await cluster.admin(observer, "/admin/links").json.array
                            return links.count == 2 && links.allSatisfy { $0["connected"].bool == true }
                        }
                        for (node, port) in zip(movers, ports) {
                            try await eventually("the ring of \(observer) knows where \(node) is", within: .seconds(30))
                            {
                                let ring = try await cluster.admin(observer, "/admin/cluster").json["ring"]["members"]
                                    .array
                                return ring.contains {
                                    $0["id"].string == cluster.nodes[node].id && $0["peer_port"].int == port
                                }
                            }
                        }
                    }
                    let desk = try await cluster.live(alice, "desk", at: 0)
                    #expect(try await desk.say("moved \(turn)", to: talk)["op"].string == "accepted")
                }
                // What the ring says outlives the processes, whatever their files say of each other.
                let phone = try await cluster.live(bob, "phone", at: 2)
                try await eventually("bob has all") { phone.contents.count == 3 }
            }
        }

        @Test("All are restarted one after the other, under load", .timeLimit(.minutes(6)))
        func rollingRestart() async throws {
            try await ProcessCluster.run { cluster in
                let alice = try await cluster.account("alice", at: 0)
                let bob = try await cluster.account("bob", at: 1)
                var talks: [String] = []
                for number in 0..<6 {
                    talks.append(try await cluster.conversation("group", alice, with: [bob], name: "talk \(number)"))
                }
                let load = Load(cluster, alice, "desk", to: talks)
                let phone = Listener(cluster, bob, "phone")
                let tablet = Listener(cluster, bob, "tablet")
                try await load.run(at: 0) {
                    try await phone.run(at: 0) {
                        try await tablet.run(at: 1) {
                            for node in 0..<3 {
                                let before = load.accepted.count
                                try await eventually("some are accepted") { load.accepted.count >= before + 50 }
                                guard case .code(0) = try await cluster.terminate(node) else {
                                    throw HarnessError("\(node) does not drain")
                                }
                                try cluster.start(node)
                                try await cluster.ready([node])
                            }
                            let before = load.accepted.count
                            try await eventually("and after it") { load.accepted.count >= before + 50 }
                        }
                    }
                }
                // No longer than a reconnect and an election.
                #expect(load.longestWait < Patience.times(.seconds(3)), "\(load.longestWait)")
                #expect(load.errors == [])
                #expect(load.orderFaults == [])
                #expect(load.open.isEmpty)
                let accepted = load.accepted
                for (device, listener) in [("phone", phone), ("tablet", tablet)] {
                    let ended = listener.sessions.filter(\.isEnded)
                    #expect(!ended.isEmpty && ended.allSatisfy { $0.closeCode == 1012 }, "\(ended.map(\.closeCode))")
                    let last = try await cluster.live(bob, device, at: 2)
                    try await eventually("bob's \(device) has everything") {
                        Deliveries(sessions: listener.sessions + [last]).has(accepted)
                    }
                    #expect(Deliveries(sessions: listener.sessions + [last]).faults(accepted: accepted) == [])
                }
            }
        }
    }
}
