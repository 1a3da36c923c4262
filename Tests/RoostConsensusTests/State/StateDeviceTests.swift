import RoostConsensus
import RoostModel
import RoostProtocol
import Testing

/// Which devices a user has, and when one is given up.
@Suite struct StateDeviceTests {
    private static let day: Int64 = 86_400_000_000
    private let ada = user(1)

    private func register(_ number: UInt64, startAt: Int64 = 0) -> Command {
        .registerDevice(user: ada, device: device(number), startAt: startAt)
    }

    private func sighting(_ number: UInt64, _ seenAt: Int64) -> DeviceSighting {
        DeviceSighting(user: ada, device: device(number), seenAt: seenAt)
    }

    private func machine() -> Machine {
        var machine = Machine(limits: StateLimits(devicesPerUser: 2, deviceExpiry: 30 * Self.day))
        machine.apply(.createAccount(account(1)))
        machine.apply(register(1, startAt: 5), stamp: 1 * Self.day)
        machine.apply(register(2), stamp: 2 * Self.day)
        return machine
    }

    @Test func atTheLimitOnlyOneThatMayBeGivenUpMakesRoom() {
        var machine = machine()
        #expect(machine.apply(register(3), stamp: 31 * Self.day) == .rejected(.limitExceeded))
        #expect(machine.state.rejection(of: register(3), known: machine.tables) == .rejected(.limitExceeded))
        #expect(machine.state.rejection(of: register(3), known: machine.tables, at: 31 * Self.day + 1) == nil)
        #expect(machine.apply(register(3), stamp: 31 * Self.day + 1) == .done)
        #expect(machine.state.devices(of: ada).map(\.device) == [device(2), device(3)])
        #expect(machine.last.forgotten == [sighting(1, 1 * Self.day)])
        #expect(machine.apply(register(4), stamp: 32 * Self.day) == .rejected(.limitExceeded))
    }

    @Test func appearingAgainIsSeenAndKeepsTheStart() {
        var machine = machine()
        #expect(machine.apply(register(1, startAt: 9), stamp: 20 * Self.day) == .done)
        let record = machine.state.devices(of: ada).first
        #expect(record?.seenAt == 20 * Self.day && record?.startAt == 5 && record?.createdAt == 1 * Self.day)
        machine.apply(.seeDevices([sighting(2, 0), sighting(9, 0)]), stamp: 25 * Self.day)
        #expect(machine.state.devices(of: ada).map(\.seenAt) == [20 * Self.day, 25 * Self.day])
        // A clock that went back takes nothing away.
        machine.apply(.seeDevices([sighting(2, 0)]), stamp: 3 * Self.day)
        #expect(machine.state.devices(of: ada).last?.seenAt == 25 * Self.day)
    }

    @Test func oneSeenMeanwhileStays() {
        var machine = machine()
        machine.apply(.seeDevices([sighting(1, 0)]), stamp: 31 * Self.day)
        machine.apply(.forgetDevices([sighting(1, 1 * Self.day), sighting(2, 2 * Self.day)]), stamp: 33 * Self.day)
        #expect(machine.state.devices(of: ada).map(\.device) == [device(1)])
        machine.apply(.forgetDevices([sighting(1, .max)]), stamp: 33 * Self.day)
        #expect(machine.state.devices(of: ada).isEmpty && machine.last.forgotten.count == 1)
    }

    @Test func cursorsOfAForgottenDeviceGo() {
        var machine = machine()
        machine.create(group(1), by: ada, with: [user(2)])
        for number in UInt64(1)...3 { machine.send(number, to: group(1), from: ada) }
        for number in UInt64(1)...2 {
            machine.apply(
                .advanceCursors([CursorAdvance(user: ada, device: device(number), conversation: group(1), seq: 2)]))
        }
        machine.apply(.dropCursors([sighting(1, 0)]))
        #expect(machine.state.cursors(of: group(1)).map(\.device) == [device(2)])
        #expect(machine.state.cursor(ada, device(1), group(1)) == nil)
        let dropped = StateChange.cursorDropped(user: ada, device: device(1), conversation: group(1))
        #expect(machine.last.changes == [dropped])
        #expect(machine.state.checkInvariants().isEmpty)
    }

    @Test func theLeadersLimitsDecideOnEveryReplica() {
        let limits = CommandLimits(members: 3, conversationsPerUser: 32, devicesPerUser: 3, deviceExpiry: Self.day)
        var one = Machine(limits: StateLimits(members: 2, devicesPerUser: 1))
        var other = Machine(limits: StateLimits(members: 100, devicesPerUser: 100))
        let creation = CreateConversationCommand(
            id: group(1), type: .group, name: nil, creator: ada, members: [user(2), user(3)])
        let commands: [Command] =
            [.createAccount(account(1)), .limited(limits, .createConversation(creation))]
            + (UInt64(1)...4).map { .limited(limits, register($0)) }
            + [
                .limited(
                    limits,
                    .changeMembers(
                        ChangeMembersCommand(conversation: group(1), actor: ada, users: [user(4)], action: .add)))
            ]
        for command in commands {
            #expect(one.apply(command, stamp: 7) == other.apply(command, stamp: 7))
        }
        #expect(one.state.snapshot() == other.state.snapshot())
        #expect(one.state.devices(of: ada).count == 3)
        #expect(one.state.members(of: group(1)).count == 3)
        #expect(one.state.limits.members == 2)
    }

    @Test(arguments: [false, true]) func whatIsPendingTellsWhereAStartIs(flushed: Bool) {
        var machine = machine()
        machine.create(group(1), by: ada, with: [user(2)])
        for number in UInt64(1)...6 {
            machine.send(number, to: group(1), from: ada, stamp: Int64(number) * 100)
            // The first three are in the tables.
            if number == 3 { machine.flush() }
        }
        if flushed { machine.flush() }
        func start(_ stamp: Int64) -> UInt64 {
            machine.state.lastSeq(of: group(1), sentBefore: stamp) {
                // Sent at 100, 200 … by seq.
                min(flushed ? 6 : 3, UInt64(max(0, (stamp - 1) / 100)))
            }
        }
        for stamp in stride(from: Int64(50), through: 750, by: 50) {
            #expect(start(stamp) == min(6, UInt64((stamp - 1) / 100)), "\(stamp)")
        }
        #expect(machine.state.lastSeq(of: group(9), sentBefore: 100) { 5 } == 0)
    }
}
