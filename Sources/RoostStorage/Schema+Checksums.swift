import GRDB

/// The step that gave a checksum to every row.
enum Checksums {
    /// What is derived from the log is left empty: a start replays the log.
    static func add(_ db: Database) throws {
        try db.execute(sql: "ALTER TABLE facts ADD COLUMN joins_only INTEGER NOT NULL DEFAULT 0")
        for table in CheckedTable.allCases where table != .calls && table != .commits {
            if table != .facts && table != .hardState { try db.execute(sql: "DELETE FROM \(table.name)") }
            try db.execute(sql: "ALTER TABLE \(table.name) ADD COLUMN crc INTEGER NOT NULL DEFAULT -1")
        }
        for table in [CheckedTable.facts, .hardState] { try fill(table, db) }
    }

    private static func fill(_ table: CheckedTable, _ db: Database) throws {
        for row in try Row.fetchAll(db, sql: "SELECT \(table.selected(as: "t")) FROM \(table.name) t") {
            var checksum = RowChecksum(table)
            for column in table.columns.indices { checksum.add(row[column] as DatabaseValue) }
            let key: DatabaseValue = row[0]
            try db.execute(
                sql: "UPDATE \(table.name) SET crc = ? WHERE \(table.columns[0]) = ?", arguments: [checksum.value, key])
        }
    }
}
