import Foundation
import GRDB
package import RoostModel

extension SQLiteStore {
    /// Turns over one bit of a log row's body, as a failing disk would: for simulations and tests. Which row of the
    /// partition, up to an index, and which bit is chosen by a number; returns the index, nil where there is no row with
    /// a body.
    package func flipBit(
        partition: PartitionID, after first: UInt64, through last: UInt64, choosing number: UInt64
    ) throws(StoreError) -> UInt64? {
        try mappingErrors(directory: directory) {
            try writer.write { db -> UInt64? in
                let range = [LogPosition(partition, first).rowID + 1, LogPosition(partition, last).rowID]
                let rows = "FROM log WHERE body IS NOT NULL AND length(body) > 0 AND position BETWEEN ? AND ?"
                let count =
                    try Int64.fetchOne(
                        db, sql: "SELECT count(*) \(rows)", arguments: StatementArguments(range)) ?? 0
                guard count > 0 else { return nil }
                let row = try Row.fetchOne(
                    db, sql: "SELECT position, body \(rows) ORDER BY position LIMIT 1 OFFSET ?",
                    arguments: StatementArguments(range + [Int64(number % UInt64(count))]))
                guard let position: Int64 = row?["position"], var body: Data = row?["body"], !body.isEmpty else {
                    return nil
                }
                let bit = Int(number / UInt64(count) % UInt64(body.count * 8))
                body[body.startIndex + bit / 8] ^= 1 << UInt8(bit % 8)
                try db.execute(sql: "UPDATE log SET body = ? WHERE position = ?", arguments: [body, position])
                return LogPosition(rowID: position).index
            }
        }
    }
}
