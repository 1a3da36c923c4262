import Foundation
import Testing

@testable import RoostCLI

extension ProcessSuite {
    @Suite("Nodes that are killed")
    struct NodeDeathTests {
        @Test("One of three, the leader of a conversation too, under load", .timeLimit(.minutes(6)))
        func oneNode() async throws {
            try await ProcessCluster.run { cluster in
                let alice = try await cluster.account("alice", at: 0)
                let bob = try await cluster.account("bob", at: 1)
                let carol = try await cluster.account("carol", at: 2)
                var talks: [String] = []
                for number in 0..<6 {
                    talks.append(
                        try await cluster.conversation("group", alice, with: [bob, carol], name: "talk \(number)"))
                }
                let place = try await cluster.admin(0, "/admin/conversations/\(talks[0])").json
                let leader = try await Self.leader(cluster, of: place["partition"].int)
                let victim = try cluster.index(of: leader).orThrow("no leader: \(place)")
                let others = (0..<3).filter { $0 != victim }
                let epoch = try await cluster.member(victim, seenBy: others[0])["epoch"].int

                // Bob listens on the other node, and on the one that dies; carol's only device is there as well.
                let phone = try await cluster.live(bob, "phone", at: others[1])
                let tablet = try await cluster.live(bob, "tablet", at: victim)
                let first = try await cluster.live(carol, "lonely", at: victim)
                let load = Load(cluster, alice, "desk", to: talks)
                try await load.run(at: others[0]) {
                    try await eventually("some are accepted") { load.accepted.count >= 50 }
                    try await cluster.kill(victim)
                    let died = ContinuousClock.now
                    try await eventually("each conversation goes on", within: .seconds(2)) {
                        Set(load.sends.filter { $0.at > died && $0.seq != nil }.map(\.conversation)).count == 6
                    }
                    for node in others {
                        try await eventually("\(node) knows of the death", within: .seconds(10)) {
                            try await cluster.member(victim, seenBy: node)["status"].string == "dead"
                        }
                        try await eventually("carol is offline", within: .seconds(10)) {
                            try await Self.online(cluster, carol, seenBy: node) == []
                        }
                    }
                }
                #expect(load.longestWait < Patience.times(.seconds(2)))
                #expect(load.errors == [])
                #expect(load.orderFaults == [])
                #expect(load.open.isEmpty)
                #expect(tablet.isEnded)
                let again = try await cluster.live(bob, "tablet", at: others[0])
                try await eventually("bob has everything") {
                    Deliveries(sessions: [phone]).has(load.accepted)
                        && Deliveries(sessions: [tablet, again]).has(load.accepted)
                }
                #expect(Deliveries(sessions: [phone]).faults(accepted: load.accepted) == [])
                #expect(Deliveries(sessions: [tablet, again]).faults(accepted: load.accepted) == [])

                try cluster.start(victim)
                try await cluster.ready([victim])
                for node in 0..<3 {
                    try await eventually("\(node) sees it alive, with a higher epoch", within: .seconds(10)) {
                        let member = try await cluster.member(victim, seenBy: node)
                        return member["status"].string == "alive" && member["epoch"].int ?? 0 > epoch ?? .max
                    }
                }
                try await eventually("its 32 partitions have caught up") {
                    try await Self.behind(cluster, victim, others) == []
                }
                let lonely = try await cluster.live(carol, "lonely", at: victim)
                #expect(Deliveries(sessions: [first, lonely]).faults(accepted: load.accepted) == [])
                let desk = try await cluster.live(alice, "desk", at: victim)
                for talk in talks { #expect(try await desk.say("after", to: talk)["op"].string == "accepted") }
                try await eventually("all have it") {
                    phone.contents.count { $0 == "after" } == 6 && lonely.contents.count { $0 == "after" } == 6
                }
            }
        }

        /// As the nodes see it themselves.
        private static func leader(_ cluster: ProcessCluster, of partition: Int?) async throws -> String? {
            let partitions = try await cluster.admin(0, "/admin/partitions").json.array
            return partitions.first { $0["id"].int == partition }?["leader"].string
        }

        private static func online(
            _ cluster: ProcessCluster, _ account: Account, seenBy node: Int
        ) async throws -> [String?] {
            let users = try await cluster.admin(node, "/admin/presence?user_id=\(account.id)").json["users"]
            return users[0]["devices"].array.filter { $0["online"].bool == true }.map { $0["device_id"].string }
        }

        /// The partitions in which a node has applied less than others have committed, or is no voter.
        private static func behind(_ cluster: ProcessCluster, _ node: Int, _ others: [Int]) async throws -> [Int] {
            var committed: [Int: Int] = [:]
            for other in others {
                for partition in try await cluster.admin(other, "/admin/partitions").json.array {
                    let id = partition["id"].int ?? -1
                    committed[id] = max(committed[id] ?? 0, partition["commit_index"].int ?? 0)
                }
            }
            let own = try await cluster.admin(node, "/admin/partitions").json.array
            guard own.count == 32 else { return Array(0..<32) }
            return own.filter { partition in
                let replica = partition["replicas"].array.first { $0["node_id"].string == cluster.nodes[node].id }
                return partition["applied_index"].int ?? 0 < committed[partition["id"].int ?? -1] ?? 0
                    || replica?["role"].string != "voter" || partition["leader"].isNull
            }.map { $0["id"].int ?? -1 }
        }

        @Test("All at once, under load: what was accepted is delivered", .timeLimit(.minutes(6)))
        func allNodes() async throws {
            try await ProcessCluster.run { cluster in
                let alice = try await cluster.account("alice", at: 0)
                let bob = try await cluster.account("bob", at: 1)
                var talks: [String] = []
                for number in 0..<4 {
                    talks.append(try await cluster.conversation("group", alice, with: [bob], name: "talk \(number)"))
                }
                let before = try await cluster.live(bob, "phone", at: 1)
                let load = Load(cluster, alice, "desk", to: talks)
                try await load.run(at: 0, every: .milliseconds(2)) {
                    try await eventually("many are accepted") { load.accepted.count >= 300 }
                    try await cluster.kill([0, 1, 2])
                    load.stop()
                }
                try await eventually("the end of the session is seen") { before.isEnded }
                let accepted = load.accepted
                #expect(accepted.count >= 300)

                for node in 0..<3 { try cluster.start(node) }
                try await cluster.ready()
                let after = try await cluster.live(bob, "phone", at: 2)
                let fresh = try await cluster.live(bob, "new", at: 0)
                #expect(Deliveries(sessions: [before, after]).faults(accepted: accepted) == [])
                #expect(Deliveries(sessions: [fresh]).faults(accepted: accepted) == [])
                // What was sent and not answered may be there or not, but in its order.
                for talk in talks {
                    let sent = load.sends.filter { $0.conversation == talk }.map(\.id)
                    let got = fresh.messages.filter { $0["conversation_id"].string == talk }.map { $0["id"].string }
                    #expect(got == Array(sent.prefix(got.count)))
                }
                // Sending again what has no answer: each is there once.
                let desk = try await cluster.live(alice, "desk", at: 1)
                for send in load.open { try desk.send(send.id, to: send.conversation, id: send.id) }
                for send in load.open { #expect(try await desk.answer(to: send.id)["op"].string == "accepted") }
                try await eventually("bob has all") { Deliveries(sessions: [fresh]).has(load.sends) }
                #expect(fresh.messages.count == load.sends.count)
            }
        }

        @Test("Two of three: refusals in bounded time; with one back it goes on", .timeLimit(.minutes(6)))
        func majority() async throws {
            let settings = #","security":{"scrypt_log_n":10},"timing":{"proposal_timeout_ms":1500}"#
            try await ProcessCluster.run(settings: settings) { cluster in
                let alice = try await cluster.account("alice", at: 0)
                let bob = try await cluster.account("bob", at: 1)
                let talk = try await cluster.conversation("direct", alice, with: [bob])
                let desk = try await cluster.live(alice, "desk", at: 0)
                let phone = try await cluster.live(bob, "phone", at: 0)
                #expect(try await desk.say("before", to: talk)["op"].string == "accepted")
                try await cluster.kill([1, 2])

                let ids = [newID(), newID()]
                for (index, id) in ids.enumerated() { try desk.send("\(index)", to: talk, id: id) }
                for id in ids {
                    let answer = try await desk.answer(to: id, within: .seconds(3))
                    #expect(answer["code"].string == "unavailable")
                    #expect(answer["retryable"].bool == true)
                }
                #expect(desk.frames("error").map { $0["id"].string } == ids)
                let login = try await cluster.api(0, "POST", "login", body: ProcessCluster.credentials("alice"))
                #expect(login.status == 503)
                #expect(login.headers["retry-after"] != nil)
                #expect(!desk.isEnded && !phone.isEnded)

                try cluster.start(1)
                try await cluster.ready([1])
                for (index, id) in ids.enumerated() { try desk.send("\(index)", to: talk, id: id) }
                try await eventually("bob has each once, in order") { phone.contents == ["before", "0", "1"] }
                try await eventually("alice is told of both") {
                    desk.frames("accepted").suffix(2).map { $0["id"].string } == ids
                }
            }
        }

        @Test("A leader that stands still for 5 s accepts nothing when it wakes up", .timeLimit(.minutes(6)))
        func staleLeader() async throws {
            try await ProcessCluster.run { cluster in
                let alice = try await cluster.account("alice", at: 0)
                let bob = try await cluster.account("bob", at: 1)
                let talk = try await cluster.conversation("group", alice, with: [bob], name: "talk")
                let place = try await cluster.admin(0, "/admin/conversations/\(talk)").json
                let victim = try cluster.index(of: place["leader"].string).orThrow("no leader")
                let other = (victim + 1) % 3
                // One client at the leader itself, one elsewhere, and bob at both.
                let near = try await cluster.live(alice, "near", at: victim)
                let far = try await cluster.live(alice, "far", at: other)
                let phone = try await cluster.live(bob, "phone", at: victim)
                let tablet = try await cluster.live(bob, "tablet", at: other)
                #expect(try await near.say("1", to: talk)["seq"].int == 1)

                let child = try cluster.child(victim)
                child.kill(SIGSTOP)
                try await eventually("all its threads stand still") { child.standsStill }
                // It will read this first when it wakes up, and still hold itself for the leader.
                let stale = newID()
                try near.send("stale", to: talk, id: stale)
                #expect(try await far.say("2", to: talk)["seq"].int == 2)
                #expect(try await far.say("3", to: talk)["seq"].int == 3)
                try await RoostProcessTests.pause(for: .seconds(5))
                child.kill(SIGCONT)
                // By the leader of now, behind what was accepted meanwhile; or refused, and not there.
                let answer = try await near.answer(to: stale, within: .seconds(15))
                if answer["op"].string == "accepted" {
                    #expect(answer["seq"].int == 4, "\(answer)")
                } else {
                    #expect(answer["code"].string == "unavailable", "\(answer)")
                }
                let last = try await near.say("last", to: talk)
                let tail = answer["op"].string == "accepted" ? ["stale", "last"] : ["last"]
                #expect(last["seq"].int == 3 + tail.count, "\(last)")
                for session in [phone, tablet] {
                    try await eventually("all is delivered") { session.contents.last == "last" }
                    #expect(session.contents == ["1", "2", "3"] + tail)
                    #expect(session.messages.compactMap { $0["seq"].int } == Array(1...3 + tail.count))
                }
            }
        }

        @Test("One that stands still, and wakes up again", .timeLimit(.minutes(6)))
        func standstill() async throws {
            try await ProcessCluster.run { cluster in
                let alice = try await cluster.account("alice", at: 0)
                let bob = try await cluster.account("bob", at: 1)
                var talks: [String] = []
                for number in 0..<6 {
                    talks.append(try await cluster.conversation("group", alice, with: [bob], name: "\(number)"))
                }
                let place = try await cluster.admin(0, "/admin/conversations/\(talks[0])").json
                let victim = try cluster.index(of: place["leader"].string).orThrow("no leader")
                let phone = try await cluster.live(bob, "phone", at: victim)
                let tablet = try await cluster.live(bob, "tablet", at: (victim + 1) % 3)
                let load = Load(cluster, alice, "desk", to: talks)
                try await load.run(at: (victim + 2) % 3) {
                    try await eventually("some are accepted") { load.accepted.count >= 30 }
                    try cluster.child(victim).kill(SIGSTOP)
                    try await eventually("it is missed", within: .seconds(10)) {
                        try await cluster.member(victim, seenBy: (victim + 1) % 3)["status"].string == "dead"
                    }
                    try cluster.child(victim).kill(SIGCONT)
                    try await eventually("it is back", within: .seconds(10)) {
                        try await cluster.member(victim, seenBy: (victim + 1) % 3)["status"].string == "alive"
                    }
                }
                #expect(load.longestWait < Patience.times(.seconds(2)))
                #expect(load.errors == [])
                #expect(load.orderFaults == [])
                // Its session has lived through it.
                for session in [phone, tablet] {
                    try await eventually("delivery") { Deliveries(sessions: [session]).has(load.accepted) }
                    #expect(Deliveries(sessions: [session]).faults(accepted: load.accepted) == [])
                    #expect(!session.isEnded)
                }
            }
        }
    }
}
