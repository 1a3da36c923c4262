import Foundation
import GRDB

extension SQLiteStore {
    /// Turns over one bit of a log row's body, as a failing disk would: for simulations and tests. Which row and bit is
    /// chosen by a number; returns where it was, nil where there is no row with a body.
    package func flipBit(choosing number: UInt64) throws(StoreError) -> String? {
        try mappingErrors(directory: directory) {
            try writer.write { db -> String? in
                let count = try Int64.fetchOne(db, sql: "SELECT count(*) FROM log WHERE body IS NOT NULL") ?? 0
                guard count > 0 else { return nil }
                let row = try Row.fetchOne(
                    db, sql: "SELECT position, body FROM log WHERE body IS NOT NULL ORDER BY position LIMIT 1 OFFSET ?",
                    arguments: [Int64(number % UInt64(count))])
                guard let position: Int64 = row?["position"], var body: Data = row?["body"], !body.isEmpty else {
                    return nil
                }
                let bit = Int(number / UInt64(count) % UInt64(body.count * 8))
                body[body.startIndex + bit / 8] ^= 1 << UInt8(bit % 8)
                try db.execute(sql: "UPDATE log SET body = ? WHERE position = ?", arguments: [body, position])
                let place = LogPosition(rowID: position)
                return "partition \(place.partition), index \(place.index), bit \(bit)"
            }
        }
    }
}
