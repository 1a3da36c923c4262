import RoostConsensus
import RoostModel
import RoostProtocol
import Testing

@Suite struct StateCursorTests {
    let a = user(1)
    let b = user(2)

    func machine(messages: UInt64 = 5) -> Machine {
        var machine = Machine()
        machine.create(group(1), by: a, with: [b])
        for id in 0..<messages { machine.send(id, to: group(1), from: a) }
        return machine
    }

    func advance(_ user: UserID, _ number: UInt64, _ seq: UInt64, _ conversation: ConversationID = group(1))
        -> CursorAdvance
    {
        CursorAdvance(user: user, device: device(number), conversation: conversation, seq: seq)
    }

    @Test func cursorsOnlyGoForwardAndNeverBeyondTheHead() {
        var machine = machine()
        #expect(machine.state.cursor(b, device(1), group(1)) == nil)
        #expect(machine.apply(.advanceCursors([advance(b, 1, 3), advance(b, 1, 2), advance(b, 2, 4)])) == .done)
        #expect(machine.last.changes == [.cursor(advance(b, 1, 3)), .cursor(advance(b, 2, 4))])
        machine.apply(.advanceCursors([advance(b, 1, 3), advance(b, 1, 6)]))
        #expect(machine.last.changes.isEmpty)
        #expect(machine.state.cursor(b, device(1), group(1)) == 3)
        #expect(machine.state.cursor(a, device(1), group(1)) == nil)
    }

    @Test func strangersAndUnknownConversationsArePassedOver() {
        var machine = machine()
        machine.apply(.advanceCursors([advance(user(9), 1, 1), advance(b, 1, 1, group(9)), advance(b, 1, 1)]))
        #expect(machine.last.changes == [.cursor(advance(b, 1, 1))])
        machine.change(group(1), .remove, [b], by: a)
        machine.apply(.advanceCursors([advance(b, 1, 4)]))
        #expect(machine.state.cursor(b, device(1), group(1)) == 4)
    }

    @Test func cursorsOfAConversationAreSorted() {
        var machine = machine()
        let unsorted = [advance(b, 9, 1), advance(b, 2, 2), advance(a, 5, 3)]
        machine.apply(.advanceCursors(unsorted))
        #expect(machine.state.cursors(of: group(1)) == unsorted.reversed())
        #expect(machine.state.cursors(of: group(2)) == [])
    }

    @Test func unreadIsWhatTheUserMayStillRead() {
        var machine = machine()
        machine.create(group(0), by: a, with: [b])
        machine.send(50, to: group(0), from: a)
        machine.create(group(2), by: a, with: [b])
        func unread(_ number: UInt64, initial: UInt64 = 0) -> [[UInt64]] {
            machine.state.unread(user: b, device: device(number)) { _ in initial }
                .map { [$0.conversation.uuid.low, $0.cursor, $0.head] }
        }
        #expect(unread(1) == [[0, 0, 1], [1, 0, 5]])
        #expect(unread(1, initial: 2) == [[1, 2, 5]])
        machine.apply(.advanceCursors([advance(b, 1, 4)]))
        #expect(unread(1) == [[0, 0, 1], [1, 4, 5]])
        machine.apply(.advanceCursors([advance(b, 1, 5)]))
        #expect(unread(1) == [[0, 0, 1]])
        #expect(unread(2) == [[0, 0, 1], [1, 0, 5]])
        machine.change(group(1), .remove, [b], by: a)
        machine.send(60, to: group(1), from: a)
        #expect(unread(1) == [[0, 0, 1]])
        #expect(unread(2) == [[0, 0, 1], [1, 0, 5]])
        machine.change(group(1), .add, [b], by: a)
        #expect(unread(1) == [[0, 0, 1]])
        machine.send(61, to: group(1), from: a)
        #expect(unread(1) == [[0, 0, 1], [1, 5, 7]])
    }

    @Test func coalescingKeepsTheLastRowOfEachKey() {
        var machine = machine(messages: 0)
        machine.flush()
        let c = user(3)
        machine.send(1, to: group(1), from: a)
        machine.send(2, to: group(1), from: a)
        machine.apply(.advanceCursors([advance(b, 1, 1)]))
        machine.apply(.advanceCursors([advance(b, 1, 2), advance(a, 1, 1)]))
        machine.change(group(1), .add, [c], by: a)
        machine.change(group(1), .remove, [c], by: a)
        let changes = StateChange.coalesced(machine.output.changes)
        #expect(machine.output.changes.count == 11 && changes.count == 7)
        #expect(Array(changes.suffix(3).prefix(2)) == [.cursor(advance(b, 1, 2)), .cursor(advance(a, 1, 1))])
        var rows = 0
        for case .conversation(let row) in changes {
            rows += 1
            #expect(row.lastSeq == 2)
        }
        #expect(rows == 1)
    }
}
