import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol
import Testing

@Suite struct StateAccountTests {
    @Test func aNameIsTakenOnce() {
        var machine = Machine()
        #expect(machine.apply(.createAccount(account(1))) == .created(at: 5))
        #expect(machine.last.changes == [.account(account(1))])
        #expect(machine.apply(.createAccount(account(1))) == .created(at: 5))
        #expect(machine.last.changes.isEmpty)
        #expect(machine.apply(.createAccount(account(1, hash: "other"))) == .rejected(.conflict))
        #expect(machine.apply(.createAccount(account(1, createdAt: 6))) == .rejected(.conflict))
        #expect(machine.state.account(user(1)) == account(1))
        machine.apply(.createAccount(account(0)))
        #expect(machine.state.accounts == [account(0), account(1)])
    }

    @Test func aRetryAfterDisablingIsStillTheSameAccount() {
        var machine = Machine()
        machine.apply(.createAccount(account(1)))
        machine.apply(.setAccountDisabled(user: user(1), disabled: true))
        #expect(machine.apply(.createAccount(account(1))) == .created(at: 5))
        #expect(machine.state.account(user(1))?.disabled == true)
    }

    @Test func lastSeenIsHiddenAndShown() {
        var machine = Machine()
        let hide = Command.setLastSeenHidden(user: user(1), hidden: true)
        #expect(machine.apply(hide) == .rejected(.unknownUser))
        #expect(machine.state.rejection(of: hide, known: machine.tables) == .rejected(.unknownUser))
        machine.apply(.createAccount(account(1)))
        #expect(machine.apply(hide) == .done)
        #expect(machine.last.changes.count == 1 && machine.last.revoked.isEmpty)
        #expect(machine.state.lastSeen(of: user(1)) == UserLastSeen(user: user(1), isHidden: true, devices: []))
        #expect(machine.apply(hide) == .done)
        #expect(machine.last.changes.isEmpty)
        machine.apply(.setAccountDisabled(user: user(1), disabled: true))
        #expect(machine.state.account(user(1))?.hidesLastSeen == true)
        machine.apply(.setLastSeenHidden(user: user(1), hidden: false))
        #expect(machine.state.lastSeen(of: user(1))?.isHidden == false && machine.state.lastSeen(of: user(2)) == nil)
    }

    @Test func contactsAreThoseOfACommonConversationNow() {
        var machine = Machine()
        func make(_ number: UInt64, _ owner: UInt64, _ others: UInt64...) {
            machine.apply(
                .createConversation(
                    CreateConversationCommand(
                        id: group(number), type: .group, name: nil, creator: user(owner),
                        members: others.map { user($0) }.sorted())))
        }
        make(1, 1, 2, 3)
        make(2, 3, 4)
        let all = (1...6).map { user($0) }
        #expect(machine.state.contacts(of: user(1), among: all) == [user(1), user(2), user(3)])
        #expect(machine.state.contacts(of: user(4), among: all) == [user(3), user(4)])
        #expect(machine.state.contacts(of: user(5), among: all).isEmpty)
        #expect(machine.state.contacts(of: user(1), among: [user(4)]).isEmpty)
        let remove = ChangeMembersCommand(
            conversation: group(1), actor: user(1), users: [user(2)], action: .remove)
        machine.apply(.changeMembers(remove))
        #expect(machine.state.contacts(of: user(1), among: all) == [user(1), user(3)])
        #expect(machine.state.contacts(of: user(2), among: all).isEmpty)
    }

    @Test func disablingRevokes() {
        var machine = Machine()
        #expect(machine.apply(.setAccountDisabled(user: user(1), disabled: true)) == .rejected(.unknownUser))
        #expect(machine.last.revoked.isEmpty)
        machine.apply(.createAccount(account(1)))
        #expect(machine.apply(.setAccountDisabled(user: user(1), disabled: true)) == .done)
        #expect(machine.last.revoked == [user(1)] && machine.last.changes.count == 1)
        #expect(machine.apply(.setAccountDisabled(user: user(1), disabled: true)) == .done)
        #expect(machine.last.revoked == [user(1)] && machine.last.changes.isEmpty)
        #expect(machine.apply(.setAccountDisabled(user: user(1), disabled: false)) == .done)
        #expect(machine.last.revoked.isEmpty && machine.state.account(user(1)) == account(1))
    }

    @Test func devicesRegisterOnceAndKeepTheirStart() {
        var machine = Machine(limits: StateLimits(devicesPerUser: 2))
        func register(_ number: UInt64, startAt: Int64 = 0) -> Command {
            .registerDevice(user: user(1), device: device(number), startAt: startAt)
        }
        #expect(machine.apply(register(1)) == .rejected(.unknownUser))
        machine.apply(.createAccount(account(1)))
        #expect(machine.apply(register(2, startAt: 70), stamp: 9) == .done)
        #expect(machine.apply(register(2, startAt: 80), stamp: 10) == .done)
        #expect(machine.state.rejection(of: register(2), known: machine.tables) == nil)
        #expect(machine.apply(register(1)) == .done)
        #expect(machine.apply(register(3)) == .rejected(.limitExceeded))
        #expect(machine.state.devices(of: user(1)).map(\.device) == [device(1), device(2)])
        #expect(
            machine.state.devices(of: user(1)).last
                == DeviceRecord(user: user(1), device: device(2), startAt: 70, createdAt: 9, seenAt: 10))
        machine.apply(.setAccountDisabled(user: user(1), disabled: true))
        #expect(machine.apply(register(2)) == .rejected(.accountDisabled))
    }

    @Test func signingKeysOfPartitionZero() {
        func key(_ id: String, _ secret: String = "s") -> Command {
            .addSigningKey(SigningKey(id: id, secret: ByteBuffer(string: secret), createdAt: 1))
        }
        var elsewhere = Machine(partition: 1)
        #expect(elsewhere.apply(key("a")) == .rejected(.invalid))
        var machine = Machine(limits: StateLimits(signingKeys: 2))
        #expect(machine.apply(key("b")) == .done)
        #expect(machine.last.signingKeysChanged)
        #expect(machine.apply(key("b")) == .done)
        #expect(!machine.last.signingKeysChanged && machine.last.changes.isEmpty)
        #expect(machine.apply(key("b", "t")) == .rejected(.conflict))
        #expect(machine.apply(key("a")) == .done)
        #expect(machine.apply(key("c")) == .rejected(.limitExceeded))
        #expect(machine.state.signingKeys.map(\.id) == ["a", "b"])
    }
}
