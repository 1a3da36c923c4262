import Foundation
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage
import Testing

/// A database with less than it had confirmed is noticed at the start, and set aside.
@Suite struct CommitMarkTests {
    private let files = ["roost.db", "roost.db-wal", "roost.mark"]

    /// The files as `kill -9` leaves them.
    private func killed(_ directory: TemporaryDirectory, commits: Int = 20, store: UInt64 = 7) throws {
        let living = directory.path("living")
        let database = try SQLiteStore(directory: living)
        try database.saveFacts(NodeFacts(store: StoreID(store), epoch: 1))
        var log = MessageLog(1)
        for round in 0..<commits {
            try database.commit([log.write(conversation(1), count: 3, firstID: UInt64(round * 100))])
        }
        try copy(living, directory.path)
        try database.close()
    }

    private func copy(_ from: String, _ to: String) throws {
        try FileManager.default.createDirectory(atPath: to, withIntermediateDirectories: true)
        for name in files where FileManager.default.fileExists(atPath: "\(from)/\(name)") {
            try? FileManager.default.removeItem(atPath: "\(to)/\(name)")
            try FileManager.default.copyItem(atPath: "\(from)/\(name)", toPath: "\(to)/\(name)")
        }
    }

    private func truncate(_ path: String, to size: UInt64) throws {
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try file.truncate(atOffset: size)
        try file.close()
    }

    private func size(_ path: String) throws -> UInt64 {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return try #require((attributes[.size] as? NSNumber)?.uint64Value)
    }

    private func expectSetAside(_ directory: TemporaryDirectory, because reason: String) throws {
        do {
            let opened = try SQLiteStore.openOrSetAside(directory: directory.path)
            let setAside = try #require(opened.setAside)
            #expect(reason.isEmpty || setAside.reason.contains(reason), "\(setAside.reason)")
            #expect(try opened.store.loadFacts() == nil)
            #expect(try opened.store.loadPartition(1).lastIndex == 0)
            #expect(DataDirectory.hasSetAside(directory.path))
            try opened.store.saveFacts(NodeFacts(store: StoreID(99), epoch: 2, joinsOnly: true))
            try opened.store.close()
        }
        // Once, and the new one counts from the beginning.
        let again = try SQLiteStore.openOrSetAside(directory: directory.path)
        #expect(again.setAside == nil)
        #expect(try again.store.loadFacts()?.store == StoreID(99))
        try again.store.close()
    }

    /// The store is closed, and lets go of the directory, when this returns.
    private func expectWhole(_ directory: TemporaryDirectory, lastIndex: UInt64 = 60) throws {
        let opened = try SQLiteStore.openOrSetAside(directory: directory.path)
        #expect(opened.setAside == nil)
        #expect(try opened.store.loadPartition(1).lastIndex == lastIndex)
        try opened.store.close()
    }

    @Test func whatAKillLeavesIsWhole() throws {
        let directory = try TemporaryDirectory()
        try killed(directory)
        try expectWhole(directory)
        // And after a stop in order.
        try expectWhole(directory)
    }

    @Test func aLostWriteAheadLog() throws {
        let directory = try TemporaryDirectory()
        try killed(directory)
        try FileManager.default.removeItem(atPath: directory.path("roost.db-wal"))
        try expectSetAside(directory, because: "it is blank, and had confirmed 21 commits")
    }

    /// A checkpoint has moved some of it: SQLite opens an older state without a word.
    @Test func aLostWriteAheadLogAfterACheckpoint() throws {
        let directory = try TemporaryDirectory()
        var options = SQLiteStore.Options()
        options.checkpointPages = 30
        let living = directory.path("living")
        let database = try SQLiteStore(directory: living, options: options)
        try database.saveFacts(NodeFacts(store: StoreID(7), epoch: 1))
        var log = MessageLog(1)
        for round in 1...40 as ClosedRange<UInt64> {
            try database.commit([log.write(conversation(1), count: 3, firstID: round * 100)])
        }
        try copy(living, directory.path)
        // The log may just have been moved whole: then its loss would be none.
        try database.commit([log.write(conversation(1), count: 3, firstID: 9_000)])
        try FileManager.default.removeItem(atPath: directory.path("roost.mark"))
        try FileManager.default.copyItem(atPath: living + "/roost.mark", toPath: directory.path("roost.mark"))
        try database.close()
        try FileManager.default.removeItem(atPath: directory.path("roost.db-wal"))
        try expectSetAside(directory, because: "commits that it had confirmed")
    }

    @Test(arguments: [1, 40, 4_096, 50_000] as [UInt64])
    func aWriteAheadLogCutShort(by bytes: UInt64) throws {
        let directory = try TemporaryDirectory()
        try killed(directory)
        let log = directory.path("roost.db-wal")
        try truncate(log, to: try size(log) - bytes)
        try expectSetAside(directory, because: "of the 21 commits that it had confirmed")
    }

    @Test func anOlderDatabasePutBack() throws {
        let directory = try TemporaryDirectory()
        try killed(directory)
        try expectWhole(directory)
        let old = try Data(contentsOf: URL(fileURLWithPath: directory.path("roost.db")))
        do {
            let store = try SQLiteStore.openOrSetAside(directory: directory.path).store
            try store.commit([PartitionWrite(partition: 1, entries: [entry(61)])])
            try store.close()
        }
        try old.write(to: URL(fileURLWithPath: directory.path("roost.db")))
        try expectSetAside(directory, because: "it has only 21 of the 22 commits")
    }

    /// Its number may be the higher one.
    @Test func aDatabaseOfAFormerStore() throws {
        let directory = try TemporaryDirectory()
        try killed(directory)
        try expectWhole(directory)
        let former = try Data(contentsOf: URL(fileURLWithPath: directory.path("roost.db")))
        for name in files { try? FileManager.default.removeItem(atPath: directory.path(name)) }
        do {
            let store = try SQLiteStore(directory: directory.path)
            try store.saveFacts(NodeFacts(store: StoreID(8), epoch: 1))
            try store.close()
        }
        try former.write(to: URL(fileURLWithPath: directory.path("roost.db")))
        try expectSetAside(directory, because: "was the last to run here")
    }

    @Test(arguments: [0, 4_096, 20_000] as [UInt64])
    func aDatabaseCutShort(to bytes: UInt64) throws {
        let directory = try TemporaryDirectory()
        try killed(directory)
        try expectWhole(directory)
        try truncate(directory.path("roost.db"), to: bytes)
        try expectSetAside(directory, because: "")
    }

    @Test func aLostDatabase() throws {
        let directory = try TemporaryDirectory()
        try killed(directory)
        try FileManager.default.removeItem(atPath: directory.path("roost.db"))
        try expectSetAside(directory, because: "it is blank, and had confirmed 21 commits")
    }

    /// Then nothing is known of the past; and a mark that is older, as after a power cut, is no loss.
    @Test func aMarkThatIsLostOrDamagedOrOlderIsNoLoss() throws {
        for change in 0..<3 {
            let directory = try TemporaryDirectory()
            try killed(directory)
            let mark = directory.path("roost.mark")
            switch change {
            case 0: try FileManager.default.removeItem(atPath: mark)
            case 1: try truncate(mark, to: 16)
            default:
                var bytes = try Data(contentsOf: URL(fileURLWithPath: mark))
                bytes[16] ^= 0x55
                try bytes.write(to: URL(fileURLWithPath: mark))
            }
            try expectWhole(directory)
        }
    }

    @Test func aCommitThatFailedIsNotCounted() throws {
        let directory = try TemporaryDirectory()
        var options = SQLiteStore.Options()
        options.maxPages = 60
        do {
            let store = try SQLiteStore(directory: directory.path, options: options)
            try store.saveFacts(NodeFacts(store: StoreID(7), epoch: 1))
            try store.commit([PartitionWrite(partition: 1, entries: [entry(1)])])
            let large = String(repeating: "x", count: 300_000)
            for _ in 0..<3 {
                #expect(throws: StoreError.self) {
                    try store.commit([PartitionWrite(partition: 1, entries: [entry(2, large)])])
                }
            }
            try store.close()
        }
        try expectWhole(directory, lastIndex: 1)
    }

    /// As `roost recover` does, when there is nothing better: from its first commit on it counts as it is.
    @Test func goingOnWithLessOnPurpose() throws {
        let directory = try TemporaryDirectory()
        try killed(directory)
        let log = directory.path("roost.db-wal")
        try truncate(log, to: try size(log) - 50_000)
        var last: UInt64 = 0
        do {
            let store = try SQLiteStore(directory: directory.path)
            #expect(try store.loss()?.contains("commits that it had confirmed") == true)
            let facts = try #require(try store.loadFacts())
            last = try store.loadPartition(1).lastIndex
            try store.saveFacts(facts)
            try store.close()
        }
        try expectWhole(directory, lastIndex: last)
    }
}
