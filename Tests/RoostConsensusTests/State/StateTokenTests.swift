import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol
import Testing

/// Which tokens an account takes, and what ends with a device.
@Suite struct StateTokenTests {
    private let ada = user(1)

    private func token(_ number: UInt64, generation: UInt64 = 0, expires: Int64 = 1_000) -> TokenStamp {
        TokenStamp(id: UUID128(high: 7, low: number), generation: generation, expires: expires)
    }

    private func machine() -> Machine {
        var machine = Machine()
        machine.apply(.createAccount(account(1)))
        return machine
    }

    private func register(_ number: UInt64, _ token: TokenStamp) -> Command {
        .registerDevice(user: ada, device: device(number), startAt: 0, token: token)
    }

    private func permits(_ machine: Machine, _ token: TokenStamp, _ number: UInt64? = nil) -> Bool {
        machine.state.permits(token, of: ada, on: number.map { device($0) })
    }

    @Test func aTokenLoggedOutIsRefusedAndNoOther() {
        var machine = machine()
        #expect(machine.apply(.revokeTokens(user: user(2), .all)) == .rejected(.unknownUser))
        #expect(machine.apply(.revokeTokens(user: ada, .token(token(1)))) == .done)
        #expect(machine.last.tokensRevoked.map(\.user) == [ada])
        #expect(!permits(machine, token(1)) && permits(machine, token(2)))
        #expect(machine.apply(register(1, token(1))) == .rejected(.tokenRevoked))
        #expect(machine.state.rejection(of: register(1, token(1)), known: machine.tables) == .rejected(.tokenRevoked))
        #expect(machine.apply(register(1, token(2))) == .done)
    }

    @Test func allTokensSoFar() {
        var machine = machine()
        machine.apply(.revokeTokens(user: ada, .all))
        #expect(!permits(machine, token(1)))
        let generation = machine.state.account(ada)?.revocations.generation ?? 0
        #expect(permits(machine, token(2, generation: generation)))
    }

    /// With the device go the tokens that it has shown, wherever else they are used, but not the one that asks for it.
    @Test func aRemovedDeviceGoesWithItsTokens() {
        var machine = machine()
        machine.apply(register(1, token(1)), stamp: 5)
        machine.apply(register(1, token(2)), stamp: 5)
        machine.apply(register(2, token(3)), stamp: 5)
        let remove = Command.revokeTokens(user: ada, .device(device(1), keeping: token(2).id))
        #expect(machine.apply(remove, stamp: 9) == .done)
        #expect(machine.last.forgotten == [DeviceSighting(user: ada, device: device(1), seenAt: 5)])
        #expect(machine.state.devices(of: ada).map(\.device) == [device(2)])
        #expect(!permits(machine, token(1)) && permits(machine, token(3), 2))
        // The one that asked may go on, but not as that device, and no token of before may.
        #expect(permits(machine, token(2)) && !permits(machine, token(2), 1) && !permits(machine, token(3), 1))
        let generation = machine.state.account(ada)?.revocations.generation ?? 0
        #expect(machine.apply(register(1, token(4, generation: generation))) == .done)
        #expect(machine.apply(.revokeTokens(user: ada, .device(device(9), keeping: nil))) == .rejected(.unknownDevice))
    }

    /// At the bound the oldest are no longer told apart: what is as old as they is refused, nothing newer.
    @Test func manyLogoutsRefuseWhatIsAsOld() {
        var machine = machine()
        for number in 0..<UInt64(TokenRevocations.capacity) + 1 {
            let generation = machine.state.account(ada)?.revocations.generation ?? 0
            machine.apply(.revokeTokens(user: ada, .token(token(number, generation: generation))))
        }
        let revocations = machine.state.account(ada)?.revocations ?? TokenRevocations()
        #expect(revocations.tokens.count == TokenRevocations.capacity && revocations.floor == 1)
        #expect(!permits(machine, token(0)) && !permits(machine, token(999)))
        #expect(permits(machine, token(999, generation: 1)) && !permits(machine, token(1, generation: 1)))
        // Once they have expired they are forgotten.
        machine.apply(.revokeTokens(user: ada, .token(token(500, expires: 3_000))), stamp: 2_000_000_000)
        #expect(machine.state.account(ada)?.revocations.tokens.count == 0)
        machine.apply(
            .revokeTokens(user: ada, .token(token(501, generation: 70, expires: 3_000))), stamp: 2_000_000_000)
        #expect(machine.state.account(ada)?.revocations.tokens.count == 1)
    }

    /// A device that has shown more tokens than are remembered takes all of the account's with it.
    @Test func aDeviceOfManyTokensTakesAll() {
        var machine = machine()
        for number in 0...UInt64(DeviceTokens.capacity) { machine.apply(register(1, token(number))) }
        machine.apply(register(2, token(90)))
        machine.apply(.revokeTokens(user: ada, .device(device(1), keeping: nil)), stamp: 9)
        #expect(!permits(machine, token(0)) && !permits(machine, token(90), 2))
        let generation = machine.state.account(ada)?.revocations.generation ?? 0
        #expect(permits(machine, token(91, generation: generation), 1))
    }

    @Test func tokensOfADeviceAreForgottenWhenTheyExpire() {
        var machine = machine()
        for number in 0...UInt64(DeviceTokens.capacity) { machine.apply(register(1, token(number, expires: 10))) }
        machine.apply(register(1, token(50)), stamp: 11_000_000)
        let tokens = machine.state.devices(of: ada).first?.tokens
        #expect(tokens?.recent == [token(50)] && tokens?.forgottenUntil == 0)
        // Once more changes nothing.
        machine.apply(register(1, token(50)), stamp: 11_000_000)
        #expect(machine.last.changes.isEmpty)
    }

    // MARK: Keys

    private func key(_ id: String) -> Command {
        .addSigningKey(SigningKey(id: id, secret: ByteBuffer(string: "s"), createdAt: 1))
    }

    private func signer(_ machine: Machine) -> String? { SigningKey.signing(among: machine.state.signingKeys)?.id }

    @Test func onlyTheFirstKeySignsAtOnce() {
        var machine = Machine()
        machine.apply(key("b"))
        machine.apply(key("a"))
        #expect(signer(machine) == "b")
        #expect(machine.apply(.activateSigningKey(id: "c")) == .rejected(.unknownKey))
        #expect(machine.apply(.activateSigningKey(id: "a"), stamp: 50) == .done)
        #expect(signer(machine) == "a" && machine.last.signingKeysChanged)
        // Once more changes nothing.
        #expect(machine.apply(.activateSigningKey(id: "b"), stamp: 60) == .done)
        #expect(signer(machine) == "a" && machine.last.changes.isEmpty)
    }

    @Test func theKeyThatSignsStays() {
        var machine = Machine()
        machine.apply(key("a"))
        #expect(machine.apply(.removeSigningKey(id: "a")) == .rejected(.notAllowed))
        machine.apply(key("b"))
        machine.apply(.activateSigningKey(id: "b"), stamp: 50)
        #expect(machine.apply(.removeSigningKey(id: "a")) == .done)
        #expect(machine.state.signingKeys.map(\.id) == ["b"] && machine.last.signingKeysChanged)
        #expect(machine.apply(.removeSigningKey(id: "a")) == .rejected(.unknownKey))
    }
}
