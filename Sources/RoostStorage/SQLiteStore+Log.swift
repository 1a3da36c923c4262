import GRDB
import NIOCore
import RoostConsensus
package import RoostModel
package import RoostProtocol

extension SQLiteStore {
    /// Ends before a row that is damaged or missing where later ones stand; throws `.damagedEntry` if it is the first.
    package func entries(
        partition: PartitionID, from: UInt64, through: UInt64, maxBytes: Int
    ) throws(StoreError) -> [RaftEntry] {
        let from = max(1, from)
        guard from <= through else { return [] }
        return try read { db in
            var statement = try BoundStatement(
                db, "SELECT \(LogRow.columns) FROM log WHERE position BETWEEN ? AND ? ORDER BY position")
            statement.reset()
            try statement.bind(LogPosition(partition, from).rowID)
            try statement.bind(LogPosition(partition, through).rowID)
            let rows = try statement.rows()
            var entries: [RaftEntry] = []
            var bytes = 0
            while let row = try rows.next() {
                let expected = LogPosition(partition, from + UInt64(entries.count))
                let entry: RaftEntry
                do throws(StoreError) {
                    guard try row.integer(0) == expected.rowID else { throw LogRow.missing(expected) }
                    entry = try LogRow.read(row, position: expected)
                } catch {
                    if entries.isEmpty { throw error }
                    break
                }
                bytes += entry.payload.readableBytes
                if bytes > maxBytes && !entries.isEmpty { break }
                entries.append(entry)
            }
            return entries
        }
    }
}
