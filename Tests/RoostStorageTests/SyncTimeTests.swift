import RoostModel
import RoostProtocol
import RoostStorage
import Synchronization
import Testing

/// Since when an entry is on disk here.
@Suite struct SyncTimeTests {
    private final class Wall: Sendable {
        let now = Mutex<Int64>(1_000_000_000)
        func advance(_ microseconds: Int64) { now.withLock { $0 += microseconds } }
    }

    private let wall = Wall()

    private func options() -> SQLiteStore.Options {
        var options = SQLiteStore.Options()
        options.wall = { [wall] in wall.now.withLock { $0 } }
        return options
    }

    private func entries(_ range: ClosedRange<UInt64>) -> PartitionWrite {
        PartitionWrite(partition: 3, entries: range.map { entry($0) })
    }

    @Test func eachEntryHasItsSecond() throws {
        let store = try SQLiteStore(inMemory: options())
        #expect(try store.syncedAt(partition: 3, index: 1) == nil)
        var truth: [UInt64: Int64] = [:]
        var next: UInt64 = 1
        for step in [0, 10_000, 400_000, 700_000, 5, 3_000_000, 999_999, 1, 20_000_000] as [Int64] {
            wall.advance(step)
            try store.commit([entries(next...next + 2), PartitionWrite(partition: 4, entries: [entry(next)])])
            for index in next...next + 2 { truth[index] = wall.now.withLock { $0 } }
            next += 3
            // Rows of state alone are no entries.
            try store.commit([PartitionWrite(partition: 3, appliedIndex: next - 1)])
            if next > 10 { try store.commit([PartitionWrite(partition: 4, truncateFrom: next - 2)]) }
            try store.commit([PartitionWrite(partition: 4, entries: [entry(next - 2), entry(next - 1)])])
        }
        for (index, time) in truth {
            let told = try #require(try store.syncedAt(partition: 3, index: index))
            #expect(told <= time && time < told + 1_000_000, "index \(index)")
        }
    }

    @Test func whatReplacesATruncatedEntryHasATimeOfItsOwn() throws {
        let store = try SQLiteStore(inMemory: options())
        try store.commit([entries(1...4)])
        wall.advance(100_000_000)
        try store.commit([entries(5...6)])
        wall.advance(10_000_000)
        try store.commit([PartitionWrite(partition: 3, truncateFrom: 5)])
        try store.commit([PartitionWrite(partition: 3, entries: [entry(5, term: 2)])])
        #expect(try store.syncedAt(partition: 3, index: 4) == 1_000_000_000)
        #expect(try store.syncedAt(partition: 3, index: 5) == 1_110_000_000)
    }

    @Test func aRestartAndAClockThatIsSetBackBeginAnew() throws {
        let directory = try TemporaryDirectory()
        do {
            let store = try SQLiteStore(directory: directory.path, options: options())
            try store.commit([entries(1...2)])
            try store.close()
        }
        wall.advance(300_000)
        let store = try SQLiteStore(directory: directory.path, options: options())
        try store.commit([entries(3...3)])
        wall.advance(-60_000_000)
        try store.commit([entries(4...4)])
        #expect(try store.syncedAt(partition: 3, index: 2) == 1_000_000_000)
        #expect(try store.syncedAt(partition: 3, index: 3) == 1_000_300_000)
        #expect(try store.syncedAt(partition: 3, index: 4) == 940_300_000)
    }
}
