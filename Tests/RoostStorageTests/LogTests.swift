import NIOCore
import RoostModel
import RoostProtocol
import RoostStorage
import Testing

@Suite struct LogTests {
    let store: SQLiteStore
    init() throws { store = try SQLiteStore(inMemory: .init()) }

    @Test func entriesComeBackAsWritten() throws {
        let entries = [
            RaftEntry(index: 1, term: 1, kind: .noop, payload: ByteBuffer()),
            RaftEntry(index: 2, term: 1, kind: .command, payload: ByteBuffer(bytes: [0, 1, 2, 255])),
            RaftEntry(index: 3, term: 4, kind: .configuration, payload: ByteBuffer(string: "peers")),
        ]
        try store.commit([PartitionWrite(partition: 3, entries: entries)])
        try store.commit([PartitionWrite(partition: 4, entries: [entry(1, "other")])])
        #expect(try store.entries(partition: 3, from: 1, through: .max, maxBytes: .max) == entries)
        #expect(try store.entries(partition: 3, from: 2, through: 2, maxBytes: .max) == [entries[1]])
        #expect(try store.entries(partition: 3, from: 4, through: 9, maxBytes: .max).isEmpty)
        #expect(try store.entries(partition: 4, from: 0, through: .max, maxBytes: .max) == [entry(1, "other")])
        #expect(try store.entries(partition: 2, from: 1, through: .max, maxBytes: .max).isEmpty)
    }

    @Test func bytesAreBoundedButOneEntryComes() throws {
        try store.commit([PartitionWrite(partition: 0, entries: (1...5).map { entry($0, "1234567890") })])
        #expect(try store.entries(partition: 0, from: 2, through: 5, maxBytes: 25).map(\.index) == [2, 3])
        #expect(try store.entries(partition: 0, from: 2, through: 5, maxBytes: 20).map(\.index) == [2, 3])
        #expect(try store.entries(partition: 0, from: 2, through: 5, maxBytes: 1).map(\.index) == [2])
    }

    @Test func truncationComesBeforeEntries() throws {
        try store.commit([
            PartitionWrite(partition: 0, entries: (1...5).map { entry($0) }),
            PartitionWrite(partition: 1, entries: (1...5).map { entry($0) }),
        ])
        try store.commit([
            PartitionWrite(partition: 0, truncateFrom: 3, entries: [entry(3, term: 2, "new"), entry(4, term: 2)]),
            PartitionWrite(partition: 0, truncateFrom: 4),
        ])
        let left = try store.entries(partition: 0, from: 1, through: .max, maxBytes: .max)
        #expect(left == [entry(1), entry(2), entry(3, term: 2, "new")])
        #expect(try store.loadPartition(1).lastIndex == 5)
    }

    @Test func anIndexIsWrittenOnce() throws {
        try store.commit([PartitionWrite(partition: 0, entries: [entry(1)])])
        #expect(throws: StoreError.self) {
            try store.commit([
                PartitionWrite(partition: 1, entries: [entry(1)]), PartitionWrite(partition: 0, entries: [entry(1)]),
            ])
        }
        #expect(try store.loadPartition(1).lastIndex == 0)
        // What made a commit fail is not known to be harmless: there is no other.
        #expect(throws: StoreError.self) { try store.commit([PartitionWrite(partition: 1, entries: [entry(1)])]) }
    }

    @Test func hardStateSurvives() throws {
        let vote = RaftPeer(node: "node-2", store: StoreID(0xffff_ffff_ffff_fff0))
        try store.commit([
            PartitionWrite(partition: 0, hardState: RaftHardState(term: 1, vote: vote)),
            PartitionWrite(partition: 0, hardState: RaftHardState(term: 7, vote: nil)),
            PartitionWrite(partition: 1, hardState: RaftHardState(term: 2, vote: vote)),
        ])
        #expect(try store.loadPartition(0).hardState == RaftHardState(term: 7, vote: nil))
        #expect(try store.loadPartition(1).hardState == RaftHardState(term: 2, vote: vote))
        try store.commit([PartitionWrite(partition: 1, entries: [entry(1)])])
        #expect(try store.loadPartition(1).hardState == RaftHardState(term: 2, vote: vote))
    }

    @Test(
        arguments: [[1], [1, 1, 1], [1, 2, 3], [1, 1, 5, 5, 5, 9], [2, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4]] as [[UInt64]])
    func termRunsAreFound(terms: [UInt64]) throws {
        let entries = terms.enumerated().map { entry(UInt64($0.offset + 1), term: $0.element) }
        try store.commit([PartitionWrite(partition: 9, entries: entries)])
        var expected: [UInt64] = []
        for (position, term) in terms.enumerated() where position == 0 || terms[position - 1] != term {
            expected += [UInt64(position + 1), term]
        }
        let restored = try store.loadPartition(9)
        #expect(restored.termRuns.flatMap { [$0.firstIndex, $0.term] } == expected)
        #expect(restored.lastIndex == UInt64(terms.count))
    }

    @Test func configurationsAreFoundAndTruncated() throws {
        func configuration(_ index: UInt64) -> RaftEntry {
            RaftEntry(index: index, term: 1, kind: .configuration, payload: ByteBuffer(string: "c\(index)"))
        }
        try store.commit([
            PartitionWrite(partition: 0, entries: [configuration(1), entry(2), configuration(3), configuration(4)]),
            PartitionWrite(partition: 1, entries: [configuration(1)]),
        ])
        #expect(try store.loadPartition(0).configurations == [configuration(1), configuration(3), configuration(4)])
        try store.commit([PartitionWrite(partition: 0, truncateFrom: 4)])
        #expect(try store.loadPartition(0).configurations == [configuration(1), configuration(3)])
        #expect(try store.loadPartition(1).configurations == [configuration(1)])
    }

    @Test func partitionsAtTheBoundsKeepApart() throws {
        let highest = PartitionID(.max)
        try store.commit([
            PartitionWrite(partition: 0, entries: [entry(1, "first")]),
            PartitionWrite(partition: highest, entries: [entry(1, "last")]),
            PartitionWrite(partition: 32767, entries: [entry(1, "middle")]),
        ])
        #expect(try store.entries(partition: highest, from: 1, through: .max, maxBytes: 99) == [entry(1, "last")])
        #expect(try store.entries(partition: 32767, from: 1, through: .max, maxBytes: 99) == [entry(1, "middle")])
        #expect(try store.entries(partition: 0, from: 1, through: .max, maxBytes: 99) == [entry(1, "first")])
    }
}
