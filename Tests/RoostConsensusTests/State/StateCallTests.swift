import RoostConsensus
import RoostModel
import RoostProtocol
import Testing

/// Commands that come to the log more than once, since a node sends a call again to the next leader.
@Suite struct StateCallTests {
    private let ada = user(1)
    private let bob = user(2)

    private func call(_ id: UInt64, oldest: UInt64? = nil, store: UInt64 = 1, _ command: Command) -> Command {
        let caller = RaftPeer(node: "node-1", store: StoreID(store))
        return .called(CallIdentity(caller: caller, id: id, oldest: oldest ?? id), command)
    }

    private func change(_ action: MembershipAction) -> Command {
        .changeMembers(ChangeMembersCommand(conversation: group(1), actor: ada, users: [bob], action: action))
    }

    private func makeMachine(callsRemembered: Int = 1024) -> Machine {
        var machine = Machine(limits: StateLimits(callsRemembered: callsRemembered))
        machine.apply(
            .createConversation(
                CreateConversationCommand(id: group(1), type: .group, name: nil, creator: ada, members: [])))
        return machine
    }

    @Test func oneThatComesAgainAfterAnotherUndoesNothing() {
        var machine = makeMachine()
        let add = call(5, change(.add))
        #expect(machine.apply(add) == .done)
        #expect(machine.apply(call(6, oldest: 5, change(.remove))) == .done)
        machine.restart()
        #expect(machine.apply(add) == .done)
        #expect(!machine.state.isMember(bob, of: group(1)))
        #expect(machine.last.changes.isEmpty)
        // Without an identity it is another command.
        #expect(machine.apply(change(.add)) == .done)
        #expect(machine.state.isMember(bob, of: group(1)))
    }

    @Test func aRefusalStays() {
        var machine = makeMachine()
        let promote = call(5, change(.promote))
        #expect(machine.apply(promote) == .rejected(.notMember))
        #expect(machine.apply(call(6, oldest: 5, change(.add))) == .done)
        #expect(machine.apply(promote) == .rejected(.notMember))
        #expect(machine.state.isMember(bob, of: group(1)))
    }

    @Test func whatIsMadeIsToldAsItIs() {
        var machine = makeMachine()
        let make = call(
            3,
            .createConversation(
                CreateConversationCommand(id: group(2), type: .group, name: "n", creator: ada, members: [bob])))
        #expect(machine.apply(make) == machine.state.conversation(group(2)).map(CommandResult.conversation))
        machine.apply(
            .changeMembers(ChangeMembersCommand(conversation: group(2), actor: ada, users: [bob], action: .remove)))
        let again = machine.apply(make)
        #expect(again == machine.state.conversation(group(2)).map(CommandResult.conversation))
        #expect(again != nil && machine.state.members(of: group(2)) == [ada])
    }

    @Test func whatItsCallerNoLongerWaitsForIsNotApplied() {
        var machine = makeMachine()
        #expect(machine.apply(call(9, oldest: 8, change(.add))) == .done)
        #expect(machine.apply(call(7, change(.remove))) == .rejected(.unavailable))
        #expect(machine.apply(call(8, change(.remove))) == .done)
        #expect(!machine.state.isMember(bob, of: group(1)))
        // Another life of the store has higher ids; another store has ids of its own.
        #expect(machine.apply(call(1 << 32 | 1, change(.add))) == .done)
        #expect(machine.apply(call(10, change(.remove))) == .rejected(.unavailable))
        #expect(machine.apply(call(2, store: 2, change(.remove))) == .done)
        #expect(machine.apply(call(9, oldest: 8, change(.add))) == .rejected(.unavailable))
    }

    /// At the bound the oldest answers are forgotten; what would need them is not applied.
    @Test func isBounded() {
        var machine = makeMachine(callsRemembered: 3)
        for id in [4, 2, 6, 8, 10] as [UInt64] {
            #expect(machine.apply(call(id, oldest: 1, change(id % 4 == 0 ? .add : .remove))) == .done)
            #expect(machine.state.checkInvariants() == [])
        }
        #expect(machine.state.snapshot().calls.map(\.id) == [6, 8, 10])
        machine.restart()
        for id in [1, 2, 3, 4, 5] as [UInt64] {
            #expect(machine.apply(call(id, oldest: 1, change(.add))) == .rejected(.unavailable), "\(id)")
        }
        #expect(machine.apply(call(6, oldest: 1, change(.add))) == .done)
        #expect(!machine.state.isMember(bob, of: group(1)))
        #expect(machine.apply(call(7, oldest: 1, change(.add))) == .done)
        #expect(machine.state.isMember(bob, of: group(1)))
        #expect(machine.state.snapshot().calls.map(\.id) == [7, 8, 10])
    }

    @Test func ofANodeTheStoresThatCalledLastAreRemembered() {
        var machine = makeMachine()
        for store in [3, 1, 2, 5, 3, 4] as [UInt64] {
            machine.apply(call(store == 3 ? machine.state.appliedIndex : 1, store: store, change(.add)))
        }
        let stores = machine.state.snapshot().calls.map(\.caller.store.value)
        #expect(stores == [2, 3, 4, 5])
        #expect(machine.state.checkInvariants() == [])
    }

    /// The leader lets the log decide, which may know of another try.
    @Test func nothingIsRefusedAhead() {
        var machine = makeMachine()
        let promote = change(.promote)
        #expect(machine.state.rejection(of: promote, known: machine.tables) == .rejected(.notMember))
        #expect(machine.state.rejection(of: call(5, promote), known: machine.tables) == nil)
        #expect(
            machine.apply(
                .limited(
                    CommandLimits(members: 1, conversationsPerUser: 1, devicesPerUser: 1, deviceExpiry: 1),
                    call(5, change(.add)))) == .rejected(.limitExceeded))
        #expect(machine.apply(call(5, change(.add))) == .rejected(.limitExceeded))
    }
}
