import GRDB
import RoostModel
import RoostProtocol

/// Entries that are known to be committed take the place of damaged rows.
///
/// While a group runs, each has the term that the group knows for its index, and only its row changes. Before it runs,
/// the damaged row may have been of a history that was given up: then so are the neighbours that cannot stand beside a
/// committed entry, since terms never go down along a log. Raft would remove them at the first append; so they are
/// removed here. What follows with the same or a later term is left to Raft.
enum LogRepair {
    static func write(_ entry: RaftEntry, _ partition: PartitionID, _ db: Database) throws {
        if let before = try term(entry.index - 1, partition, db), before > entry.term {
            return try remove(from: try firstAbove(entry.term, entry.index - 1, partition, db), partition, db)
        }
        // A whole row of another term is of a history that was given up, and so is all that stands behind it.
        if let own = try term(entry.index, partition, db), own != entry.term {
            try remove(from: entry.index, partition, db)
        }
        var statement = try BoundStatement(db, LogRow.replace)
        try LogRow.write(entry, partition: partition, with: &statement)
        if let after = try term(entry.index + 1, partition, db), after < entry.term {
            try remove(from: entry.index + 1, partition, db)
        }
        try raiseTerm(to: entry.term, partition, db)
    }

    static func remove(from index: UInt64, _ partition: PartitionID, _ db: Database) throws {
        var delete = try BoundStatement(db, "DELETE FROM log WHERE position BETWEEN ? AND ?")
        delete.reset()
        try delete.bind(LogPosition(partition, index).rowID)
        try delete.bind(LogPosition(partition, .max).rowID)
        try delete.run()
    }

    /// Nil where there is no whole row.
    private static func term(_ index: UInt64, _ partition: PartitionID, _ db: Database) throws -> UInt64? {
        let position = LogPosition(partition, index)
        var statement = try BoundStatement(db, "SELECT \(LogRow.columns) FROM log WHERE position = ?")
        statement.reset()
        try statement.bind(position.rowID)
        let rows = try statement.rows()
        guard let row = try rows.next() else { return nil }
        return try? LogRow.read(row, position: position).term
    }

    /// The begin of the rows up to `index` with a term above `term`: those of one history, few as they are uncommitted.
    private static func firstAbove(
        _ term: UInt64, _ index: UInt64, _ partition: PartitionID, _ db: Database
    ) throws -> UInt64 {
        var first = index
        while first > 1 {
            // A damaged one stays until it is known what stood there: it may have been committed.
            guard let before = try self.term(first - 1, partition, db), before > term else { break }
            first -= 1
        }
        return first
    }

    /// No peer has an entry of a term that it has not heard of. It has voted for nobody in that term.
    private static func raiseTerm(to term: UInt64, _ partition: PartitionID, _ db: Database) throws {
        let former = try SQLiteStore.hardState(of: partition, db)
        guard former.term < term else { return }
        try SQLiteStore.writeHardState(RaftHardState(term: term), partition, db)
    }
}
