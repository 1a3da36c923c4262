import RoostCluster
import RoostModel
import RoostProtocol
import Testing

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
                var bench = SwimBench()
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
        var bench = SwimBench(heard: false)
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
        var bench = SwimBench()
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
        var bench = SwimBench()
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
        var bench = SwimBench()
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
        var bench = SwimBench()
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
        var bench = SwimBench()
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
        var bench = SwimBench()
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
            var bench = SwimBench()
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
        var bench = SwimBench()
        bench.hear(rumour("n1", .dead, epoch: 9), rumour("n1", .alive), rumour("n1", .alive, epoch: 1 << 60))
        #expect(!bench.actions.contains { if case .conflictingSelf = $0 { true } else { false } })
    }

    @Test("a ping for somebody else: ack forwarded, nack in time where the target is silent, at once where unknown")
    func relays() {
        var bench = SwimBench()
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
        var bench = SwimBench(timing: timing)
        for sequence in UInt32(0)..<5 {
            bench.feed(.received(SwimMessage(body: .pingRequest(sequence: sequence, target: "n3")), from: "n2"))
        }
        #expect(bench.sent.filter { $0.to == "n3" }.count == 3)
        #expect(bench.sent.filter { $0.to == "n2" }.count == 2)
        #expect(bench.swim.checkInvariants().isEmpty)
    }

    @Test("who leaves tells all at once, answers on, and probes no more")
    func leave() {
        var bench = SwimBench(others: 5)
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
        var bench = SwimBench()
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
        var bench = SwimBench()
        bench.feed(.localHealth(penalty: 1_000))
        bench.feed(.localHealth(penalty: -5))
        #expect(bench.swim.healthScore <= SwimTiming().healthLimit)
        var stretched = SwimBench()
        stretched.feed(.localHealth(penalty: 3))
        stretched.feed(.linkDown("n2"))
        stretched.run(for: 1_900 * milliseconds)
        #expect(stretched.status("n2") == .alive)
        stretched.run(for: 200 * milliseconds)
        #expect(stretched.status("n2") == .suspect)
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
