import GRDB
import NIOCore
package import RoostModel
package import RoostProtocol

/// What a replica's answer with an entry carries, and its row in the log.
package enum EntryChecksum {
    package static func of(_ entry: RaftEntry, partition: PartitionID) -> UInt32 {
        LogRow.checksum(
            LogPosition(partition, entry.index).rowID, entry.term, entry.kind.rawValue, entry.payload)
    }
}

/// A row of `log`, which carries a CRC-32C of all it says: position, term, kind and body.
enum LogRow {
    static let columns = "position, term, kind, crc, body"
    static let insert = "INSERT INTO log (position, term, kind, crc, body) VALUES (?, ?, ?, ?, ?)"
    static let replace = "INSERT OR REPLACE INTO log (position, term, kind, crc, body) VALUES (?, ?, ?, ?, ?)"

    static func write(_ entry: RaftEntry, partition: PartitionID, with statement: inout BoundStatement) throws {
        guard entry.index > 0 && entry.index <= LogPosition.maxIndex else {
            throw StoreError.failed("partition \(partition): no row for index \(entry.index)")
        }
        let position = LogPosition(partition, entry.index).rowID
        statement.reset()
        try statement.bind(position)
        try statement.bind(bits: entry.term)
        try statement.bind(Int64(entry.kind.rawValue))
        try statement.bind(Int64(checksum(position, entry.term, entry.kind.rawValue, entry.payload)))
        try statement.bind(entry.payload)
        try statement.run()
    }

    /// Reads `columns` beginning with the column `first`. Throws `.damagedEntry`, naming partition and index.
    static func read(_ row: Row, position: LogPosition, first: Int = 0) throws(StoreError) -> RaftEntry {
        do {
            let term = try row.bits(first + 1)
            let body = try row.buffer(first + 4)
            if let tag = UInt8(exactly: try row.integer(first + 2)), let kind = RaftEntry.Kind(rawValue: tag),
                try row.integer(first) == position.rowID,
                try row.integer(first + 3) == Int64(checksum(position.rowID, term, tag, body))
            {
                return RaftEntry(index: position.index, term: term, kind: kind, payload: body)
            }
        } catch {
            // A column of another type is damage too.
        }
        throw .damagedEntry(LogDamage(position.partition, position.index, .checksum))
    }

    static func missing(_ position: LogPosition) -> StoreError {
        .damagedEntry(LogDamage(position.partition, position.index, .missing))
    }

    fileprivate static func checksum(_ position: Int64, _ term: UInt64, _ kind: UInt8, _ body: ByteBuffer) -> UInt32 {
        var crc = CRC32C()
        crc.add(UInt64(bitPattern: position))
        crc.add(term)
        crc.add(UInt64(kind))
        body.withUnsafeReadableBytes { crc.add($0) }
        return crc.value
    }
}
