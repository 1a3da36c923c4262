import RoostModel

/// The key of a log row: partition and index in one integer, so that a row is found by rowid. Measured against a key of
/// two columns WITHOUT ROWID: a fifth less time per insert, and bodies above 1 kB need half the space.
struct LogPosition: Equatable {
    /// An index has 47 bits: a million entries a second for four years.
    static let indexBits: Int64 = 47
    static let maxIndex: UInt64 = 1 << 47 - 1

    let rowID: Int64

    /// An index above the bound is taken as the bound: nothing stands there.
    init(_ partition: PartitionID, _ index: UInt64) {
        rowID = Int64(partition.value) << Self.indexBits | Int64(min(index, Self.maxIndex))
    }

    init(rowID: Int64) { self.rowID = rowID }

    var partition: PartitionID { PartitionID(UInt16(truncatingIfNeeded: rowID >> Self.indexBits)) }
    var index: UInt64 { UInt64(bitPattern: rowID) & Self.maxIndex }
}
