import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol
import Testing

@Suite struct StateSendTests {
    let a = user(1)
    let b = user(2)
    let c = user(3)

    func machine() -> Machine {
        var machine = Machine()
        machine.create(group(1), by: a, with: [b])
        return machine
    }

    // MARK: Identity

    @Test(arguments: [false, true]) func sameMessageAgainGetsTheFirstAnswer(flushed: Bool) {
        var machine = machine()
        let first = machine.send(1, to: group(1), from: a, stamp: 10)
        machine.send(2, to: group(1), from: a, stamp: 20)
        if flushed { machine.flush() }
        #expect(machine.state.pendingMessageCount == (flushed ? 0 : 2))
        #expect(machine.send(1, to: group(1), from: a, stamp: 30) == first)
        #expect(first == .sent(conversation: group(1), seq: 1, sentAt: 10))
        #expect(machine.last.committed.isEmpty)
        #expect(machine.state.lastSeq(of: group(1)) == 2)
    }

    @Test func otherContentOrTypeUnderTheIdIsRefused() {
        var machine = machine()
        machine.send(1, to: group(1), from: a)
        #expect(machine.send(1, to: group(1), from: a, content: "\"ho\"") == .rejected(.idReused))
        machine.flush()
        #expect(machine.send(1, to: group(1), from: a, content: "\"ho\"") == .rejected(.idReused))
        guard case .send(var command) = machine.sending(1, to: group(1), from: a) else { return }
        command.type = "tex"
        command.content = ByteBuffer(string: "t\"hi\"")
        #expect(machine.apply(.send(command)) == .rejected(.idReused))
    }

    @Test func identityIncludesSenderAndConversation() {
        var machine = machine()
        machine.create(group(2), by: a)
        #expect(machine.send(1, to: group(1), from: a)?.seq == 1)
        #expect(machine.send(1, to: group(1), from: b)?.seq == 2)
        #expect(machine.send(1, to: group(2), from: a)?.seq == 1)
    }

    @Test func aKnownMessageIsAnsweredThoughItsSenderIsGone() {
        var machine = machine()
        let first = machine.send(1, to: group(1), from: b)
        machine.change(group(1), .remove, [b], by: a)
        #expect(machine.send(1, to: group(1), from: b) == first)
        #expect(machine.send(2, to: group(1), from: b) == .rejected(.notMember))
    }

    @Test func rowsOfEntriesStillToComeDoNotCount() {
        var first = machine()
        first.send(1, to: group(1), from: a, stamp: 10)
        first.flush()
        var again = machine()
        again.tables = first.tables
        #expect(again.send(1, to: group(1), from: a, stamp: 10)?.seq == 1)
        #expect(again.last.committed.count == 1)
    }

    // MARK: What makes no message

    private func isStripped(_ machine: Machine, content: String = "\"hi\"") -> Bool {
        let hash = ContentHash.of(type: "text", content: ByteBuffer(string: content))
        return machine.last.changes.contains(.sendStripped(index: machine.state.appliedIndex, hash: hash))
    }

    /// No floor would ever reach it.
    @Test func whatMakesNoMessageLeavesNoContent() {
        var machine = machine()
        machine.send(1, to: group(1), from: a)
        #expect(!isStripped(machine))
        machine.send(1, to: group(1), from: a)
        #expect(isStripped(machine), "a copy")
        machine.send(1, to: group(1), from: a, content: "\"ho\"")
        #expect(isStripped(machine, content: "\"ho\""), "another message under its id")
        machine.send(2, to: group(1), from: c)
        #expect(isStripped(machine), "no member")
        machine.send(3, to: group(9), from: a)
        #expect(isStripped(machine), "no such conversation")
        machine.send(4, to: group(1), from: a, order: order(1, 7, base: 1))
        #expect(isStripped(machine), "out of its turn")
        // Read again after it has gone.
        guard let again = machine.sending(5, to: group(1), from: c).stripped(hash: 3) else { return }
        #expect(machine.apply(again) == .rejected(.notMember))
        #expect(!machine.last.changes.contains { if case .sendStripped = $0 { true } else { false } })
        #expect(machine.state.checkInvariants().isEmpty)
    }

    // MARK: Order of a session

    @Test func countersGoOneByOne() {
        var machine = machine()
        #expect(machine.send(1, to: group(1), from: a, order: order(1, 2, base: 1)) == .rejected(.outOfOrder))
        #expect(isStripped(machine) && machine.last.changes.count == 1)
        #expect(machine.send(1, to: group(1), from: a, order: order(1, 1, base: 1))?.seq == 1)
        #expect(machine.send(3, to: group(1), from: a, order: order(1, 3, base: 1)) == .rejected(.outOfOrder))
        #expect(machine.send(2, to: group(1), from: a, order: order(1, 2, base: 1))?.seq == 2)
        #expect(machine.send(3, to: group(1), from: a, order: order(1, 3, base: 2))?.seq == 3)
        #expect(machine.send(9, to: group(1), from: a, order: order(1, 2, base: 2)) == .rejected(.outOfOrder))
    }

    @Test func baseStepsOverWhatWasAnsweredElsewhere() {
        var machine = machine()
        machine.send(1, to: group(1), from: a, order: order(1, 1, base: 1))
        #expect(machine.send(5, to: group(1), from: a, order: order(1, 5, base: 4)) == .rejected(.outOfOrder))
        #expect(machine.send(5, to: group(1), from: a, order: order(1, 5, base: 5))?.seq == 2)
    }

    @Test func aNewRunShutsOutTheOldOne() {
        var machine = machine()
        machine.send(1, to: group(1), from: a, order: order(1, 1, base: 1))
        #expect(machine.send(3, to: group(1), from: a, order: order(2, 3, base: 2)) == .rejected(.outOfOrder))
        #expect(machine.send(2, to: group(1), from: a, order: order(2, 2, base: 2))?.seq == 2)
        #expect(machine.send(4, to: group(1), from: a, order: order(1, 2, base: 2)) == .rejected(.outOfOrder))
        #expect(machine.send(4, to: group(1), from: a, order: order(1, 3, base: 2)) == .rejected(.outOfOrder))
    }

    @Test func whatIsAnsweredHasHadItsTurn() {
        var machine = machine()
        #expect(machine.send(1, to: group(1), from: c, order: order(1, 1, base: 1)) == .rejected(.notMember))
        #expect(machine.send(2, to: group(1), from: c, order: order(1, 2, base: 1)) == .rejected(.notMember))
        machine.send(1, to: group(1), from: a, order: order(1, 1, base: 1, session: 8))
        // A known message in its turn.
        #expect(machine.send(1, to: group(1), from: a, order: order(1, 2, base: 1, session: 8))?.seq == 1)
        #expect(machine.send(2, to: group(1), from: a, order: order(1, 3, base: 1, session: 8))?.seq == 2)
        // A known message out of its turn is answered, and the turn is still open.
        #expect(machine.send(1, to: group(1), from: a, order: order(1, 9, base: 1, session: 8))?.seq == 1)
        #expect(machine.send(3, to: group(1), from: a, order: order(1, 4, base: 1, session: 8))?.seq == 3)
    }

    @Test func conversationsAndSessionsHaveTheirOwnCounters() {
        var machine = machine()
        machine.create(group(2), by: a)
        #expect(machine.send(1, to: group(1), from: a, order: order(1, 1, base: 1))?.seq == 1)
        #expect(machine.send(1, to: group(2), from: a, order: order(1, 1, base: 1))?.seq == 1)
        #expect(machine.send(2, to: group(1), from: a, order: order(1, 1, base: 1, session: 8))?.seq == 2)
    }

    @Test func ordersExpireByIndex() {
        var machine = Machine(limits: StateLimits(sendOrderLifetime: 5))
        machine.create(group(1), by: a)
        machine.send(1, to: group(1), from: a, order: order(3, 1, base: 1))
        machine.send(2, to: group(1), from: a, order: order(1, 1, base: 1, session: 8))
        machine.send(3, to: group(1), from: a, order: order(3, 2, base: 1))
        for index in 5...7 as ClosedRange<UInt64> {
            machine.apply(.advanceCursors([]))
            #expect(machine.state.appliedIndex == index && machine.last.changes.isEmpty)
        }
        machine.state.pass(index: 8, term: 1)
        machine.apply(.advanceCursors([]))
        #expect(
            machine.last.changes == [
                .sendOrderExpired(session: SessionID(8), conversation: group(1))
            ])
        // Index 10: the other session's last send, at 4, is now forgotten too, and so is its run.
        #expect(machine.send(4, to: group(1), from: a, order: order(1, 9, base: 9))?.seq == 4)
        #expect(
            machine.last.changes.first == .sendOrderExpired(session: SessionID(7), conversation: group(1)))
    }

    @Test func extremeCountersDoNotTrap() {
        var machine = machine()
        #expect(machine.send(1, to: group(1), from: a, order: order(.max, .max, base: .max))?.seq == 1)
        #expect(machine.send(2, to: group(1), from: a, order: order(.max, 0, base: 0)) == .rejected(.outOfOrder))
        #expect(machine.send(3, to: group(1), from: b, stamp: .max)?.sentAt == .max)
        #expect(machine.send(4, to: group(1), from: b, stamp: .max)?.seq == 3)
    }

    // MARK: Right to send

    @Test func onlyMembersSend() {
        var machine = machine()
        #expect(machine.send(1, to: group(9), from: a) == .rejected(.unknownConversation))
        #expect(machine.send(1, to: group(1), from: c) == .rejected(.notMember))
        machine.change(group(1), .remove, [b], by: a)
        #expect(machine.send(1, to: group(1), from: b) == .rejected(.notMember))
    }

    @Test func channelsAreForOwnerAndAdmins() {
        var machine = Machine()
        machine.create(group(1), .channel, by: a, with: [b, c])
        machine.change(group(1), .promote, [b], by: a)
        #expect(machine.send(1, to: group(1), from: a)?.seq == 1)
        #expect(machine.send(2, to: group(1), from: b)?.seq == 2)
        #expect(machine.send(3, to: group(1), from: c) == .rejected(.notAllowed))
    }

    // MARK: Direct conversations

    @Test func aDirectConversationIsMadeWithItsFirstMessage() {
        var machine = Machine()
        let id = ConversationID(direct: a, b)
        #expect(machine.send(1, to: id, from: b, peer: a, stamp: 50)?.seq == 1)
        #expect(machine.state.conversation(id)?.type == .direct)
        #expect(machine.state.conversation(id)?.createdAt == 50)
        #expect(machine.state.members(of: id) == [a, b])
        #expect(machine.send(2, to: id, from: a, peer: b)?.seq == 2)
        #expect(machine.send(3, to: id, from: a)?.seq == 3)
        let mine = ConversationID(direct: a, a)
        #expect(machine.send(4, to: mine, from: a, peer: a)?.seq == 1)
        #expect(machine.state.conversation(mine)?.type == .self)
        #expect(machine.state.members(of: mine) == [a])
        #expect(machine.state.checkInvariants().isEmpty)
    }

    @Test func itsIdMustBeDerived() {
        var machine = Machine()
        #expect(machine.send(1, to: group(1), from: a, peer: b) == .rejected(.invalid))
        #expect(machine.send(1, to: ConversationID(direct: b, c), from: a, peer: b) == .rejected(.invalid))
        #expect(machine.state.conversationCount == 0)
    }

    @Test func aMessageForOneUserNeverGoesToAGroup() {
        var machine = machine()
        #expect(machine.send(1, to: group(1), from: a, peer: b) == .rejected(.conflict))
    }

    // MARK: Output

    @Test func timesGrowWithinAConversation() {
        var machine = machine()
        #expect(machine.send(1, to: group(1), from: a, stamp: 100)?.sentAt == 100)
        #expect(machine.send(2, to: group(1), from: b, stamp: 90)?.sentAt == 101)
        #expect(machine.send(3, to: group(1), from: b, stamp: 200)?.sentAt == 200)
        #expect(machine.state.lastStamp == 200)
    }

    @Test func rowsAndMessageOfASend() {
        var machine = machine()
        machine.send(1, to: group(1), from: a, order: order(1, 1, base: 1), stamp: 100)
        #expect(machine.last.committed.map(\.index) == [2])
        let sent = machine.last.committed.first?.message
        #expect(sent?.id == message(1) && sent?.seq == 1 && sent?.sentAt == 100 && sent?.sender == a)
        #expect(sent?.originDevice == device(1) && sent?.content == ByteBuffer(string: "\"hi\""))
        guard machine.last.changes.count == 3 else {
            Issue.record("\(machine.last.changes)")
            return
        }
        #expect(
            machine.last.changes[0]
                == .sendOrder(
                    SendOrderRow(session: SessionID(7), conversation: group(1), run: 1, counter: 1, index: 2)))
        if case .conversation(let row) = machine.last.changes[1] {
            #expect(row.lastSeq == 1 && row.lastSentAt == 100)
        } else {
            Issue.record("no conversation row")
        }
        if case .message(let row) = machine.last.changes[2] {
            #expect(row.index == 2 && row.seq == 1 && row.id == message(1) && row.sender == a && row.sentAt == 100)
        } else {
            Issue.record("no message row")
        }
    }

    @Test func anEntryAppliedTwiceIsPassedOver() {
        var machine = machine()
        let before = machine.state.snapshot()
        var output = ApplyOutput()
        let command = machine.sending(1, to: group(1), from: a)
        machine.state.apply(
            index: 1, term: 1, StampedCommand(stamp: 1, command: command), known: machine.tables, into: &output)
        #expect(output.results.isEmpty && machine.state.snapshot() == before)
    }

    // MARK: Looking ahead

    @Test func theLeaderRefusesEarly() {
        var machine = machine()
        let first = machine.send(1, to: group(1), from: a, order: order(1, 1, base: 1))
        func ahead(_ command: Command) -> CommandResult? {
            machine.state.rejection(of: command, known: machine.tables)
        }
        var other = machine
        #expect(ahead(other.sending(1, to: group(1), from: a, order: order(1, 2, base: 1))) == first)
        #expect(
            ahead(other.sending(1, to: group(1), from: a, content: "0", order: order(1, 2, base: 1)))
                == .rejected(.idReused))
        #expect(
            ahead(other.sending(2, to: group(1), from: a, order: order(1, 1, base: 1))) == .rejected(.outOfOrder))
        #expect(ahead(other.sending(2, to: group(1), from: a, order: order(1, 2, base: 1))) == nil)
        #expect(ahead(other.sending(3, to: group(1), from: a, order: order(1, 3, base: 1))) == nil)
        #expect(ahead(other.sending(3, to: group(1), from: c)) == .rejected(.notMember))
        #expect(ahead(other.sending(3, to: group(8), from: c)) == .rejected(.unknownConversation))
        #expect(ahead(other.sending(3, to: ConversationID(direct: a, b), from: a, peer: b)) == nil)
        #expect(ahead(other.sending(3, to: ConversationID(direct: a, b), from: a, peer: c)) == .rejected(.invalid))
    }
}
