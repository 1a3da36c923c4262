import RoostConsensus
import RoostModel
import RoostProtocol
import Testing

@Suite struct StateRingTests {
    private func member(_ number: Int) -> RingMember {
        RingMember(
            node: NodeID("node-\(number)"), host: "10.0.0.\(number)", peerPort: 7001, clientPort: 8001, adminPort: 9001)
    }

    private var founding: Ring { Ring(version: 1, members: (1...3).map(member)) }

    private func after(_ changes: RingChange...) -> Ring {
        var ring = founding
        for change in changes { if case .changed(let next) = ring.changed(by: change) { ring = next } }
        return ring
    }

    @Test func joining() {
        let ring = after(.join(member(4)))
        #expect(ring.version == 2 && ring.active == ["node-1", "node-2", "node-3", "node-4"])
        #expect(ring["node-4"]?.since == 2)
        #expect(ring.changed(by: .join(member(4))) == .same)
        // It has moved.
        var moved = member(4)
        moved.host = "10.0.1.4"
        guard case .changed(let next) = ring.changed(by: .join(moved)) else {
            Issue.record("not moved")
            return
        }
        #expect(next.version == 3 && next["node-4"]?.host == "10.0.1.4" && next["node-4"]?.since == 2)
        var nowhere = member(5)
        nowhere.peerPort = 0
        #expect(ring.changed(by: .join(nowhere)) == .refused(.invalid))
    }

    @Test func leavingAndBeingRemoved() {
        let leaving = after(.leave("node-2"))
        #expect(leaving["node-2"]?.state == .leaving && leaving.active == ["node-1", "node-3"])
        #expect(leaving.present.count == 3)
        #expect(leaving.changed(by: .leave("node-2")) == .same)
        #expect(leaving.changed(by: .join(member(2))) == .refused(.conflict))
        let left = after(.leave("node-2"), .remove("node-2"))
        #expect(left.removed == ["node-2"] && left.version == 3 && left.present.count == 2)
        #expect(left.changed(by: .remove("node-2")) == .same)
        #expect(founding.changed(by: .remove("node-9")) == .refused(.invalid))
        // Blank, it may come again.
        let again = after(.leave("node-2"), .remove("node-2"), .join(member(2)))
        #expect(again.active.count == 3 && again["node-2"]?.since == 4)
    }

    @Test func moving() {
        var elsewhere = member(2)
        elsewhere.peerPort = 7002
        let moved = after(.leave("node-2"), .move(elsewhere))
        #expect(moved.version == 3 && moved["node-2"]?.peerPort == 7002)
        #expect(moved["node-2"]?.state == .leaving && moved["node-2"]?.since == 2 && moved["node-2"]?.moved == 3)
        #expect(moved.changed(by: .move(elsewhere)) == .same)
        #expect(founding.changed(by: .move(member(2))) == .same)
        #expect(founding.changed(by: .move(member(4))) == .refused(.invalid))
        #expect(after(.remove("node-2")).changed(by: .move(elsewhere)) == .refused(.invalid))
        elsewhere.host = ""
        #expect(founding.changed(by: .move(elsewhere)) == .refused(.invalid))
        // Whoever joins anew is where it says now.
        #expect(after(.move(moved.members[1]), .remove("node-2"), .join(member(2)))["node-2"]?.moved == 0)
    }

    @Test("a node is not removed where the ring has changed since that was looked at") func removingAtAVersion() {
        #expect(founding.changed(by: .removeAt(version: 1, "node-2")) == .changed(after(.remove("node-2"))))
        let other = after(.remove("node-3"))
        #expect(other.changed(by: .removeAt(version: 1, "node-2")) == .refused(.conflict))
        #expect(other.changed(by: .removeAt(version: 1, "node-3")) == .same)
        #expect(other.changed(by: .removeAt(version: 1, "node-9")) == .refused(.invalid))
    }

    @Test func somebodyStays() {
        let one = after(.remove("node-1"), .leave("node-2"))
        #expect(one.active == ["node-3"])
        #expect(one.changed(by: .leave("node-3")) == .refused(.notAllowed))
        #expect(one.changed(by: .remove("node-3")) == .refused(.notAllowed))
    }

    @Test func bounds() {
        var ring = founding
        for number in 4...64 {
            guard case .changed(let next) = ring.changed(by: .join(member(number))) else { return }
            ring = next
        }
        #expect(ring.active.count == 64)
        #expect(ring.changed(by: .join(member(65))) == .refused(.limitExceeded))
        ring = founding
        for number in 4...300 {
            for change in [RingChange.join(member(number)), .remove(NodeID("node-\(number)"))] {
                guard case .changed(let next) = ring.changed(by: change) else { return }
                ring = next
            }
        }
        #expect(ring.removed.count == Ring.maxRemoved && ring["node-300"] != nil && ring["node-4"] == nil)
        #expect(ring.members.map(\.node) == ring.members.map(\.node).sorted())
    }

    @Test func decidedWhenApplied() {
        var machine = Machine()
        #expect(machine.apply(.changeRing(.leave("node-1"))) == .rejected(.unavailable))
        #expect(machine.apply(.foundRing(founding)) == .done)
        #expect(machine.last.ring == founding && machine.last.changes == [.ring(founding)])
        // A second founding changes nothing.
        #expect(machine.apply(.foundRing(Ring(version: 1, members: []))) == .done)
        #expect(machine.last.ring == nil && machine.state.ring == founding)
        #expect(machine.apply(.changeRing(.join(member(4)))) == .done)
        #expect(machine.last.ring?.version == 2)
        #expect(machine.apply(.changeRing(.join(member(4)))) == .done)
        #expect(machine.last.changes.isEmpty)
        #expect(machine.apply(.changeRing(.remove("node-7"))) == .rejected(.invalid))
        #expect(machine.state.snapshot().ring?.version == 2)
    }

    /// The end of the log was lost for good, and the nodes heard what stood there.
    @Test func aNewerRingThanTheLogHasIsTaken() {
        var machine = Machine()
        #expect(machine.apply(.foundRing(founding)) == .done)
        var heard = founding
        for number in [4, 5] {
            if case .changed(let next) = heard.changed(by: .join(member(number))) { heard = next }
        }
        #expect(heard.version == founding.version + 2)
        #expect(machine.apply(.foundRing(heard)) == .done)
        #expect(machine.last.ring == heard && machine.state.ring == heard)
        #expect(machine.apply(.foundRing(founding)) == .done)
        #expect(machine.state.ring == heard)
    }
}
