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

    /// Sorted as text; without the integer keys, which differ between databases.
    private static func lines(
        of table: String, _ sql: String, _ partition: PartitionID, _ db: Database
    ) throws -> [String] {
        let rows = try Row.fetchAll(db, sql: sql, arguments: [Int64(partition.value)])
        return rows.map { row in
            let columns = row.filter { $0.0 != "conversation" }.map { "\($0.0)=\(text($0.1))" }
            return "\(table): " + columns.joined(separator: " ")
        }.sorted()
    }

    private static func text(_ value: DatabaseValue) -> String {
        guard case .blob(let bytes) = value.storage else { return value.description }
        return bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
