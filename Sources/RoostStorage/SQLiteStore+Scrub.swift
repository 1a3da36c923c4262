import Foundation
import GRDB
import NIOCore
import RoostModel
import RoostProtocol

extension SQLiteStore {
    package func scrub(_ place: ScrubPlace, limit: Int, maxBytes: Int) throws(StoreError) -> ScrubStep {
        try readSnapshot { db in
            guard let table = CheckedTable(rawValue: place.table) else {
                return try Self.scrubLog(after: place, limit, maxBytes, db)
            }
            return try Self.scrub(table, after: place, limit, db)
        }
    }

    package func size() throws(StoreError) -> UInt64 {
        try read { db in
            let pages = try Int64.fetchOne(db.cachedStatement(sql: "PRAGMA page_count")) ?? 0
            let bytes = try Int64.fetchOne(db.cachedStatement(sql: "PRAGMA page_size")) ?? 0
            return UInt64(max(0, pages)) * UInt64(max(0, bytes))
        }
    }

    /// Within a partition the indices follow one another without a gap, from 1 on.
    private static func scrubLog(
        after place: ScrubPlace, _ limit: Int, _ maxBytes: Int, _ db: Database
    ) throws -> ScrubStep {
        var last: Int64 = 0
        if case .integer(let row)? = place.key.first { last = row }
        var statement = try BoundStatement(
            db, "SELECT \(LogRow.columns) FROM log WHERE position > ? ORDER BY position LIMIT ?")
        statement.reset()
        try statement.bind(last)
        try statement.bind(Int64(limit))
        let rows = try statement.rows()
        var step = ScrubStep()
        var bytes = 0
        while let row = try rows.next(), bytes < maxBytes {
            let position = LogPosition(rowID: try row.integer(0))
            let before = LogPosition(rowID: last)
            let first = position.partition == before.partition ? before.index + 1 : 1
            // Of a wide gap only the first: when they are back, more is found.
            for index in (first..<max(first, position.index)).prefix(limit) {
                step.entries.append(LogDamage(position.partition, index, .missing))
            }
            do throws(StoreError) {
                bytes += try LogRow.read(row, position: position).payload.readableBytes
            } catch {
                guard case .damagedEntry(let damage) = error else { throw error }
                step.entries.append(damage)
            }
            step.rows += 1
            last = position.rowID
        }
        step.next = step.rows == 0 ? ScrubPlace(table: 1) : ScrubPlace(table: 0, key: [.integer(last)])
        return step
    }

    private static func scrub(
        _ table: CheckedTable, after place: ScrubPlace, _ limit: Int, _ db: Database
    ) throws -> ScrubStep {
        let keys = table.columns.prefix(table.keyCount).joined(separator: ", ")
        let marks = Array(repeating: "?", count: table.keyCount).joined(separator: ", ")
        let condition = place.key.isEmpty ? "" : "WHERE (\(keys)) > (\(marks))"
        let arguments = place.key.map { key -> any DatabaseValueConvertible in
            switch key {
            case .integer(let value): value
            case .text(let text): text
            case .blob(let bytes): Data(bytes)
            }
        }
        let statement = try db.cachedStatement(
            sql: "SELECT \(table.selected(as: "t")) FROM \(table.name) t \(condition) ORDER BY \(keys) LIMIT ?")
        let rows = try Row.fetchCursor(statement, arguments: StatementArguments(arguments + [limit]))
        var step = ScrubStep()
        var last: [ScrubPlace.Key] = []
        while let row = try rows.next() {
            step.rows += 1
            last = (0..<table.keyCount).map { key(row[$0] as DatabaseValue) }
            guard !row.isWhole(table) else { continue }
            try note(row, of: table, in: &step, db)
        }
        let following = CheckedTable(rawValue: table.rawValue + 1).map { ScrubPlace(table: $0.rawValue) }
        step.next = step.rows < limit ? following : ScrubPlace(table: table.rawValue, key: last)
        return step
    }

    private static func key(_ value: DatabaseValue) -> ScrubPlace.Key {
        switch value.storage {
        case .string(let text): .text(text)
        case .blob(let data): .blob([UInt8](data))
        case .int64(let integer): .integer(integer)
        case .null, .double: .integer(0)
        }
    }

    private static func note(_ row: Row, of table: CheckedTable, in step: inout ScrubStep, _ db: Database) throws {
        let first = try? row.integer(0)
        switch table {
        case .facts: step.isIdentityDamaged = true
        // The next commit writes it again.
        case .commits: break
        case .hardState:
            if let id = first.flatMap({ UInt16(exactly: $0) }) { step.hardStates.append(PartitionID(id)) }
        default:
            var partition: Int64?
            if table == .conversationKeys {
                partition = try? row.integer(1)
            } else if table.isByConversation, let first {
                let sql = "SELECT partition FROM conversation_keys WHERE key = ?"
                partition = try Int64.fetchOne(db, sql: sql, arguments: [first])
            } else {
                partition = first
            }
            let id = partition.flatMap { UInt16(exactly: $0) }.map { PartitionID($0) }
            let whose = id.map { "partition \($0), " } ?? ""
            step.states.append((id, "\(whose)\(table.name): a row's checksum does not match"))
        }
    }
}
