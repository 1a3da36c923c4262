import Foundation
import GRDB
package import RoostModel

/// For checks: of replicas against each other, of tables against the log, of how the database was opened.
extension SQLiteStore {
    /// The state tables of a partition as text, a line a row, sorted within a table, conversations by id: equal on
    /// all replicas that have applied the same entries, and after a replay of the log.
    package func stateDump(_ partition: PartitionID) throws(StoreError) -> [String] {
        try readSnapshot { db in
            var lines: [String] = []
            for table in Schema.partitionedStateTables {
                let sql = "SELECT * FROM \(table) WHERE partition = ?"
                lines += try Self.lines(of: table, sql, partition, db)
            }
            for table in Schema.conversationTables {
                let sql = """
                    SELECT k.id, t.* FROM \(table) t JOIN conversation_keys k ON k.key = t.conversation
                    WHERE k.partition = ?
                    """
                lines += try Self.lines(of: table, sql, partition, db)
            }
            return lines
        }
    }

    /// What a setting is on the connection that writes.
    package func writerSetting(_ pragma: String) throws(StoreError) -> String? {
        try mappingErrors(directory: directory) {
            try writer.inDatabase { try String.fetchOne($0, sql: "PRAGMA \(pragma)") }
        }
    }

    /// SQLite's own check of the file's structure; empty where all is well.
    package func structuralDamage() throws(StoreError) -> [String] {
        try read { db in try String.fetchAll(db, sql: "PRAGMA quick_check").filter { $0 != "ok" } }
    }

    /// For faults on purpose: one bit of the row's body, or of its checksum where it has none. False without a row.
    package func flipBit(partition: PartitionID, index: UInt64) throws(StoreError) -> Bool {
        try mappingErrors(directory: directory, writer) {
            try writer.inTransaction { db in
                let position = LogPosition(partition, index).rowID
                let body = try Data.fetchOne(db, sql: "SELECT body FROM log WHERE position = ?", arguments: [position])
                if var body, !body.isEmpty {
                    body[body.startIndex + body.count / 2] ^= 1
                    try db.execute(sql: "UPDATE log SET body = ? WHERE position = ?", arguments: [body, position])
                } else {
                    try db.execute(sql: "UPDATE log SET crc = crc + 1 WHERE position = ?", arguments: [position])
                }
                return .commit
            }
            return writer.inDatabase { $0.changesCount > 0 }
        }
    }

    /// For faults on purpose: a row of a state table no longer matches its checksum. False where there is none.
    package func damageState(partition: PartitionID, table: String) throws(StoreError) -> Bool {
        try mappingErrors(directory: directory, writer) {
            try writer.inDatabase { db in
                let column = Schema.conversationTables.contains(table) ? "conversation" : "partition"
                let keys = "SELECT key FROM conversation_keys WHERE partition = ?"
                let wanted = column == "partition" ? "?" : keys
                try db.execute(
                    sql: """
                        UPDATE \(table) SET crc = crc + 1
                        WHERE \(column) = (SELECT min(\(column)) FROM \(table) WHERE \(column) IN (\(wanted)))
                        """, arguments: [Int64(partition.value)])
                return db.changesCount > 0
            }
        }
    }

    /// For faults on purpose: of a table that stands nowhere else, `facts` or `hard_state`.
    package func damageTruth(table: String) throws(StoreError) -> Bool {
        try mappingErrors(directory: directory, writer) {
            try writer.inDatabase { db in
                try db.execute(sql: "UPDATE \(table) SET crc = crc + 1")
                return db.changesCount > 0
            }
        }
    }

    /// Sorted as text; without the integer keys, which differ between databases.
    private static func lines(
        of table: String, _ sql: String, _ partition: PartitionID, _ db: Database
    ) throws -> [String] {
        let rows = try Row.fetchAll(db, sql: sql, arguments: [Int64(partition.value)])
        return rows.map { row in
            // The checksum covers that key.
            let columns = row.filter { $0.0 != "conversation" && $0.0 != "crc" }.map { "\($0.0)=\(text($0.1))" }
            return "\(table): " + columns.joined(separator: " ")
        }.sorted()
    }

    private static func text(_ value: DatabaseValue) -> String {
        guard case .blob(let bytes) = value.storage else { return value.description }
        return bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
