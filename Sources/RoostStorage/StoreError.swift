package import RoostModel

package enum StoreError: Error, Sendable, Equatable {
    /// No space, or read-only: nothing was written; may pass.
    case full(String)
    /// A row of the log is damaged or missing. Other replicas have it.
    case damagedEntry(LogDamage)
    /// A row that is derived from the log of the partition is damaged: replaying the log makes all of them anew. Nil
    /// where the row does not tell whose it is.
    case damagedState(PartitionID?, String)
    /// The file is no database any more, or a row is damaged that stands nowhere else: no replica can mend it.
    case corrupt(String)
    /// Any other failure of a write or sync: what is on disk is unknown.
    case failed(String)

    package var isFull: Bool { if case .full = self { true } else { false } }
}

/// Where a log is damaged.
package struct LogDamage: Sendable, Equatable, Hashable, CustomStringConvertible {
    package enum Kind: Sendable { case checksum, missing, unreadable }
    package var partition: PartitionID
    package var index: UInt64
    package var kind: Kind
    package init(_ partition: PartitionID, _ index: UInt64, _ kind: Kind) {
        self.partition = partition
        self.index = index
        self.kind = kind
    }

    package var description: String {
        let what =
            switch kind {
            case .checksum: "the row's checksum does not match"
            case .missing: "the row is missing"
            case .unreadable: "the row is not what it should be"
            }
        return "partition \(partition), index \(index): \(what)"
    }
}
