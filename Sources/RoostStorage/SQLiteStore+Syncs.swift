import GRDB
package import RoostModel
import RoostProtocol

/// Since when entries are synced here, to the second: a row of `syncs` for the first entry of each second in which a
/// partition's log grows. So it costs one narrow row a second and partition at most, and none where nothing is sent.
struct SyncTimes: Sendable {
    /// What one row covers, microseconds.
    private static let grain: Int64 = 1_000_000

    /// Microseconds since 1970.
    var now: Int64 = 0
    /// When the newest row of each partition was begun in this life of the process.
    private var begun: [PartitionID: Int64] = [:]

    mutating func write(_ write: PartitionWrite, _ db: Database) throws {
        let partition = write.partition
        if let first = write.truncateFrom {
            var delete = try BoundStatement(db, "DELETE FROM syncs WHERE position BETWEEN ? AND ?")
            delete.reset()
            try delete.bind(LogPosition(partition, first).rowID)
            try delete.bind(LogPosition(partition, .max).rowID)
            try delete.run()
            begun[partition] = nil
        }
        guard let first = write.entries.first else { return }
        // A clock that was set back begins a row, too.
        if let last = begun[partition], abs(now - last) < Self.grain { return }
        var insert = try BoundStatement(db, "INSERT OR REPLACE INTO syncs (position, at) VALUES (?, ?)")
        insert.reset()
        try insert.bind(LogPosition(partition, first.index).rowID)
        try insert.bind(now)
        try insert.run()
        begun[partition] = now
    }
}

extension SQLiteStore {
    package func syncedAt(partition: PartitionID, index: UInt64) throws(StoreError) -> Int64? {
        try read { db in
            var statement = try BoundStatement(
                db, "SELECT at FROM syncs WHERE position BETWEEN ? AND ? ORDER BY position DESC LIMIT 1")
            statement.reset()
            try statement.bind(LogPosition(partition, 1).rowID)
            try statement.bind(LogPosition(partition, index).rowID)
            return try statement.firstInteger()
        }
    }
}
