import RoostConsensus
import RoostModel
import RoostProtocol
import Testing

@Suite struct StatePropertyTests {
    static let limits = StateLimits(
        partitions: 1, members: 4, membersEver: 5, memberships: 1000, conversationsPerUser: 7, devicesPerUser: 3,
        signingKeys: 3, sendOrderLifetime: 25, callsRemembered: 4)
    static let seeds: Range<UInt64> = 0..<24
    static let length = 500

    static func log(seed: UInt64) -> [StampedCommand] {
        var source = StateCommandSource(seed: seed)
        return (0..<length).map { _ in source.next() }
    }

    static func expectEqual(_ a: ApplyOutput, _ b: ApplyOutput, _ context: String) {
        #expect(a.changes == b.changes, "\(context)")
        #expect(a.results.elementsEqual(b.results, by: ==), "\(context)")
        #expect(a.committed == b.committed, "\(context)")
        #expect(a.revoked == b.revoked, "\(context)")
        #expect(a.tokensRevoked == b.tokensRevoked, "\(context)")
        #expect(a.signingKeysChanged == b.signingKeysChanged, "\(context)")
    }

    /// One instance is never restarted and writes late; the other writes and restarts at random.
    @Test(arguments: seeds) func restartsChangeNothing(seed: UInt64) {
        var steady = Machine(limits: Self.limits)
        var restarting = Machine(limits: Self.limits)
        var chance = StateCommandSource(seed: seed ^ 0xffff)
        var answered: [Bool] = []
        for (step, stamped) in Self.log(seed: seed).enumerated() {
            let ahead = steady.state.rejection(of: stamped.command, known: steady.tables)
            let result = steady.apply(stamped.command, stamp: stamped.stamp)
            // What the leader would say ahead is what applying says. But a send that comes early may be refused for
            // good, and one that came late for a row that this very entry lets expire.
            let expired = steady.last.changes.contains { if case .sendOrderExpired = $0 { true } else { false } }
            let timely = ahead == .rejected(.outOfOrder) ? !expired : result != .rejected(.outOfOrder)
            if let ahead, timely || ahead.seq != nil {
                #expect(ahead == result, "seed \(seed) step \(step)")
            }
            restarting.apply(stamped.command, stamp: stamped.stamp)
            Self.expectEqual(steady.last, restarting.last, "seed \(seed) step \(step)")
            answered.append(result?.seq != nil)
            if chance.chance(20) { restarting.flush() }
            if chance.chance(8) { restarting.restart() }
            if chance.chance(2) { steady.flush() }
            if step % 50 == 0 { #expect(steady.state.checkInvariants() == [], "seed \(seed) step \(step)") }
        }
        #expect(steady.state.snapshot() == restarting.state.snapshot())
        #expect(steady.state.checkInvariants() == [])
        #expect(restarting.state.checkInvariants() == [])
        // The world is not so small that nothing succeeds.
        #expect(answered.count { $0 } > Self.length / 20)
    }

    /// The rows written, whole or coalesced, are the state: whoever reads them back has the same.
    @Test(arguments: seeds, [false, true]) func rowsAreTheState(seed: UInt64, coalesced: Bool) {
        var machine = Machine(limits: Self.limits)
        for stamped in Self.log(seed: seed) { machine.apply(stamped.command, stamp: stamped.stamp) }
        let changes = machine.output.changes
        let tables = StateTables(coalesced ? StateChange.coalesced(changes) : changes)
        let restored = PartitionState(
            partition: 0, limits: Self.limits,
            restoring: tables.snapshot(appliedIndex: machine.state.appliedIndex, lastStamp: machine.state.lastStamp))
        #expect(restored.snapshot() == machine.state.snapshot())
    }

    @Test(arguments: seeds) func replayWithTablesAheadComesToTheSame(seed: UInt64) {
        let log = Self.log(seed: seed)
        var first = Machine(limits: Self.limits)
        for stamped in log { first.apply(stamped.command, stamp: stamped.stamp) }
        let changes = first.output.changes
        first.flush()
        var again = Machine(limits: Self.limits)
        again.tables = first.tables
        for stamped in log {
            again.apply(stamped.command, stamp: stamped.stamp)
            // The tables know it all, so nothing need be kept in memory.
            again.state.stateDurable(through: again.state.appliedIndex)
        }
        #expect(again.output.changes == changes)
        #expect(again.state.snapshot() == first.state.snapshot())
    }

    @Test(arguments: seeds) func decisionsAreThoseOfTheReference(seed: UInt64) {
        var machine = Machine(limits: Self.limits)
        var reference = StateReference(limits: Self.limits)
        for (step, stamped) in Self.log(seed: seed).enumerated() {
            let expected = reference.apply(index: UInt64(step + 1), stamped)
            let result = machine.apply(stamped.command, stamp: stamped.stamp)
            let context: Comment = "seed \(seed) step \(step): \(stamped.command)"
            if let expected {
                #expect(result == expected, context)
            } else if case .createConversation(let command) = stamped.command {
                #expect(result == machine.state.conversation(command.id).map(CommandResult.conversation), context)
            }
            if step % 7 == 0 { machine.flush() }
        }
        for (id, conversation) in reference.conversations {
            #expect(machine.state.members(of: id) == conversation.roles.keys.sorted())
            for (user, role) in conversation.roles { #expect(machine.role(user, in: id) == role) }
            let messages = reference.messages(in: id)
            #expect(machine.state.lastSeq(of: id) == UInt64(messages.count))
            for user in (1...6).map(user) {
                let may = messages.filter { $0.readers.contains(user) }.map(\.seq)
                #expect((0...UInt64(messages.count + 2)).filter { machine.state.canRead(user, id, $0) } == may)
                let ranges = machine.state.readable(user, id, after: 0)
                #expect(
                    ranges.flatMap { $0.after + 1...($0.through ?? 0) } == may.filter { $0 > reference.floors[id] ?? 0 }
                )
            }
        }
        #expect(machine.state.conversationCount == reference.conversations.count)
    }
}
