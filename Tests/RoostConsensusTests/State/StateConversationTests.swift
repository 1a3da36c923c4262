import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol
import Testing

@Suite struct StateConversationTests {
    let a = user(1)
    let b = user(2)
    let c = user(3)
    let d = user(4)

    // MARK: Creating

    @Test func theCallerIsOwnerAndTheOthersMembers() {
        var machine = Machine()
        let result = machine.create(group(1), by: b, with: [a, c], name: "n")
        let expected = ConversationSnapshot(
            id: group(1), type: .group, name: "n", createdAt: 0, lastSeq: 0,
            members: [
                MemberSnapshot(user: a, role: .member, current: true),
                MemberSnapshot(user: b, role: .owner, current: true),
                MemberSnapshot(user: c, role: .member, current: true),
            ])
        #expect(result == .conversation(expected))
        #expect(machine.state.conversations(of: c) == [expected])
        #expect(machine.last.changes.count == 4)
    }

    @Test func aRetryGetsItAsItIsNow() {
        var machine = Machine()
        machine.create(group(1), by: a, with: [b], name: "n")
        machine.change(group(1), .add, [c], by: a)
        #expect(
            machine.create(group(1), by: a, with: [b], name: "n")
                == machine.state.conversation(group(1)).map(CommandResult.conversation))
        #expect(machine.state.members(of: group(1)) == [a, b, c])
        #expect(machine.create(group(1), by: a, with: [b, c], name: "n") == .rejected(.conflict))
        #expect(machine.create(group(1), by: a, with: [b], name: nil) == .rejected(.conflict))
        #expect(machine.create(group(1), by: b, with: [a], name: "n") == .rejected(.conflict))
        #expect(machine.create(group(1), .channel, by: a, with: [b], name: "n") == .rejected(.conflict))
    }

    @Test func membersAreASet() {
        var machine = Machine()
        machine.create(group(1), by: a, with: [c, a, b, c])
        #expect(machine.state.members(of: group(1)) == [a, b, c])
        #expect(machine.create(group(1), by: a, with: [b, c]) != .rejected(.conflict))
    }

    @Test func directAndSelfAreFoundAgain() {
        var machine = Machine()
        let id = ConversationID(direct: a, b)
        machine.create(id, .direct, by: a, with: [b], name: "n")
        let found = machine.state.conversation(id).map(CommandResult.conversation)
        #expect(machine.create(id, .direct, by: b, with: [a]) == found)
        #expect(machine.send(1, to: id, from: b, peer: a)?.seq == 1)
        let mine = ConversationID(direct: c, c)
        machine.send(1, to: mine, from: c, peer: c)
        #expect(
            machine.create(mine, .self, by: c) == machine.state.conversation(mine).map(CommandResult.conversation))
        #expect(machine.state.conversationCount == 2)
    }

    @Test func derivedIdsAreForDirectOnes() {
        var machine = Machine()
        #expect(machine.create(group(1), .direct, by: a, with: [b]) == .rejected(.invalid))
        #expect(machine.create(ConversationID(direct: a, b), .direct, by: a) == .rejected(.invalid))
        #expect(machine.create(ConversationID(direct: a, b), .direct, by: a, with: [b, c]) == .rejected(.invalid))
        #expect(machine.create(ConversationID(direct: a, b), .self, by: a, with: [b]) == .rejected(.invalid))
        #expect(machine.create(ConversationID(direct: a, b), .group, by: c) == .rejected(.invalid))
    }

    @Test func limitsOfCreating() {
        var machine = Machine(limits: StateLimits(partitions: 2, members: 3, conversationsPerUser: 5, nameBytes: 4))
        #expect(machine.create(group(1), by: a, with: [b, c, d]) == .rejected(.limitExceeded))
        #expect(machine.create(group(1), by: a, with: [b, c], name: "fünf") == .rejected(.invalid))
        for number in 1...3 as ClosedRange<UInt64> {
            #expect(machine.create(group(number), by: a, with: [b, c], name: "four") != .rejected(.limitExceeded))
        }
        #expect(machine.create(group(4), by: a) == .rejected(.limitExceeded))
        #expect(
            machine.send(1, to: ConversationID(direct: a, b), from: a, peer: b) == .rejected(.limitExceeded))
        // A retry is no new one, and others may add whom they like.
        #expect(machine.create(group(3), by: a, with: [b, c], name: "four") != .rejected(.limitExceeded))
        machine.create(group(4), by: d, with: [a])
        #expect(machine.state.conversationCount(of: a) == 4)
    }

    // MARK: Who may change members

    /// a owner, b and c admins, d and e members; f nobody.
    @Test(arguments: [
        (MembershipAction.add, UInt64(1), [UInt64(6)], nil as Rejection?),
        (.add, 2, [6], nil), (.add, 4, [6], .notAllowed), (.add, 6, [6], .notMember), (.add, 2, [4], nil),
        (.add, 1, [], .invalid),
        (.remove, 1, [2, 4], nil), (.remove, 2, [4], nil), (.remove, 2, [2, 4], nil), (.remove, 2, [3], .notAllowed),
        (.remove, 2, [1], .notAllowed), (.remove, 2, [6], nil), (.remove, 4, [5], .notAllowed),
        (.remove, 4, [4], nil), (.remove, 4, [4, 5], .notAllowed), (.remove, 1, [1], nil),
        (.remove, 6, [6], .notMember), (.remove, 6, [4], .notMember),
        (.promote, 1, [4], nil), (.promote, 2, [4], .notAllowed), (.promote, 4, [4], .notAllowed),
        (.promote, 1, [6], .notMember), (.promote, 1, [2], nil), (.promote, 1, [1], nil),
        (.demote, 1, [2], nil), (.demote, 2, [2], .notAllowed), (.demote, 1, [1], .notAllowed),
        (.demote, 1, [4], nil), (.demote, 1, [2, 6], .notMember),
    ])
    func rights(action: MembershipAction, actor: UInt64, users: [UInt64], refusal: Rejection?) {
        var machine = Machine()
        machine.create(group(1), by: user(1), with: (2...5).map(user))
        machine.change(group(1), .promote, [user(2), user(3)], by: user(1))
        let before = machine.state.snapshot()
        let command = Command.changeMembers(
            ChangeMembersCommand(
                conversation: group(1), actor: user(actor), users: users.map(user), action: action))
        #expect(machine.state.rejection(of: command, known: machine.tables) == refusal.map(CommandResult.rejected))
        #expect(machine.apply(command) == refusal.map(CommandResult.rejected) ?? .done)
        if refusal != nil { #expect(machine.state.snapshot().members.elementsEqual(before.members, by: ==)) }
        #expect(machine.state.checkInvariants().isEmpty)
    }

    @Test func effectsOfChanges() {
        var machine = Machine()
        machine.create(group(1), by: a, with: [b])
        machine.change(group(1), .add, [d, c, b, d], by: a)
        #expect(machine.last.changes.count == 2)
        #expect(machine.state.members(of: group(1)) == [a, b, c, d])
        machine.change(group(1), .promote, [b, c], by: a)
        #expect(machine.role(b, in: group(1)) == .admin && machine.role(c, in: group(1)) == .admin)
        machine.change(group(1), .demote, [b], by: a)
        #expect(machine.role(b, in: group(1)) == .member)
        machine.change(group(1), .remove, [c], by: a)
        #expect(machine.state.members(of: group(1)) == [a, b, d])
        machine.change(group(1), .add, [c], by: a)
        #expect(machine.role(c, in: group(1)) == .member)
        #expect(machine.change(group(9), .add, [c], by: a) == .rejected(.unknownConversation))
    }

    @Test func directConversationsKeepTheirMembers() {
        var machine = Machine()
        let id = ConversationID(direct: a, b)
        machine.send(1, to: id, from: a, peer: b)
        #expect(machine.change(id, .remove, [a], by: a) == .rejected(.notAllowed))
        #expect(machine.change(id, .add, [c], by: b) == .rejected(.notAllowed))
        #expect(machine.change(id, .add, [c], by: c) == .rejected(.notMember))
    }

    @Test func whoLeftHasLeft() {
        var machine = Machine()
        machine.create(group(1), by: a, with: [b])
        machine.change(group(1), .remove, [b], by: b)
        #expect(machine.change(group(1), .remove, [b], by: b) == .done)
        #expect(machine.last.changes.isEmpty)
        #expect(machine.change(group(1), .add, [b], by: b) == .rejected(.notMember))
    }

    @Test func theOwnerIsSucceeded() {
        var machine = Machine()
        machine.create(group(1), by: a, with: [d])
        machine.send(1, to: group(1), from: a)
        machine.change(group(1), .add, [b, c], by: a)
        machine.change(group(1), .promote, [c], by: a)
        machine.change(group(1), .remove, [a], by: a)
        #expect(machine.role(c, in: group(1)) == .owner)
        machine.change(group(1), .remove, [c], by: c)
        #expect(machine.role(d, in: group(1)) == .owner)
        machine.change(group(1), .remove, [d], by: d)
        #expect(machine.role(b, in: group(1)) == .owner)
        machine.change(group(1), .remove, [b], by: b)
        #expect(machine.state.members(of: group(1)) == [])
        #expect(machine.state.checkInvariants().isEmpty)
    }

    @Test func limitsOfMembership() {
        var machine = Machine(limits: StateLimits(members: 3, membersEver: 4, memberships: 2))
        machine.create(group(1), by: a, with: [b])
        #expect(machine.change(group(1), .add, [c, d], by: a) == .rejected(.limitExceeded))
        #expect(machine.change(group(1), .add, [b, c], by: a) == .done)
        machine.change(group(1), .remove, [b, c], by: a)
        machine.change(group(1), .add, [d], by: a)
        #expect(machine.change(group(1), .add, [user(5)], by: a) == .rejected(.limitExceeded))
        #expect(machine.change(group(1), .add, [c], by: a) == .done)
        for round in 0..<2 as Range<UInt64> {
            machine.send(round, to: group(1), from: a)
            machine.change(group(1), .remove, [c], by: a)
            let again = machine.change(group(1), .add, [c], by: a)
            #expect(again == .done)
            machine.change(group(1), .remove, [c], by: a)
            machine.send(10 + round, to: group(1), from: a)
            #expect(machine.change(group(1), .add, [c], by: a) == (round == 0 ? .done : .rejected(.limitExceeded)))
        }
    }

    // MARK: Right to read

    @Test func membershipCoversWhatWasSentMeanwhile() {
        var machine = Machine()
        machine.create(group(1), by: a)
        for id in 1...2 as ClosedRange<UInt64> { machine.send(id, to: group(1), from: a) }
        machine.change(group(1), .add, [b], by: a)
        for id in 3...4 as ClosedRange<UInt64> { machine.send(id, to: group(1), from: a) }
        machine.change(group(1), .remove, [b], by: a)
        for id in 5...6 as ClosedRange<UInt64> { machine.send(id, to: group(1), from: a) }
        machine.change(group(1), .add, [b], by: a)
        machine.send(7, to: group(1), from: a)
        let state = machine.state
        #expect(
            state.readableRanges(b, group(1)) == [SeqRange(after: 2, through: 4), SeqRange(after: 6, through: nil)])
        #expect((0...9).filter { state.canRead(b, group(1), $0) } == [3, 4, 7])
        #expect(
            state.readable(b, group(1), after: 3)
                == [SeqRange(after: 3, through: 4), SeqRange(after: 6, through: 7)])
        #expect(state.readable(b, group(1), after: 7) == [])
        #expect(state.readers(of: group(1), 5) == [a])
        #expect(state.readers(of: group(1), 4) == [a, b])
        #expect(state.readers(of: group(1), 8) == [])
    }

    @Test func comingBackBeforeAnythingWasSentGoesOn() {
        var machine = Machine()
        machine.create(group(1), by: a)
        machine.send(1, to: group(1), from: a)
        machine.change(group(1), .add, [b], by: a)
        machine.change(group(1), .remove, [b], by: a)
        #expect(machine.state.readableRanges(b, group(1)) == [SeqRange(after: 1, through: 1)])
        #expect(machine.state.conversation(group(1))?.members.last?.current == false)
        machine.change(group(1), .add, [b], by: a)
        machine.send(2, to: group(1), from: a)
        machine.change(group(1), .remove, [b], by: b)
        machine.change(group(1), .add, [b], by: a)
        #expect(machine.state.readableRanges(b, group(1)) == [SeqRange(after: 1, through: nil)])
        #expect(machine.state.checkInvariants().isEmpty)
    }
}
