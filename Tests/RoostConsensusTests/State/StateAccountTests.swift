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
