import RoostCluster
import RoostModel
import RoostProtocol
import Testing

/// What members tell each other, how often, and what they do where somebody is wrong.
@Suite("SWIM: rumours and exchanges")
struct SwimRumourTests {
    @Test("a rumour is sent a bounded number of times")
    func retransmits() {
        var bench = SwimBench(others: 9)
        bench.hear(rumour("n10", .left))
        _ = bench.take()
        var sent = 0
        for _ in 0..<60 {
            bench.feed(.received(SwimMessage(body: .ping(sequence: 1)), from: "n3"))
            sent += bench.sent.filter { $0.message.rumours.contains { $0.node == "n10" } }.count
            _ = bench.take()
        }
        // 3 · ln(10): nine alive ones, this one among them, and the one that left.
        #expect(sent == 7)
    }

    @Test("rumours on a message keep to the byte budget, the least sent first")
    func budget() {
        var bench = SwimBench(others: 1)
        let many = (10..<210).map { rumour(NodeID("n\($0)"), .alive) }
        bench.feed(.received(SwimMessage(body: .exchange(reply: false), rumours: many), from: "n2"))
        _ = bench.take()
        bench.feed(.received(SwimMessage(body: .ping(sequence: 1)), from: "n2"))
        let first = bench.sent[0].message.rumours
        let bytes = first.reduce(0) { $0 + 24 + $1.node.name.utf8.count + $1.address.utf8.count }
        #expect(bytes <= SwimTiming().rumourBudget && bytes > SwimTiming().rumourBudget - 50)
        _ = bench.take()
        bench.feed(.received(SwimMessage(body: .ping(sequence: 2)), from: "n2"))
        let second = bench.sent[0].message.rumours
        #expect(Set(first.map(\.node)).isDisjoint(with: second.map(\.node)))
    }

    @Test("members are bounded: rumours of more are ignored")
    func memberBound() {
        var timing = SwimTiming()
        timing.maxMembers = 4
        var bench = SwimBench(timing: timing)
        for index in 10..<20 { bench.hear(rumour(NodeID("n\(index)"), .alive)) }
        #expect(bench.swim.allMembers.count == 5)
        #expect(bench.swim.checkInvariants().isEmpty)
    }

    @Test("digests that come with a message are handed on")
    func digests() {
        var bench = SwimBench()
        let digest = PresenceDigest(node: "n3", epoch: 1, version: 1)
        bench.feed(.received(SwimMessage(body: .nack(sequence: 1, target: "n3"), digests: [digest]), from: "n2"))
        #expect(bench.actions == [.digests([digest], from: "n2")])
    }

    @Test("a newcomer asks a few for everything, and introduces itself to the rest; who was there waits to be asked")
    func newcomer() {
        var bench = SwimBench(heard: false)
        for index in 2...9 { bench.feed(.linkUp(NodeID("n\(index)"), epoch: 10, address: "h:\(index)")) }
        let asked = bench.sent.filter { $0.message.body == .exchange(reply: true) }
        #expect(asked.map(\.to) == ["n2", "n3", "n4"])
        let introduced = bench.sent.filter { if case .ping = $0.message.body { true } else { false } }
        #expect(introduced.map(\.to) == ["n5", "n6", "n7", "n8", "n9"])
        #expect(introduced.allSatisfy { $0.message.rumours.contains { $0.node == "n1" } })
        for index in 2...4 {
            bench.feed(.received(SwimMessage(body: .exchange(reply: false)), from: NodeID("n\(index)")))
        }
        bench.run(for: 5 * seconds)
        _ = bench.take()
        bench.feed(.linkUp("n11", epoch: 10, address: "h:11"))
        #expect(bench.sent.map(\.to) == ["n11"])
        #expect(bench.sent.allSatisfy { if case .ping = $0.message.body { true } else { false } })
    }

    @Test("who hears of a death of one that is alive here tells it at once, so that it can deny it")
    func condemned() {
        var bench = SwimBench(others: 6)
        bench.hear(rumour("n3", .dead), from: "n2")
        #expect(bench.status("n3") == .suspect)
        let told = bench.sent.first { $0.to == "n3" }
        #expect(
            told?.message.rumours.first
                == MemberRumour(
                    node: "n3", epoch: 10, incarnation: 0, status: .suspect, address: "h", accuser: "n2"))
        bench.run(for: 1_000 * milliseconds)
        bench.hear(rumour("n3", .alive, incarnation: 1), from: "n3")
        bench.run(for: 400 * milliseconds)
        #expect(bench.status("n3") == .alive)
        // A suspicion that has run for that long already ends with the word.
        bench.hear(rumour("n3", .suspect, incarnation: 1, accuser: "n2"))
        for sequence in UInt32(0)..<4 {
            bench.run(for: 400 * milliseconds)
            bench.feed(.received(SwimMessage(body: .ping(sequence: sequence)), from: "n2"))
        }
        #expect(bench.status("n3") == .suspect)
        bench.hear(rumour("n3", .dead, incarnation: 1), from: "n2")
        #expect(bench.status("n3") == .dead)
    }

    @Test("who is wrong about this node is told so directly")
    func corrected() {
        for body in [
            SwimMessage.Body.ping(sequence: 1), .ack(sequence: 1, target: "n2"), .nack(sequence: 1, target: "n3"),
            .exchange(reply: true), .exchange(reply: false), .summary(members: 1),
        ] {
            var timing = SwimBench.timing
            timing.exchangeBurst = 8
            var bench = SwimBench(timing: timing)
            bench.hear(rumour("n1", .suspect), from: "n3")
            _ = bench.take()
            bench.feed(.received(SwimMessage(body: body, rumours: [rumour("n1", .dead)]), from: "n2"))
            let told = bench.sent.filter { $0.to == "n2" && $0.message.rumours.contains(bench.ownRumour) }
            #expect(told.count == 1, "\(body)")
            _ = bench.take()
            // Who is right is not.
            bench.feed(
                .received(SwimMessage(body: .nack(sequence: 1, target: "n3"), rumours: [bench.ownRumour]), from: "n2"))
            #expect(bench.sent.isEmpty)
        }
    }

    @Test("but only so often: two that hold each other wrong do not storm")
    func correctedSeldom() {
        var bench = SwimBench()
        _ = bench.take()
        var told = 0
        for sequence in UInt32(0)..<50 {
            bench.feed(
                .received(
                    SwimMessage(body: .nack(sequence: sequence, target: "n3"), rumours: [rumour("n1", .dead)]),
                    from: "n2"))
            told += bench.sent.count { $0.to == "n2" }
            _ = bench.take()
        }
        #expect(told <= SwimBench.timing.exchangeBurst)
    }

    @Test("what was just heard is not said back")
    func notSaidBack() {
        var bench = SwimBench(others: 9)
        bench.hear(rumour("n10", .left), from: "n3")
        _ = bench.take()
        for sequence in UInt32(0)..<20 {
            bench.feed(
                .received(SwimMessage(body: .ping(sequence: sequence), rumours: [rumour("n10", .left)]), from: "n3"))
        }
        #expect(!bench.sent.contains { $0.message.rumours.contains { $0.node == "n10" } })
        _ = bench.take()
        bench.feed(.received(SwimMessage(body: .ping(sequence: 30)), from: "n4"))
        #expect(bench.sent.contains { $0.message.rumours.contains { $0.node == "n10" } })
    }

    @Test("who hears nobody judges nobody, for a minute; where only two others are there, it does")
    func deaf() {
        var bench = SwimBench(others: 5)
        bench.run(for: 40 * seconds)
        #expect(bench.swim.allMembers.contains { $0.status == .suspect })
        #expect(!bench.swim.allMembers.contains { $0.status == .dead })
        // It hears again: whoever is suspect has its time from now on.
        bench.hear(rumour("n9", .alive), from: "n2")
        bench.run(for: 1 * seconds)
        #expect(!bench.swim.allMembers.contains { $0.status == .dead })
        bench.run(for: 120 * seconds)
        #expect(bench.swim.activeCount == 1)
        #expect(bench.swim.checkInvariants().isEmpty)
        var small = SwimBench(others: 2)
        small.run(for: 15 * seconds)
        #expect(small.swim.activeCount == 1)
    }

    @Test("a dead member that is back is asked for what it knows, and others not without bound")
    func returned() {
        var bench = SwimBench(others: 20)
        for index in 2...21 { bench.hear(rumour(NodeID("n\(index)"), .dead), from: "n2") }
        bench.run(for: 90 * seconds)
        #expect(bench.swim.activeCount == 1)
        _ = bench.take()
        for index in 2...21 { bench.hear(rumour(NodeID("n\(index)"), .alive, incarnation: 1), from: "n2") }
        #expect(bench.swim.activeCount == 21)
        #expect(bench.sent.filter { $0.message.body == .exchange(reply: true) }.count == 3)
    }

    @Test("so is who has a link back, but not who begins a life, though gossip has told of it before")
    func linkBack() {
        var bench = SwimBench(others: 5)
        let others = (2...6).map { NodeID("n\($0)") }
        for node in others { bench.feed(.received(SwimMessage(body: .exchange(reply: false)), from: node)) }
        bench.run(for: 2 * seconds)
        _ = bench.take()
        bench.hear(rumour("n3", .alive, epoch: 11))
        bench.feed(.linkUp("n3", epoch: 11, address: "h"))
        bench.feed(.linkUp("n2", epoch: 10, address: "h"))
        let asked = bench.sent.filter { $0.message.body == .exchange(reply: true) }
        #expect(asked.map(\.to) == ["n2"])
        #expect(bench.sent.contains { $0.to == "n3" && $0.message.rumours.contains { $0.node == "n1" } })
        _ = bench.take()
        bench.feed(.received(SwimMessage(body: .ping(sequence: 1)), from: "n3"))
        _ = bench.take()
        bench.feed(.linkUp("n3", epoch: 11, address: "h"))
        #expect(bench.sent.map(\.message.body) == [.exchange(reply: true)])
    }

    @Test("a full exchange is answered in kind, once")
    func exchange() {
        var bench = SwimBench()
        bench.feed(.received(SwimMessage(body: .exchange(reply: true)), from: "n2"))
        #expect(bench.sent.map(\.message.body) == [.exchange(reply: false)])
        #expect(Set(bench.sent[0].message.rumours.map(\.node)) == ["n1", "n2", "n3"])
        _ = bench.take()
        bench.feed(.received(SwimMessage(body: .exchange(reply: false)), from: "n2"))
        #expect(bench.actions.isEmpty)
    }

    @Test("who knows other members than another begins a full exchange; who knows the same says nothing")
    func summary() {
        let (one, other) = (SwimBench(), SwimBench())
        #expect(one.swim.membersHash == other.swim.membersHash)
        var bench = SwimBench()
        bench.feed(.received(SwimMessage(body: .summary(members: one.swim.membersHash)), from: "n2"))
        #expect(bench.sent.isEmpty)
        bench.hear(rumour("n3", .alive, incarnation: 1), from: "n2")
        _ = bench.take()
        bench.feed(.received(SwimMessage(body: .summary(members: one.swim.membersHash)), from: "n2"))
        #expect(bench.sent.map(\.message.body) == [.exchange(reply: true)])
    }
}
