import Foundation
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage
import Testing

@Suite struct OpeningTests {
    @Test func writerSyncsEveryCommit() throws {
        let directory = try TemporaryDirectory()
        let store = try SQLiteStore(directory: directory.path)
        #expect(try store.writerSetting("synchronous") == "2")
        #expect(try store.writerSetting("journal_mode") == "wal")
        try store.commit([PartitionWrite(partition: 0, entries: [entry(1)])])
        #expect(try store.writerSetting("synchronous") == "2")
    }

    @Test func emptyDirectoryIsAnEmptyStore() throws {
        let directory = try TemporaryDirectory()
        let store = try SQLiteStore(directory: directory.path("a/b"))
        #expect(try store.loadFacts() == nil)
        let restored = try store.loadPartition(5)
        #expect(restored.hardState == RaftHardState())
        #expect(restored.lastIndex == 0)
        #expect(restored.termRuns.isEmpty)
        #expect(restored.state.appliedIndex == 0)
        #expect(try store.structuralDamage().isEmpty)
    }

    @Test func secondOpeningIsRefused() throws {
        let directory = try TemporaryDirectory()
        var first: SQLiteStore? = try SQLiteStore(directory: directory.path)
        try first?.commit([PartitionWrite(partition: 0, entries: [entry(1)])])
        #expect(
            throws: StoreError.failed(
                "data directory \(directory.path) is in use by another node (process \(getpid()))")
        ) {
            try SQLiteStore(directory: directory.path)
        }
        first = nil
        #expect(try SQLiteStore(directory: directory.path).loadPartition(0).lastIndex == 1)
    }

    @Test func placesThatCannotBeWrittenAreNamed() throws {
        let directory = try TemporaryDirectory()
        let file = directory.path("file")
        try Data("x".utf8).write(to: URL(fileURLWithPath: file))
        #expect(throws: StoreError.failed("data directory \(file) is not a directory")) {
            try SQLiteStore(directory: file)
        }
        let error = #expect(throws: StoreError.self) { try SQLiteStore(directory: file + "/below") }
        #expect("\(String(describing: error))".contains("\(file)/below cannot be made"))
    }

    @Test func aFileThatIsNoDatabaseIsCorrupt() throws {
        let directory = try TemporaryDirectory()
        try Data(repeating: 0x41, count: 10_000).write(to: URL(fileURLWithPath: directory.path("roost.db")))
        let error = #expect(throws: StoreError.self) { try SQLiteStore(directory: directory.path) }
        guard case .corrupt = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func aFullDatabaseWritesNothingAndGoesOnReading() throws {
        let directory = try TemporaryDirectory()
        var options = SQLiteStore.Options()
        options.maxPages = 60
        let store = try SQLiteStore(directory: directory.path, options: options)
        try store.commit([PartitionWrite(partition: 0, entries: [entry(1)])])
        let large = String(repeating: "x", count: 300_000)
        let error = #expect(throws: StoreError.self) {
            try store.commit([PartitionWrite(partition: 0, entries: [entry(2), entry(3, large)])])
        }
        #expect(error?.isFull == true)
        #expect(try store.entries(partition: 0, from: 1, through: 9, maxBytes: 1000) == [entry(1)])
        try store.commit([PartitionWrite(partition: 0, entries: [entry(2)])])
        #expect(try store.loadPartition(0).lastIndex == 2)
    }

    @Test func factsSurvive() throws {
        let directory = try TemporaryDirectory()
        let founded = FoundingRecord(
            clusterID: UUID128(high: 1, low: 2), cluster: "demo", configurationHash: .max, partitions: 32,
            replication: 3, members: [FoundingMember(node: "node-1", store: StoreID(9), address: "127.0.0.1:7001")])
        var facts = NodeFacts(store: StoreID(.max), epoch: 1_764_000_000)
        do {
            let store = try SQLiteStore(directory: directory.path)
            try store.saveFacts(facts)
            #expect(try store.loadFacts() == facts)
            facts.promised = founded
            try store.saveFacts(facts)
            facts.founded = founded
            facts.epoch += 1
            try store.saveFacts(facts)
        }
        #expect(try SQLiteStore(directory: directory.path).loadFacts() == facts)
    }
}
