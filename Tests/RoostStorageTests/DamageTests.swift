import Foundation
import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage
import Testing

@Suite struct DamageTests {
    /// Changes a byte of the first place where `marker` stands in the closed database.
    private func damage(_ directory: TemporaryDirectory, at marker: String) throws {
        let file = URL(fileURLWithPath: directory.path("roost.db"))
        var bytes = try Data(contentsOf: file)
        let place = try #require(bytes.range(of: Data(marker.utf8)))
        bytes[place.lowerBound] ^= 0x04
        try bytes.write(to: file)
    }

    private func makeLog(_ directory: TemporaryDirectory) throws -> PartitionWrite {
        let store = try SQLiteStore(directory: directory.path)
        var log = MessageLog(1)
        var write = log.write(conversation(1), count: 1, firstID: 1, content: "\"first\"")
        for (n, content) in ["\"second\"", "\"third\""].enumerated() {
            let next = log.write(conversation(1), count: 1, firstID: UInt64(2 + n), content: content)
            write.entries += next.entries
            write.changes += next.changes
        }
        write.appliedIndex = 3
        try store.commit([write])
        try store.close()
        return write
    }

    @Test func aDamagedRowIsNamedWhoeverReadsIt() throws {
        let directory = try TemporaryDirectory()
        let write = try makeLog(directory)
        try damage(directory, at: "second")
        let store = try SQLiteStore(directory: directory.path)
        let error = StoreError.damagedEntry(LogDamage(1, 2, .checksum))
        #expect(throws: error) { try store.entries(partition: 1, from: 2, through: 3, maxBytes: .max) }
        #expect(try store.entries(partition: 1, from: 1, through: 3, maxBytes: .max) == [write.entries[0]])
        #expect(throws: error) {
            try store.messages(
                partition: 1, conversation: conversation(1), after: 0, before: .max, descending: true, skip: 0,
                limit: 9, maxBytes: .max)
        }
        #expect(throws: error) { try store.messages(withID: message(2), partition: 1) }
        // Its neighbours are whole.
        #expect(try store.entries(partition: 1, from: 3, through: 3, maxBytes: .max) == [write.entries[2]])
        #expect(try store.messages(withID: message(1), partition: 1).count == 1)
        // "Unknown" would number it again.
        let known = store.knownMessage(
            partition: 1, conversation: conversation(1), sender: user(1), id: message(2))
        #expect(known?.seq == 2)

        try store.commit([PartitionWrite(partition: 1, repairs: [write.entries[1]])])
        #expect(try store.entries(partition: 1, from: 1, through: 3, maxBytes: .max) == write.entries)
    }

    @Test func aMissingRowIsNamed() throws {
        let directory = try TemporaryDirectory()
        let store = try SQLiteStore(directory: directory.path)
        try store.commit([PartitionWrite(partition: 1, entries: [entry(1), entry(2), entry(4)])])
        #expect(throws: StoreError.damagedEntry(LogDamage(1, 3, .missing))) {
            try store.entries(partition: 1, from: 3, through: 9, maxBytes: .max)
        }
        #expect(try store.entries(partition: 1, from: 1, through: 9, maxBytes: .max).count == 2)
        // Nothing is applied: Raft counts on each of them.
        #expect(try store.loadPartition(1).missing == [LogDamage(1, 3, .missing)])
    }

    @Test func aLookupThatCannotReadEndsAllWriting() throws {
        let directory = try TemporaryDirectory()
        _ = try makeLog(directory)
        let failures = Collector<StoreError>()
        let store = try SQLiteStore(directory: directory.path, lookupFailed: { failures.append($0) })
        // All pages but the first, beneath the open connections.
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: directory.path("roost.db")))
        let pages = try file.seekToEnd() / 4096
        try file.seek(toOffset: 4096)
        try file.write(contentsOf: Data(repeating: 0xff, count: Int(pages - 1) * 4096))
        try file.close()
        #expect(
            store.knownMessage(partition: 1, conversation: conversation(1), sender: user(1), id: message(1)) == nil)
        #expect(failures.all.count == 1)
        #expect(DataDirectory.condemned(directory.path) != nil)
        #expect(throws: try #require(failures.all.first)) {
            try store.commit([PartitionWrite(partition: 9, hardState: RaftHardState(term: 1))])
        }
    }

    /// Nothing is decided by it, and nothing else stops: the partition's tables are made anew.
    @Test(arguments: ["message_ids", "messages", "conversation_keys"])
    func aDamagedRowMetByALookupIsNoEnd(table: String) throws {
        let directory = try TemporaryDirectory()
        _ = try makeLog(directory)
        let failures = Collector<StoreError>()
        do {
            let store = try SQLiteStore(directory: directory.path, lookupFailed: { failures.append($0) })
            #expect(try store.damageState(partition: 1, table: table))
            #expect(store.distrust(of: 1) == nil)
            let known = store.knownMessage(
                partition: 1, conversation: conversation(1), sender: user(1), id: message(1))
            #expect(known == nil && failures.all.isEmpty)
            #expect(store.distrust(of: 1)?.contains(table) == true)
            try store.commit([PartitionWrite(partition: 9, hardState: RaftHardState(term: 1))])
            #expect(try store.loadPartition(1).stateDamage != nil)
            try store.close()
        }
        // It is remembered where the process ends first.
        let store = try SQLiteStore(directory: directory.path, lookupFailed: { failures.append($0) })
        #expect(try store.loadPartition(1).stateDamage != nil)
        try store.clearState(1)
        #expect(store.distrust(of: 1) == nil)
        #expect(try store.loadPartition(1).stateDamage == nil)
    }

    @Test func aLookupAfterTheEndIsNoFailure() throws {
        let directory = try TemporaryDirectory()
        let failures = Collector<StoreError>()
        let store = try SQLiteStore(directory: directory.path, lookupFailed: { failures.append($0) })
        try store.close()
        #expect(
            store.knownMessage(partition: 1, conversation: conversation(1), sender: user(1), id: message(1)) == nil)
        #expect(failures.all.isEmpty)
        #expect(throws: StoreError.self) { try store.commit([PartitionWrite(partition: 1, entries: [entry(1)])]) }
        #expect(throws: StoreError.self) { try store.loadFacts() }
    }
}
