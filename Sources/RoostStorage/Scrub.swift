package import RoostModel

/// How far a scrub of the database is: after this row. Tables are read one after the other, the log first.
package struct ScrubPlace: Sendable, Equatable {
    enum Key: Sendable, Equatable {
        case integer(Int64)
        case text(String)
        case blob([UInt8])
    }

    /// 0 is the log, others as `CheckedTable`.
    var table: UInt64
    /// Of the row before; empty at the table's begin.
    var key: [Key]

    init(table: UInt64, key: [Key] = []) {
        self.table = table
        self.key = key
    }

    /// At the begin of the partition's log.
    package init(logOf partition: PartitionID) {
        self.init(table: 0, key: [.integer(LogPosition(partition, 0).rowID)])
    }

    package static let start = ScrubPlace(table: 0)

    /// In the log, and at or behind the begin of the partition's.
    package func hasReached(_ partition: PartitionID) -> Bool {
        guard table == 0 else { return true }
        guard case .integer(let row)? = key.first else { return false }
        return row >= LogPosition(partition, 0).rowID
    }
}

/// What a step of a scrub found.
package struct ScrubStep: Sendable {
    /// Where the next one begins; nil at the end of the last table.
    package var next: ScrubPlace?
    package var rows = 0
    /// Rows of the log.
    package var entries: [LogDamage] = []
    /// Rows derived from a log: of which partition, nil where that is not known, and which.
    package var states: [(partition: PartitionID?, text: String)] = []
    /// Partitions whose term and vote are damaged.
    package var hardStates: [PartitionID] = []
    /// The node's facts are damaged.
    package var isIdentityDamaged = false

    package init() {}

    package var isClean: Bool { entries.isEmpty && states.isEmpty && hardStates.isEmpty && !isIdentityDamaged }
}
