import GRDB
import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol
import Testing

@testable import RoostStorage

@Suite struct MessageTests {
    let store: SQLiteStore
    init() throws { store = try SQLiteStore(inMemory: .init()) }

    private func seqs(
        after: UInt64 = 0, before: UInt64 = .max, descending: Bool = false, skip: Int = 0, limit: Int = 100,
        maxBytes: Int = 1 << 20, of id: ConversationID = conversation(1)
    ) throws -> [UInt64] {
        try store.messages(
            partition: 1, conversation: id, after: after, before: before, descending: descending, skip: skip,
            limit: limit, maxBytes: maxBytes
        ).map(\.message.seq)
    }

    @Test func messagesAreMadeOfRowAndEntry() throws {
        var log = MessageLog()
        let write = log.write(conversation(1), count: 1, firstID: 5, content: "{\"a\": 1}")
        try store.commit([write])
        let found = try store.messages(
            partition: 1, conversation: conversation(1), after: 0, before: 2, descending: false, skip: 0, limit: 1,
            maxBytes: 0)
        let expected = Message(
            id: message(5), conversation: conversation(1), seq: 1, sender: user(1), originDevice: device("phone"),
            type: "text", content: ByteBuffer(string: "{\"a\": 1}"), sentAt: 1000)
        #expect(found == [StoredMessage(index: 1, message: expected)])
    }

    @Test func rangesInBothDirections() throws {
        var log = MessageLog()
        try store.commit([
            log.write(conversation(1), count: 4, firstID: 1), log.write(conversation(2), count: 3, firstID: 10),
            log.write(conversation(1), count: 6, firstID: 20),
        ])
        #expect(try seqs() == Array(1...10))
        #expect(try seqs(after: 3, before: 7) == [4, 5, 6])
        #expect(try seqs(after: 3, before: 7, descending: true) == [6, 5, 4])
        #expect(try seqs(descending: true, skip: 3, limit: 2) == [7, 6])
        #expect(try seqs(after: 2, skip: 3, limit: 2) == [6, 7])
        #expect(try seqs(before: 9, descending: true, skip: 8).isEmpty)
        #expect(try seqs(before: 9, descending: true, skip: 7) == [1])
        #expect(try seqs(skip: .max).isEmpty)
        #expect(try seqs(after: 10).isEmpty)
        #expect(try seqs(after: .max).isEmpty)
        #expect(try seqs(before: 0).isEmpty)
        #expect(try seqs(after: 5, before: 6).isEmpty)
        #expect(try seqs(limit: 0).isEmpty)
        #expect(try seqs(of: conversation(2)) == [1, 2, 3])
        #expect(try seqs(of: conversation(3)).isEmpty)
        // Seven bytes each.
        #expect(try seqs(maxBytes: 21) == [1, 2, 3])
        #expect(try seqs(descending: true, maxBytes: 0) == [10])
    }

    @Test func lastSeqUpToAnIndex() throws {
        var log = MessageLog()
        try store.commit([
            log.write(conversation(1), count: 3, firstID: 1), log.write(conversation(2), count: 2, firstID: 10),
            log.write(conversation(1), count: 2, firstID: 20),
        ])
        // Indices of conversation 1: 1, 2, 3, 6, 7.
        for (index, seq) in [(0, 0), (1, 1), (3, 3), (4, 3), (5, 3), (6, 4), (7, 5), (UInt64.max, 5)] {
            #expect(try store.lastSeq(partition: 1, conversation: conversation(1), through: UInt64(index)) == seq)
        }
        #expect(try store.lastSeq(partition: 1, conversation: conversation(9), through: .max) == 0)
    }

    /// SQLite keeps 1 as a type of its own, one bit from that of 0.
    @Test func aSeqThatCannotBeIsDamage() throws {
        var log = MessageLog()
        try store.commit([log.write(conversation(1), count: 3, firstID: 1)])
        try store.writer.inDatabase { try $0.execute(sql: "UPDATE messages SET seq = 0 WHERE seq = 1") }
        #expect(throws: StoreError.self) {
            try store.lastSeq(partition: 1, conversation: conversation(1), sentBefore: 1000)
        }
    }

    @Test func lastSeqBeforeAMoment() throws {
        var log = MessageLog()
        try store.commit([
            log.write(conversation(1), count: 3, firstID: 1), log.write(conversation(2), count: 2, firstID: 10),
            log.write(conversation(1), count: 2, firstID: 20),
        ])
        // Times of conversation 1: 1000, 2000, 3000, 6000, 7000.
        let expected: [(Int64, UInt64)] = [
            (0, 0), (1000, 0), (1001, 1), (3000, 2), (3001, 3), (6000, 3), (6001, 4), (7000, 4), (7001, 5), (.max, 5),
        ]
        for (stamp, seq) in expected {
            #expect(try store.lastSeq(partition: 1, conversation: conversation(1), sentBefore: stamp) == seq)
        }
        #expect(try store.lastSeq(partition: 1, conversation: conversation(9), sentBefore: .max) == 0)
        #expect(try store.lastSeq(partition: 2, conversation: conversation(1), sentBefore: .max) == 0)
    }

    @Test func knownOnlyInItsWholeIdentity() throws {
        var log = MessageLog()
        let (first, firstRow) = log.send(conversation(1), id: 5, from: 1)
        let (second, secondRow) = log.send(conversation(1), id: 5, from: 2)
        let (third, thirdRow) = log.send(conversation(2), id: 5, from: 1)
        try store.commit([
            PartitionWrite(
                partition: 1, entries: [first, second, third],
                changes: [.message(firstRow), .message(secondRow), .message(thirdRow)], appliedIndex: 3)
        ])
        func known(_ n: UInt64, _ sender: UInt64, _ id: UInt64, partition: PartitionID = 1) -> MessageRow? {
            store.knownMessage(
                partition: partition, conversation: conversation(n), sender: user(sender), id: message(id))
        }
        #expect(known(1, 1, 5) == firstRow)
        #expect(known(1, 2, 5) == secondRow)
        #expect(known(2, 1, 5) == thirdRow)
        #expect(known(2, 2, 5) == nil)
        #expect(known(1, 1, 6) == nil)
        #expect(known(3, 1, 5) == nil)
        #expect(known(1, 1, 5, partition: 2) == nil)
        #expect(try store.messages(withID: message(5), partition: 1) == [firstRow, secondRow, thirdRow])
        #expect(try store.messages(withID: message(5), partition: 2).isEmpty)
        #expect(try store.messages(withID: message(6), partition: 1).isEmpty)
    }

    @Test func aTinyKeyCacheChangesNothing() throws {
        var options = SQLiteStore.Options()
        options.cachedKeys = 2
        let store = try SQLiteStore(inMemory: options)
        var log = MessageLog()
        for round in 0..<3 {
            let writes = (0..<10).map { n in
                log.write(conversation(UInt64(n)), count: 2, firstID: UInt64(round * 100 + n * 10))
            }
            try store.commit(writes)
        }
        for n in 0..<10 {
            let found = try store.messages(
                partition: 1, conversation: conversation(UInt64(n)), after: 0, before: .max, descending: false,
                skip: 0, limit: 99, maxBytes: .max)
            #expect(found.map(\.message.seq) == Array(1...6))
        }
    }
}
