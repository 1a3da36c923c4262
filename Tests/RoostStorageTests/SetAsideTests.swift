import Foundation
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage
import Testing

/// A database that can't be trusted any more is renamed, and the node begins blank.
@Suite struct SetAsideTests {
    private func names(_ directory: TemporaryDirectory) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted()
    }

    private func makeDatabase(_ directory: TemporaryDirectory) throws {
        let store = try SQLiteStore(directory: directory.path)
        try store.saveFacts(NodeFacts(store: StoreID(7), epoch: 1))
        try store.commit([
            PartitionWrite(partition: 1, hardState: RaftHardState(term: 3), entries: [entry(1), entry(2)])
        ])
        try store.close()
    }

    @Test func aHealthyDatabaseStays() throws {
        let directory = try TemporaryDirectory()
        try makeDatabase(directory)
        let opened = try SQLiteStore.openOrSetAside(directory: directory.path)
        #expect(opened.setAside == nil)
        #expect(try opened.store.loadFacts()?.store == StoreID(7))
        #expect(!DataDirectory.hasSetAside(directory.path))
    }

    @Test func aPardonedDatabaseStays() throws {
        let directory = try TemporaryDirectory()
        try makeDatabase(directory)
        DataDirectory.condemn(directory.path, reason: "by mistake")
        try DataDirectory.pardon(directory.path)
        #expect(try SQLiteStore.openOrSetAside(directory: directory.path).setAside == nil)
        try DataDirectory.pardon(directory.path)
    }

    /// Parts of the file are overwritten.
    @Test(arguments: [0..<100, 0..<4096, 4096..<40_000])
    func aBrokenFileIsSetAsideWhole(range: Range<Int>) throws {
        let directory = try TemporaryDirectory()
        try makeDatabase(directory)
        let file = URL(fileURLWithPath: directory.path("roost.db"))
        var bytes = try Data(contentsOf: file)
        let damaged = range.clamped(to: 0..<bytes.count)
        bytes.replaceSubrange(damaged, with: Data(repeating: 0x5a, count: damaged.count))
        try bytes.write(to: file)

        do {
            let opened = try SQLiteStore.openOrSetAside(directory: directory.path)
            let setAside = try #require(opened.setAside)
            #expect(try opened.store.loadFacts() == nil)
            #expect(try opened.store.loadPartition(1).lastIndex == 0)
            // Nothing is lost that was there; SQLite may have written to its own pages before it noticed.
            let kept = try Data(contentsOf: URL(fileURLWithPath: setAside.directory + "/roost.db"))
            #expect(kept.count == bytes.count && kept[damaged.suffix(16)] == bytes[damaged.suffix(16)])
            #expect(DataDirectory.hasSetAside(directory.path))
            #expect(try names(directory).filter { $0.hasPrefix("damaged-") }.count == 1)
            try opened.store.saveFacts(NodeFacts(store: StoreID(8), epoch: 2, joinsOnly: true))
        }
        // It is done once.
        let again = try SQLiteStore.openOrSetAside(directory: directory.path)
        #expect(again.setAside == nil)
        #expect(try again.store.loadFacts()?.joinsOnly == true)
    }

    @Test func aDamagedIdentityIsSetAsideAndSoAreTermAndVote() throws {
        let directory = try TemporaryDirectory()
        try makeDatabase(directory)
        let file = URL(fileURLWithPath: directory.path("roost.db"))
        do {
            let store = try SQLiteStore(directory: directory.path)
            #expect(try store.damageTruth(table: "hard_state"))
            #expect(throws: StoreError.corrupt("partition 1: its term and vote are damaged")) {
                try store.loadPartition(1)
            }
            #expect(try store.damageTruth(table: "facts"))
            try store.close()
        }
        #expect(try Data(contentsOf: file).count > 0)
        let opened = try SQLiteStore.openOrSetAside(directory: directory.path)
        #expect(opened.setAside?.reason == "the node's identity is damaged")
    }

    @Test func aCondemnedDatabaseWritesNothingAndIsSetAsideByTheNextStart() throws {
        let directory = try TemporaryDirectory()
        try makeDatabase(directory)
        do {
            let store = try SQLiteStore(directory: directory.path)
            store.condemn("it has only 1 of 2 entries")
            #expect(throws: StoreError.corrupt("it has only 1 of 2 entries")) {
                try store.commit([PartitionWrite(partition: 1, entries: [entry(3)])])
            }
            #expect(DataDirectory.condemned(directory.path) == "it has only 1 of 2 entries")
            // As the end of the process: nothing is closed.
        }
        let opened = try SQLiteStore.openOrSetAside(directory: directory.path)
        #expect(opened.setAside?.reason == "it has only 1 of 2 entries")
        #expect(DataDirectory.condemned(directory.path) == nil)
        #expect(try opened.store.loadFacts() == nil)
        let target = try #require(opened.setAside?.directory)
        let reason = try String(contentsOf: URL(fileURLWithPath: target + "/reason"), encoding: .utf8)
        #expect(reason == "it has only 1 of 2 entries\n")
    }

    /// A read-only or full directory is no damage.
    @Test func aDirectoryInUseIsNotSetAside() throws {
        let directory = try TemporaryDirectory()
        let store = try SQLiteStore(directory: directory.path)
        #expect(throws: StoreError.self) { try SQLiteStore.openOrSetAside(directory: directory.path) }
        #expect(!DataDirectory.hasSetAside(directory.path))
        try store.close()
    }
}
