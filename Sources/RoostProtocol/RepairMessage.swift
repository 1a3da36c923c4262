public import RoostModel

/// How replicas mend one another's stores, and what they say of their own.
public enum RepairMessage: Sendable, Equatable {
    /// Entries of the log whose rows are damaged at the sender. Any replica that knows them to be committed answers.
    case ask(partition: PartitionID, indices: [UInt64])
    /// Those that were asked for and are whole here; ascending.
    case rows(partition: PartitionID, rows: [RepairRow])
    /// What the sender should not lead: nothing at all while its disk is full, else partitions of which it has not all.
    /// Said when a link comes up and at each change.
    case unfit(isFull: Bool, partitions: [PartitionID])
    /// From the leader of `term`: that store confirmed entries up to `confirmed` in this term and has less. It must not
    /// go on.
    case regressed(partition: PartitionID, term: UInt64, store: StoreID, confirmed: UInt64)
}

/// An entry with a CRC-32C over its partition, index, term, kind and payload.
public struct RepairRow: Sendable, Equatable {
    public var entry: RaftEntry
    public var checksum: UInt32
    public init(entry: RaftEntry, checksum: UInt32) {
        self.entry = entry
        self.checksum = checksum
    }
}
