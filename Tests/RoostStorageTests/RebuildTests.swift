import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage
import Testing

/// The log is the truth: the tables are what replaying it makes.
@Suite struct RebuildTests {
    static let partition: PartitionID = 3
    static let limits = StateLimits(sendOrderLifetime: 40, callsRemembered: 10)

    /// Applies the entries in batches, as a replica does.
    private func replay(
        _ entries: [RaftEntry], from snapshot: StateSnapshot, into store: SQLiteStore, batch: Int, logged: Bool
    ) throws {
        var state = PartitionState(partition: Self.partition, limits: Self.limits, restoring: snapshot)
        for start in stride(from: 0, to: entries.count, by: batch) {
            let part = Array(entries[start..<min(start + batch, entries.count)])
            var output = ApplyOutput()
            for entry in part {
                var payload = entry.payload
                if entry.kind == .command {
                    let stamped = try StampedCommand(decoding: &payload)
                    state.apply(index: entry.index, term: entry.term, stamped, known: store, into: &output)
                } else {
                    state.pass(index: entry.index, term: entry.term)
                }
            }
            let write = PartitionWrite(
                partition: Self.partition, entries: logged ? part : [], changes: output.changes,
                appliedIndex: state.appliedIndex, lastStamp: state.lastStamp)
            try store.commit([write])
            state.stateDurable(through: state.appliedIndex)
        }
    }

    /// Commands of all kinds, some refused, some twice.
    private func history(_ generator: inout SeededGenerator, length: Int) -> [RaftEntry] {
        var counters: [UInt64: UInt64] = [:]
        return (1...UInt64(length)).map { index in
            let n = UInt64.random(in: 0..<6, using: &generator)
            let command: Command
            switch Int.random(in: 0..<20, using: &generator) {
            case 0: return entry(index, term: 1 + index / 100, "")
            case 1:
                command = .createConversation(
                    CreateConversationCommand(
                        id: conversation(n), type: n == 0 ? .channel : .group, name: "name \(n)", creator: user(n),
                        members: (0..<4).map { user($0) }.filter { $0 != user(n) }))
            case 2:
                command = .changeMembers(
                    ChangeMembersCommand(
                        conversation: conversation(n), actor: user(n), users: [user((n + 1) % 6)],
                        action: MembershipAction.allCases.randomElement(using: &generator) ?? .add))
            case 3:
                command = .advanceCursors([
                    CursorAdvance(
                        user: user(n), device: device("phone"), conversation: conversation(n), seq: 1 + index / 200)
                ])
            case 4:
                command = .createAccount(
                    AccountRecord(
                        user: UserID(foldedUsername: "u\(n)"), username: "u\(n)", passwordHash: "h", role: .user,
                        createdAt: 0))
            case 5: command = .registerDevice(user: UserID(foldedUsername: "u\(n)"), device: device("d"), startAt: 0)
            case 6: command = .addSigningKey(SigningKey(id: "k\(n)", secret: ByteBuffer(string: "s"), createdAt: 1))
            default:
                counters[n, default: 0] += 1
                let peer = user((n + 3) % 6)
                let isDirect = index % 3 == 0
                command = .send(
                    SendCommand(
                        conversation: isDirect ? ConversationID(direct: user(n), peer) : conversation(n),
                        peer: isDirect ? peer : nil, sender: user(n), device: device("phone"),
                        id: message(UInt64.random(in: 0..<60, using: &generator)), type: "text",
                        content: ByteBuffer(string: "\"\(n)\""),
                        order: SendOrder(session: SessionID(index), run: 1, counter: 1, base: 1)))
            }
            // Some are called by a node, and come twice.
            let identity = CallIdentity(
                caller: RaftPeer(node: n < 3 ? "a" : "b", store: StoreID(1)), id: index / 2, oldest: index / 4)
            return entry(
                index, term: 1 + index / 100, stamp: Int64(index * 10),
                command.needsIdentity ? .called(identity, command) : command)
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func tablesAreWhatTheLogMakes(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let store = try SQLiteStore(inMemory: .init())
        let entries = history(&generator, length: 600)
        try replay(entries, from: .init(), into: store, batch: 7, logged: true)
        let dump = try store.stateDump(Self.partition)
        #expect(dump.filter { $0.hasPrefix("message_ids") }.count > 30)
        #expect(dump.contains { $0.hasPrefix("members") } && dump.contains { $0.hasPrefix("send_orders") })
        #expect(dump.contains { $0.hasPrefix("calls") })
        #expect(dump.contains { $0.hasPrefix("cursors") } && dump.contains { $0.hasPrefix("accounts") })

        try store.clearState(Self.partition)
        #expect(try store.stateDump(Self.partition).isEmpty)
        let logged = try store.entries(partition: Self.partition, from: 1, through: .max, maxBytes: .max)
        #expect(logged.map(\.index) == entries.map(\.index) && logged.map(\.term) == entries.map(\.term))
        // What made no message has no content any more.
        let stripped = zip(logged, entries).filter { $0 != $1 }
        #expect(stripped.count > 30)
        for (entry, former) in stripped {
            var (payload, before) = (entry.payload, former.payload)
            let sending = try StampedCommand(decoding: &payload).command.sending
            #expect(sending?.removedHash != nil && sending?.content.readableBytes == 0)
            #expect(try StampedCommand(decoding: &before).command.sending?.id == sending?.id)
        }
        try replay(logged, from: try store.loadPartition(Self.partition).state, into: store, batch: 50, logged: false)
        #expect(try store.stateDump(Self.partition) == dump)
    }

    @Test func aRestartChangesNothing() throws {
        var generator = SeededGenerator(seed: 9)
        let entries = history(&generator, length: 600)
        let whole = try SQLiteStore(inMemory: .init())
        try replay(entries, from: .init(), into: whole, batch: 13, logged: true)
        let restarted = try SQLiteStore(inMemory: .init())
        for part in [0..<200, 200..<201, 201..<600] {
            let snapshot = try restarted.loadPartition(Self.partition).state
            #expect(snapshot.appliedIndex == UInt64(part.lowerBound))
            try replay(Array(entries[part]), from: snapshot, into: restarted, batch: 13, logged: true)
        }
        #expect(try restarted.stateDump(Self.partition) == whole.stateDump(Self.partition))
    }
}
