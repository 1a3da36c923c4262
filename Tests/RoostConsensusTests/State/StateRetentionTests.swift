import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol
import Testing

/// Floors: what is removed, what is still known of it, and what holds it back.
@Suite struct StateRetentionTests {
    private let a = user(1)
    private let b = user(2)

    /// Ten messages in group 1, sent at 100, 200 …
    private func machine() -> Machine {
        var machine = Machine()
        for number in UInt64(1)...2 {
            machine.apply(.createAccount(account(number)))
            machine.apply(.registerDevice(user: user(number), device: device(1), startAt: 0), stamp: 1)
        }
        machine.create(group(1), by: a, with: [b])
        for number in UInt64(1)...10 { machine.send(number, to: group(1), from: a, stamp: Int64(number) * 100) }
        return machine
    }

    private func raise(_ seq: UInt64) -> Command {
        .raiseFloors([FloorRaise(conversation: group(1), seq: seq), FloorRaise(conversation: group(9), seq: 5)])
    }

    private func forget(_ seq: UInt64) -> Command {
        .raiseIDFloors([FloorRaise(conversation: group(1), seq: seq)])
    }

    @Test func whatIsBelowTheFloorIsRead() {
        var machine = machine()
        machine.apply(raise(4), stamp: 5_000)
        #expect(machine.state.readable(b, group(1), after: 0) == [SeqRange(after: 4, through: 10)])
        let unread = machine.state.unread(user: b, device: device(1)) { _ in 2 }
        #expect(unread == [Unread(conversation: group(1), cursor: 2, head: 10, lost: 3...4)])
        #expect(machine.last.changes.contains(.stripped(conversation: group(1), SeqRange(after: 0, through: 4))))
        // It only rises, and never beyond the head.
        machine.apply(raise(3), stamp: 5_000)
        #expect(machine.last.changes.isEmpty)
        machine.apply(raise(99), stamp: 6_000)
        #expect(machine.state.retention(of: group(1)).floor == 10)
        #expect(machine.last.changes.contains(.stripped(conversation: group(1), SeqRange(after: 4, through: 10))))
        #expect(machine.state.readable(b, group(1), after: 0).isEmpty)
        #expect(machine.state.unread(user: b, device: device(1)) { _ in 0 }.map(\.lost) == [1...10])
        #expect(machine.state.unread(user: b, device: device(1)) { _ in 10 }.isEmpty)
        #expect(machine.send(11, to: group(1), from: a)?.seq == 11)
        #expect(machine.state.checkInvariants().isEmpty)
    }

    @Test func onlyWhatOneCouldReadIsLost() {
        var machine = machine()
        machine.change(group(1), .remove, [b], by: a)
        for number in UInt64(11)...15 { machine.send(number, to: group(1), from: a) }
        machine.change(group(1), .add, [b], by: a)
        machine.send(16, to: group(1), from: a)
        machine.apply(raise(14))
        #expect(machine.state.unread(user: b, device: device(1)) { _ in 0 }.map(\.lost) == [1...10])
        #expect(machine.state.unread(user: b, device: device(1)) { _ in 10 }.map(\.lost) == [nil])
    }

    @Test func anIDIsKnownUntilItsTimeIsOver() throws {
        var machine = machine()
        machine.flush()
        machine.apply(raise(6), stamp: 5_000)
        #expect(machine.send(2, to: group(1), from: a)?.seq == 2)
        #expect(machine.state.forgettableIDs(from: 0, count: 9, removedBefore: 4_999, limit: 99).isEmpty)
        #expect(
            machine.state.forgettableIDs(from: 0, count: 9, removedBefore: 5_000, limit: 4)
                == [FloorRaise(conversation: group(1), seq: 4)])
        // Removed later: waits from then on.
        machine.apply(raise(8), stamp: 7_000)
        machine.apply(forget(6), stamp: 8_000)
        #expect(
            machine.state.retention(of: group(1))
                == ConversationRetention(floor: 8, idFloor: 6, markSeq: 8, markAt: 8_000))
        #expect(machine.send(2, to: group(1), from: a)?.seq == 11)
        #expect(machine.send(7, to: group(1), from: a)?.seq == 7)
        // Never those with content.
        machine.apply(forget(99), stamp: 9_000)
        #expect(machine.state.retention(of: group(1)) == ConversationRetention(floor: 8, idFloor: 8))
        #expect(machine.send(9, to: group(1), from: a)?.seq == 9)
        #expect(machine.state.checkInvariants().isEmpty)
    }

    /// Whether or not the rows of its first message are in the tables by then.
    @Test(arguments: [false, true]) func aForgottenIDIsThatOfAnotherMessage(isFlushed: Bool) {
        var machine = machine()
        if isFlushed { machine.flush() }
        machine.apply(raise(6), stamp: 5_000)
        machine.apply(forget(6), stamp: 6_000)
        let forgotten = machine.state.appliedIndex
        #expect(machine.send(2, to: group(1), from: a)?.seq == 11)
        // The rows of the first are written, those of the second not yet.
        machine.state.stateDurable(through: forgotten)
        #expect(machine.send(2, to: group(1), from: a)?.seq == 11)
        #expect(machine.state.checkInvariants().isEmpty)
    }

    /// A row that is fetched from a replica which has not removed it yet does not bring the content back.
    @Test func whatIsRemovedIsNotMendedWithItsContent() throws {
        var machine = machine()
        let first = machine.state.appliedIndex - 9
        func entry(_ number: UInt64) -> RaftEntry {
            let order = SendOrder(session: SessionID(1), run: 1, counter: number, base: number)
            let send = machine.sending(number, to: group(1), from: a, order: order)
            var payload = ByteBuffer()
            StampedCommand(stamp: Int64(number) * 100, command: send).encode(into: &payload)
            return RaftEntry(index: first + number - 1, term: 1, kind: .command, payload: payload)
        }
        func content(_ number: UInt64, copiedAt index: UInt64? = nil) throws -> String? {
            var found = entry(number)
            if let index { found.index = index }
            var payload = machine.state.withoutRemoved(found, known: machine.tables).payload
            let send = try #require(try StampedCommand(decoding: &payload).command.sending)
            return send.removedHash == nil ? String(buffer: send.content) : nil
        }
        machine.send(5, to: group(1), from: a)
        let copy = machine.state.appliedIndex
        #expect(try content(5, copiedAt: copy) == nil && content(5) == "\"hi\"")
        for isFlushed in [false, true] {
            if isFlushed { machine.flush() } else { machine.apply(raise(4), stamp: 5_000) }
            #expect(try content(4) == nil && content(5) == "\"hi\"" && content(5, copiedAt: copy) == nil)
        }
        machine.apply(forget(3), stamp: 6_000)
        machine.flush()
        #expect(try content(2) == nil && content(5) == "\"hi\"")
    }

    @Test func devicesHoldTheFloorBack() {
        var machine = machine()
        let devices = [
            DeviceRecord(user: a, device: device(1), startAt: 0, createdAt: 1),
            DeviceRecord(user: b, device: device(1), startAt: 0, createdAt: 1),
            DeviceRecord(user: b, device: device(2), startAt: 450, createdAt: 1),
            DeviceRecord(user: user(7), device: device(1), startAt: 0, createdAt: 1),
        ]
        func cleared(_ seq: UInt64) -> UInt64 {
            machine.state.clearedFloor(of: group(1), towards: seq, devices: devices) { $0.startAt == 450 ? 4 : 0 }
        }
        func acknowledge(_ user: UserID, _ seq: UInt64) {
            machine.apply(
                .advanceCursors([CursorAdvance(user: user, device: device(1), conversation: group(1), seq: seq)]))
        }
        #expect(machine.state.readers(of: group(1), aboveFloorThrough: 3) == [a, b])
        #expect(cleared(8) == 0)
        acknowledge(a, 10)
        #expect(cleared(8) == 0)
        acknowledge(b, 3)
        #expect(cleared(8) == 3 && cleared(2) == 2)
        acknowledge(b, 9)
        // The device that began later has not acknowledged what came after its start.
        #expect(cleared(8) == 4)
    }

    /// What stands in the log after the content is gone decides as before.
    @Test(arguments: UInt64(1)...30) func replayingStrippedEntriesComesToTheSame(seed: UInt64) {
        var source = StateCommandSource(seed: seed)
        let entries = (0..<400).map { _ in source.next() }
        var original = Machine(limits: StateLimits(sendOrderLifetime: 60))
        var replayed = Machine(limits: StateLimits(sendOrderLifetime: 60))
        // What the tables have of a message is what its entry gets when it is stripped.
        var hashes: [UInt64: UInt64] = [:]
        for entry in entries {
            original.apply(entry.command, stamp: entry.stamp)
            for case .message(let row) in original.last.changes { hashes[row.index] = row.contentHash }
            for case .sendStripped(let index, let hash) in original.last.changes { hashes[index] = hash }
            if source.chance(10) { original.flush() }
        }
        for (place, entry) in entries.enumerated() {
            var command = entry.command
            if place < 300, let hash = hashes[UInt64(place) + 1] { command = command.stripped(hash: hash) ?? command }
            replayed.apply(command, stamp: entry.stamp)
            if source.chance(10) { replayed.flush() }
        }
        #expect(original.state.snapshot() == replayed.state.snapshot())
        #expect(replayed.state.checkInvariants().isEmpty)
    }
}
