import Foundation
import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage
import Testing

/// Content that goes: the log stays whole, ids stay known for a while, and the file gets smaller.
@Suite struct RetentionTests {
    private static let partition: PartitionID = 1

    private func row(_ lastSeq: UInt64, _ retention: ConversationRetention) -> StateChange {
        .conversation(
            ConversationRow(
                id: conversation(1), type: .group, name: nil, createdAt: 1, parametersHash: 2, lastSeq: lastSeq,
                lastSentAt: Int64(lastSeq * 1_000), retention: retention))
    }

    private func fill(_ store: SQLiteStore, count: UInt64, content: String) throws -> [RaftEntry] {
        var log = MessageLog(Self.partition)
        var entries: [RaftEntry] = []
        for start in stride(from: UInt64(1), through: count, by: 500) {
            let part = (start..<min(start + 500, count + 1)).map { log.send(conversation(1), id: $0, content: content) }
            entries += part.map(\.entry)
            try store.commit([
                PartitionWrite(
                    partition: Self.partition, entries: part.map(\.entry),
                    changes: [row(start, .init())] + part.map { .message($0.row) }, appliedIndex: log.lastIndex,
                    lastStamp: 1)
            ])
        }
        return entries
    }

    private func remove(_ store: SQLiteStore, through seq: UInt64, of count: UInt64) throws {
        for after in stride(from: UInt64(0), to: seq, by: 1_000) {
            let through = min(after + 1_000, seq)
            try store.commit([
                PartitionWrite(
                    partition: Self.partition,
                    changes: [
                        row(count, .init(floor: through)),
                        .stripped(conversation: conversation(1), SeqRange(after: after, through: through)),
                    ])
            ])
        }
    }

    private func messages(_ store: SQLiteStore, after: UInt64 = 0) throws -> [UInt64] {
        try store.messages(
            partition: Self.partition, conversation: conversation(1), after: after, before: .max, descending: false,
            skip: 0, limit: 10_000, maxBytes: .max
        ).map(\.message.seq)
    }

    @Test func whatMadeNoMessageLosesItsContentAtOnce() throws {
        let store = try SQLiteStore()
        let entries = try fill(store, count: 3, content: "\"secret words\"")
        var copy = entries[1]
        copy.index = 4
        // The entry and what becomes of it in one batch, and the same again, as when the log is applied anew; of no entry.
        for written in [[copy], []] {
            let strip = [StateChange.sendStripped(index: 4, hash: 77), .sendStripped(index: 9, hash: 1)]
            try store.commit([PartitionWrite(partition: Self.partition, entries: written, changes: strip)])
            let read = try store.entries(partition: Self.partition, from: 1, through: 4, maxBytes: .max)
            #expect(read.prefix(3) == entries.prefix(3) && read.map(\.index) == [1, 2, 3, 4])
            var payload = try #require(read.last).payload
            #expect(!String(buffer: payload).contains("secret"))
            let send = try #require(try StampedCommand(decoding: &payload).command.sending)
            #expect(send.id == message(2) && send.removedHash == 77)
        }
        #expect(try messages(store) == [1, 2, 3])
    }

    @Test func contentGoesAndTheLogStays() throws {
        let store = try SQLiteStore()
        let entries = try fill(store, count: 10, content: "\"secret words\"")
        try remove(store, through: 6, of: 10)
        #expect(try messages(store) == [7, 8, 9, 10])
        let read = try store.entries(partition: Self.partition, from: 1, through: 10, maxBytes: .max)
        #expect(read.map(\.index) == Array(1...10) && read.map(\.term) == entries.map(\.term))
        #expect(read.suffix(4) == entries.suffix(4))
        for entry in read.prefix(6) {
            #expect(!String(buffer: entry.payload).contains("secret"))
            var payload = entry.payload
            let send = try #require(try StampedCommand(decoding: &payload).command.sending)
            // What the tables have as its hash.
            #expect(send.id == message(entry.index) && send.removedHash == UInt64.max - entry.index)
            #expect(send.order.counter == entry.index)
        }
        // Still known by its id, once and again.
        try remove(store, through: 6, of: 10)
        let known = store.knownMessage(
            partition: Self.partition, conversation: conversation(1), sender: user(1), id: message(3))
        #expect(known?.seq == 3 && known?.contentHash == UInt64.max - 3)
        #expect(try store.loadPartition(Self.partition).state.conversations.first?.retention.floor == 6)
    }

    @Test func idsGoLater() throws {
        let store = try SQLiteStore()
        _ = try fill(store, count: 10, content: "1")
        try remove(store, through: 10, of: 10)
        let retention = ConversationRetention(floor: 10, idFloor: 9, markSeq: 10, markAt: 77)
        try store.commit([
            PartitionWrite(
                partition: Self.partition,
                changes: [
                    row(10, retention), .idsForgotten(conversation: conversation(1), SeqRange(after: 0, through: 9)),
                ])
        ])
        func known(_ n: UInt64) -> UInt64? {
            store.knownMessage(
                partition: Self.partition, conversation: conversation(1), sender: user(1), id: message(n))?.seq
        }
        #expect(known(9) == nil && known(10) == 10)
        #expect(try store.messageHashes(partition: Self.partition).count == 1)
        // The last seq is still told by the last row; a start before it is below all that is left.
        let state = try store.loadPartition(Self.partition).state
        #expect(state.conversations.first?.lastSeq == 10 && state.conversations.first?.retention == retention)
        #expect(
            try store.lastSeq(partition: Self.partition, conversation: conversation(1), sentBefore: 5_000) == 9)
        #expect(try store.entries(partition: Self.partition, from: 1, through: 10, maxBytes: .max).count == 10)
    }

    @Test(arguments: [256, 1_024, 8_192]) func spaceIsGivenBack(size: Int) throws {
        let directory = try TemporaryDirectory()
        let store = try SQLiteStore(directory: directory.path)
        #expect(try store.writerSetting("auto_vacuum") == "2")
        let count: UInt64 = size > 1_024 ? 1_000 : 4_000
        _ = try fill(store, count: count, content: "\"\(String(repeating: "x", count: size))\"")
        func bytes() throws -> Int {
            let pages = try #require(try store.writerSetting("page_count").flatMap(Int.init))
            return pages * 4_096
        }
        let before = try bytes()
        try remove(store, through: count - 10, of: count)
        // What one commit could not give back, the next one does.
        for _ in 0..<3 { try remove(store, through: count - 9, of: count) }
        let after = try bytes()
        print("content of \(size) bytes: \(before) bytes before, \(after) after, \(count) messages")
        #expect(after < before * (size > 256 ? 40 : 75) / 100)
        #expect(try store.structuralDamage().isEmpty)
        #expect(try messages(store) == Array(count - 8...count))
        // The file itself, once the write-ahead log is in it.
        try store.close()
        let file = try FileManager.default.attributesOfItem(atPath: directory.path("roost.db"))[.size] as? Int
        #expect(file == after)
    }
}
