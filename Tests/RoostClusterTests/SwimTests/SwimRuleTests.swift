import RoostCluster
import RoostModel
import RoostProtocol
import Testing

/// One machine, fed by hand.
private struct Bench {
    var swim: Swim
    var now: UInt64 = 1 * seconds
    var actions: [Swim.Action] = []

    /// Round numbers, so that the tests can count.
    static var timing: SwimTiming {
        var timing = SwimTiming()
        timing.probePeriod = 500 * milliseconds
        timing.probeTimeout = 200 * milliseconds
        timing.suspicionFactor = 3
        timing.gossipPeriod = 200 * milliseconds
        timing.deadProbePeriod = 2 * seconds
        return timing
    }

    init(others: Int = 2, timing: SwimTiming = Bench.timing, heard: Bool = true) {
        let seeds = (1...(others + 1)).map { (node: NodeID("n\($0)"), address: "h:\($0)") }
        swim = Swim(me: "n1", epoch: 10, address: "h:1", seeds: seeds, timing: timing, now: now, seed: 1)
        guard heard else { return }
        for index in 2...(others + 1) { feed(.linkUp(NodeID("n\(index)"), epoch: 10, address: "h:\(index)")) }
        actions = []
    }

    mutating func feed(_ event: Swim.Event) { swim.receive(event, now: now, into: &actions) }
    mutating func hear(_ rumours: MemberRumour..., from: NodeID = "n2") {
        feed(.received(SwimMessage(body: .nack(sequence: 0, target: "x"), rumours: rumours), from: from))
    }
    /// Ticks whenever due, for a time.
    mutating func run(for duration: UInt64) {
        let end = now + duration
        while let due = swim.nextDeadline, due <= end {
            now = max(now, due)
            feed(.tick)
        }
        now = end
    }
    mutating func take() -> [Swim.Action] {
        defer { actions = [] }
        return actions
    }
    var sent: [(message: SwimMessage, to: NodeID)] {
        actions.compactMap { if case .send(let message, let to) = $0 { (message, to) } else { nil } }
    }
    func status(_ node: NodeID) -> MemberStatus? { swim.state(of: node)?.status }
}

private func rumour(
    _ node: NodeID, _ status: MemberStatus, epoch: Epoch = 10, incarnation: UInt64 = 0, accuser: NodeID? = nil
) -> MemberRumour {
    MemberRumour(
        node: node, epoch: epoch, incarnation: incarnation, status: status, address: "h", accuser: accuser)
}

@Suite("SWIM: rules")
struct SwimRuleTests {
    @Test("newer is: epoch, then left, then incarnation, then dead over suspect over alive")
    func order() {
        let ranked = [
            rumour("n3", .suspect), rumour("n3", .dead), rumour("n3", .alive, incarnation: 1),
            rumour("n3", .suspect, incarnation: 1), rumour("n3", .dead, incarnation: 1), rumour("n3", .left),
            rumour("n3", .alive, epoch: 11), rumour("n3", .suspect, epoch: 11), rumour("n3", .left, epoch: 11),
            rumour("n3", .dead, epoch: 12),
        ]
        for (low, older) in ranked.enumerated() {
            for newer in ranked[(low + 1)...] {
                var bench = Bench()
                bench.hear(older)
                let takesPart = bench.status("n3") == .alive || bench.status("n3") == .suspect
                bench.hear(newer)
                if newer.status == .dead, takesPart {
                    // Nobody takes a death on trust: it has the lowest timeout to deny it.
                    #expect(bench.status("n3") == .suspect)
                    bench.run(for: 1_490 * milliseconds)
                    #expect(bench.status("n3") == .suspect)
                    bench.run(for: 20 * milliseconds)
                }
                #expect(bench.status("n3") == newer.status)
                let before = bench.swim.state(of: "n3")
                bench.hear(older)
                #expect(bench.swim.state(of: "n3") == before, "\(older) over \(newer)")
                #expect(bench.swim.checkInvariants().isEmpty)
            }
        }
    }

    @Test("a member never heard of is suspect in epoch 0, no rumour tells of it, and is dead here only after the grace")
    func unheard() {
        var bench = Bench(heard: false)
        #expect(bench.swim.allMembers.map(\.node) == ["n1", "n2", "n3"])
        #expect(bench.status("n2") == .suspect)
        #expect(bench.swim.state(of: "n2")?.epoch == 0)
        #expect(bench.swim.activeCount == 1)
        bench.run(for: 9 * seconds)
        #expect(bench.status("n2") == .suspect)
        #expect(!bench.sent.isEmpty, "it is pinged")
        bench.run(for: 2 * seconds)
        #expect(bench.status("n2") == .dead)
        #expect(bench.sent.allSatisfy { $0.message.rumours.allSatisfy { $0.node == "n1" } })
        bench.feed(.linkUp("n2", epoch: 5, address: "h:2"))
        #expect(bench.status("n2") == .alive)
        #expect(bench.swim.activeCount == 2)
    }

    @Test("a handshake with a higher epoch is a return; of the same epoch it proves nothing, of a lower one nothing")
    func linkUp() {
        var bench = Bench()
        bench.hear(rumour("n2", .dead), from: "n3")
        bench.run(for: 2 * seconds)
        _ = bench.take()
        bench.feed(.linkUp("n2", epoch: 10, address: "h:2"))
        #expect(bench.status("n2") == .dead)
        let exchange = bench.sent.first { $0.to == "n2" }
        #expect(exchange?.message.body == .exchange(reply: true))
        #expect(exchange?.message.rumours.contains { $0.node == "n2" && $0.status == .dead } == true)
        bench.feed(.linkUp("n2", epoch: 9, address: "h:2"))
        #expect(bench.status("n2") == .dead)
        bench.feed(.linkUp("n2", epoch: 11, address: "h:2"))
        #expect(bench.status("n2") == .alive)
    }

    @Test("a broken link is a reason to probe now, never a death")
    func linkDown() {
        var bench = Bench()
        bench.feed(.linkDown("n2"))
        bench.feed(.linkDown("n2"))
        #expect(bench.status("n2") == .alive)
        let pings = bench.sent.filter { $0.to == "n2" }
        #expect(pings.count == 1)
        guard case .ping(let sequence)? = pings.first?.message.body else { return #expect(Bool(false)) }
        // Answered: all is well.
        bench.feed(.received(SwimMessage(body: .ack(sequence: sequence, target: "n2")), from: "n2"))
        bench.feed(.linkDown("unknown"))
        #expect(bench.status("n2") == .alive)
    }

    @Test("a silent target is probed through others, then suspected, then dead")
    func probe() {
        var bench = Bench()
        let started = bench.now
        bench.feed(.linkDown("n2"))
        bench.run(for: 250 * milliseconds)
        #expect(
            bench.sent.contains { sent in
                if case .pingRequest(_, "n2") = sent.message.body { sent.to == "n3" } else { false }
            })
        bench.run(for: 260 * milliseconds)
        #expect(bench.status("n2") == .suspect)
        // The suspect hears of it, from the accuser itself.
        #expect(
            bench.sent.contains { sent in
                sent.to == "n2"
                    && sent.message.rumours.contains { $0.status == .suspect && $0.node == "n2" && $0.accuser == "n1" }
            })
        bench.hear(rumour("n2", .suspect, accuser: "n3"), from: "n3")
        while bench.status("n2") == .suspect, bench.now < started + 10 * seconds { bench.run(for: 10 * milliseconds) }
        #expect(bench.status("n2") == .dead)
        // Confirmed: the lowest timeout, three periods after the suspicion began.
        #expect(bench.now - started >= 2_000 * milliseconds && bench.now - started <= 2_020 * milliseconds)
    }

    @Test("unconfirmed, or confirmed by the first accuser again, the highest timeout holds")
    func unconfirmed() {
        var bench = Bench()
        bench.hear(rumour("n3", .suspect, accuser: "n2"))
        bench.hear(rumour("n3", .suspect, accuser: "n2"))
        // The verifying probe is answered by a relay for the silent target, so nobody else accuses.
        for _ in 0..<590 {
            bench.run(for: 10 * milliseconds)
            for (message, to) in bench.sent where to == "n3" {
                if case .ping(let sequence) = message.body {
                    bench.feed(.received(SwimMessage(body: .ack(sequence: sequence, target: "n3")), from: "n3"))
                }
            }
            for (message, to) in bench.sent where to == "n2" {
                if case .ping(let sequence) = message.body {
                    bench.feed(.received(SwimMessage(body: .ack(sequence: sequence, target: "n2")), from: "n2"))
                }
            }
            _ = bench.take()
        }
        #expect(bench.status("n3") == .suspect)
        bench.run(for: 200 * milliseconds)
        #expect(bench.status("n3") == .dead)
    }

    @Test("an alive with a higher incarnation ends a suspicion and a death")
    func refutedByOther() {
        var bench = Bench()
        bench.hear(rumour("n3", .suspect, accuser: "n2"))
        bench.hear(rumour("n3", .alive))
        #expect(bench.status("n3") == .suspect)
        bench.hear(rumour("n3", .alive, incarnation: 1))
        #expect(bench.status("n3") == .alive)
        bench.hear(rumour("n3", .dead, incarnation: 1))
        bench.hear(rumour("n3", .alive, incarnation: 2))
        #expect(bench.status("n3") == .alive)
    }

    @Test(
        "suspected or declared dead itself, it refutes with a higher incarnation, and trusts itself less",
        arguments: [MemberStatus.suspect, .dead])
    func refutes(status: MemberStatus) {
        var bench = Bench()
        bench.hear(rumour("n1", status))
        #expect(bench.actions.contains(.refuted(incarnation: 1)))
        #expect(bench.swim.own.incarnation == 1)
        #expect(bench.swim.healthScore == 1)
        // The old rumour again changes nothing.
        bench.hear(rumour("n1", status))
        #expect(bench.swim.own.incarnation == 1)
        _ = bench.take()
        bench.run(for: 500 * milliseconds)
        #expect(bench.sent.contains { $0.message.rumours.contains(bench.ownRumour) })
    }

    @Test("what only another life can have said is a conflict, told once")
    func conflicts() {
        for foreign in [
            rumour("n1", .alive, epoch: 11), rumour("n1", .dead, epoch: 12), rumour("n1", .left),
            rumour("n1", .alive, incarnation: 3),
        ] {
            var bench = Bench()
            bench.hear(foreign)
            bench.hear(foreign)
            #expect(bench.actions == [.conflictingSelf(epoch: foreign.epoch)])
            bench.feed(.epochRaised(foreign.epoch + 1))
            #expect(bench.swim.own.epoch == foreign.epoch + 1)
            #expect(bench.swim.own.incarnation == 0)
            _ = bench.take()
            bench.hear(foreign)
            #expect(!bench.actions.contains { if case .conflictingSelf = $0 { true } else { false } })
        }
        var bench = Bench()
        bench.hear(rumour("n1", .dead, epoch: 9), rumour("n1", .alive), rumour("n1", .alive, epoch: 1 << 60))
        #expect(!bench.actions.contains { if case .conflictingSelf = $0 { true } else { false } })
    }

    @Test("a ping for somebody else: ack forwarded, nack in time where the target is silent, at once where unknown")
    func relays() {
        var bench = Bench()
        bench.feed(.received(SwimMessage(body: .pingRequest(sequence: 7, target: "n3")), from: "n2"))
        guard case .ping(let sequence)? = bench.sent.first?.message.body else { return #expect(Bool(false)) }
        #expect(bench.sent.first?.to == "n3")
        bench.run(for: 165 * milliseconds)
        #expect(bench.sent.contains { $0.to == "n2" && $0.message.body == .nack(sequence: 7, target: "n3") })
        bench.feed(.received(SwimMessage(body: .ack(sequence: sequence, target: "n3")), from: "n3"))
        #expect(bench.sent.contains { $0.to == "n2" && $0.message.body == .ack(sequence: 7, target: "n3") })
        _ = bench.take()
        bench.feed(.received(SwimMessage(body: .pingRequest(sequence: 8, target: "n9")), from: "n2"))
        #expect(bench.sent.map(\.message.body) == [.nack(sequence: 8, target: "n9")])
        _ = bench.take()
        bench.feed(.received(SwimMessage(body: .pingRequest(sequence: 9, target: "n1")), from: "n2"))
        #expect(bench.sent.map(\.message.body) == [.ack(sequence: 9, target: "n1")])
    }

    @Test("relayed probes are bounded")
    func relayBound() {
        var timing = SwimTiming()
        timing.maxRelays = 3
        var bench = Bench(timing: timing)
        for sequence in UInt32(0)..<5 {
            bench.feed(.received(SwimMessage(body: .pingRequest(sequence: sequence, target: "n3")), from: "n2"))
        }
        #expect(bench.sent.filter { $0.to == "n3" }.count == 3)
        #expect(bench.sent.filter { $0.to == "n2" }.count == 2)
        #expect(bench.swim.checkInvariants().isEmpty)
    }

    @Test("a rumour is sent a bounded number of times")
    func retransmits() {
        var bench = Bench(others: 9)
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
        var bench = Bench(others: 1)
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
        var bench = Bench(timing: timing)
        for index in 10..<20 { bench.hear(rumour(NodeID("n\(index)"), .alive)) }
        #expect(bench.swim.allMembers.count == 5)
        #expect(bench.swim.checkInvariants().isEmpty)
    }

    @Test("who leaves tells all at once, answers on, and probes no more")
    func leave() {
        var bench = Bench(others: 5)
        bench.feed(.leave)
        #expect(Set(bench.sent.map(\.to)).count == 5)
        #expect(bench.sent.allSatisfy { $0.message.rumours.contains { $0.node == "n1" && $0.status == .left } })
        #expect(bench.swim.nextDeadline == nil)
        _ = bench.take()
        bench.feed(.received(SwimMessage(body: .ping(sequence: 5)), from: "n2"))
        #expect(bench.sent.first?.message.body == .ack(sequence: 5, target: "n1"))
        #expect(bench.sent.first?.message.rumours.contains { $0.status == .left } == true)
        bench.feed(.leave)
        bench.hear(rumour("n1", .dead))
        #expect(bench.swim.own.status == .left)
        #expect(bench.swim.own.incarnation == 0)
    }

    @Test("a late tick is this node's own lag: nobody is suspected for it")
    func lateTick() {
        var bench = Bench()
        bench.feed(.linkDown("n2"))
        bench.hear(rumour("n3", .suspect, accuser: "n2"))
        bench.now += 60 * seconds
        bench.feed(.tick)
        #expect(bench.status("n2") == .alive)
        #expect(bench.status("n3") == .suspect)
        #expect(bench.swim.healthScore > 0)
    }

    @Test("local health stretches probes, is bounded, and comes back with every ack")
    func localHealth() {
        var bench = Bench()
        bench.feed(.localHealth(penalty: 1_000))
        bench.feed(.localHealth(penalty: -5))
        #expect(bench.swim.healthScore <= SwimTiming().healthLimit)
        var stretched = Bench()
        stretched.feed(.localHealth(penalty: 3))
        stretched.feed(.linkDown("n2"))
        stretched.run(for: 1_900 * milliseconds)
        #expect(stretched.status("n2") == .alive)
        stretched.run(for: 200 * milliseconds)
        #expect(stretched.status("n2") == .suspect)
    }

    @Test("digests that come with a message are handed on")
    func digests() {
        var bench = Bench()
        let digest = PresenceDigest(node: "n3", epoch: 1, version: 1)
        bench.feed(.received(SwimMessage(body: .nack(sequence: 1, target: "n3"), digests: [digest]), from: "n2"))
        #expect(bench.actions == [.digests([digest], from: "n2")])
    }

    @Test("a newcomer asks a few for everything, and introduces itself to the rest; who was there waits to be asked")
    func newcomer() {
        var bench = Bench(heard: false)
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
        var bench = Bench(others: 6)
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
            var timing = Bench.timing
            timing.exchangeBurst = 8
            var bench = Bench(timing: timing)
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
        var bench = Bench()
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
        #expect(told <= Bench.timing.exchangeBurst)
    }

    @Test("what was just heard is not said back")
    func notSaidBack() {
        var bench = Bench(others: 9)
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
        var bench = Bench(others: 5)
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
        var small = Bench(others: 2)
        small.run(for: 15 * seconds)
        #expect(small.swim.activeCount == 1)
    }

    @Test("a dead member that is back is asked for what it knows, and others not without bound")
    func returned() {
        var bench = Bench(others: 20)
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
        var bench = Bench(others: 5)
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
        var bench = Bench()
        bench.feed(.received(SwimMessage(body: .exchange(reply: true)), from: "n2"))
        #expect(bench.sent.map(\.message.body) == [.exchange(reply: false)])
        #expect(Set(bench.sent[0].message.rumours.map(\.node)) == ["n1", "n2", "n3"])
        _ = bench.take()
        bench.feed(.received(SwimMessage(body: .exchange(reply: false)), from: "n2"))
        #expect(bench.actions.isEmpty)
    }

    @Test("who knows other members than another begins a full exchange; who knows the same says nothing")
    func summary() {
        let (one, other) = (Bench(), Bench())
        #expect(one.swim.membersHash == other.swim.membersHash)
        var bench = Bench()
        bench.feed(.received(SwimMessage(body: .summary(members: one.swim.membersHash)), from: "n2"))
        #expect(bench.sent.isEmpty)
        bench.hear(rumour("n3", .alive, incarnation: 1), from: "n2")
        _ = bench.take()
        bench.feed(.received(SwimMessage(body: .summary(members: one.swim.membersHash)), from: "n2"))
        #expect(bench.sent.map(\.message.body) == [.exchange(reply: true)])
    }

    @Test("the timing's derivations")
    func timing() {
        let timing = SwimTiming()
        #expect(timing.lowestSuspicion(members: 3) == 1_200 * milliseconds)
        #expect(timing.lowestSuspicion(members: 10) == 1_200 * milliseconds)
        #expect((1_615...1_625).contains(timing.lowestSuspicion(members: 50) / milliseconds))
        #expect((2_395...2_405).contains(timing.lowestSuspicion(members: 1_000) / milliseconds))
        #expect(timing.relayTimeout == 120 * milliseconds)
        #expect(timing.retransmits(members: 1) == 3)
        #expect(timing.retransmits(members: 3) == 5)
        #expect(timing.retransmits(members: 50) == 12)
    }
}

extension Bench {
    fileprivate var ownRumour: MemberRumour {
        let own = swim.own
        return MemberRumour(
            node: own.node, epoch: own.epoch, incarnation: own.incarnation, status: own.status, address: own.address)
    }
}
