import Foundation
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage
import Testing

/// The files as a power cut leaves them: what was synced, and any part of what was being written.
@Suite struct CrashTests {
    private func size(_ path: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return try #require((attributes[.size] as? NSNumber)?.intValue)
    }

    private func copy(_ from: TemporaryDirectory, _ to: String, walBytes: Int? = nil) throws {
        try FileManager.default.createDirectory(atPath: to, withIntermediateDirectories: true)
        for name in ["roost.db", "roost.db-wal"] {
            var bytes = try Data(contentsOf: URL(fileURLWithPath: from.path(name)))
            if name.hasSuffix("-wal"), let walBytes { bytes = bytes.prefix(walBytes) }
            try bytes.write(to: URL(fileURLWithPath: to + "/" + name))
        }
    }

    /// `checkpointPages`: small, so that pages move from the write-ahead log to the database between the copies.
    @Test(arguments: [4096, 30])
    func completedCommitsAreThereWheneverTheFilesAreCut(checkpointPages: Int) throws {
        let directory = try TemporaryDirectory()
        var options = SQLiteStore.Options()
        options.checkpointPages = checkpointPages
        let store = try SQLiteStore(directory: directory.path, options: options)
        var generator = SeededGenerator(seed: 11)
        var log = MessageLog(1)
        for round in 1...40 {
            let count = Int.random(in: 1...12, using: &generator)
            try store.commit([log.write(conversation(UInt64(round % 3)), count: count, firstID: UInt64(round * 100))])
            guard Int.random(in: 0..<4, using: &generator) == 0 else { continue }
            let cut = directory.path("cut-\(round)")
            try copy(directory, cut)
            try expectWhole(SQLiteStore(directory: cut), lastIndex: log.lastIndex)
        }
    }

    @Test func aCommitCutShortLeavesThoseBefore() throws {
        let directory = try TemporaryDirectory()
        let store = try SQLiteStore(directory: directory.path)
        var generator = SeededGenerator(seed: 12)
        var log = MessageLog(1)
        let wal = directory.path("roost.db-wal")
        for round in 1...10 {
            let completed = log.lastIndex
            let before = try size(wal)
            try store.commit([log.write(conversation(1), count: 40, firstID: UInt64(round * 100))])
            let after = try size(wal)
            try #require(after > before)
            let cut = directory.path("cut-\(round)")
            // Without its last byte the transaction has no end.
            try copy(directory, cut, walBytes: Int.random(in: before..<after, using: &generator))
            try expectWhole(SQLiteStore(directory: cut), lastIndex: completed)
        }
    }

    private func expectWhole(_ store: SQLiteStore, lastIndex: UInt64) throws {
        let restored = try store.loadPartition(1)
        #expect(restored.lastIndex == lastIndex)
        #expect(restored.state.appliedIndex == lastIndex)
        let entries = try store.entries(partition: 1, from: 1, through: .max, maxBytes: .max)
        #expect(entries.count == Int(lastIndex))
        var messages = 0
        for n in 0..<3 {
            messages +=
                try store.messages(
                    partition: 1, conversation: conversation(UInt64(n)), after: 0, before: .max, descending: false,
                    skip: 0, limit: .max, maxBytes: .max
                ).count
        }
        #expect(messages == Int(lastIndex))
        #expect(try store.structuralDamage().isEmpty)
    }
}
