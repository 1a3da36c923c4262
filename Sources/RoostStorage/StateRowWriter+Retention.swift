import GRDB
import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol

/// What the retention removes. Part of the transaction that records the entry which said so, so that log and tables
/// agree after a crash at any moment.
extension StateRowWriter {
    /// Pages of 4 KiB given back to the file system in one transaction.
    static let pagesACommit = 1_000

    /// The entries of these messages are written again without type and content, under a checksum of what is left. Rows
    /// that are damaged or missing are left to be found by whoever reads them.
    mutating func strip(_ range: SeqRange, of conversation: ConversationID, _ partition: PartitionID) throws {
        let key = try known(conversation, partition).key
        try strip(try entries(range, key, partition).map { ($0.entry, $0.contentHash) }, partition)
    }

    /// The same of one entry, a send that made no message.
    mutating func strip(_ index: UInt64, hash: UInt64, _ partition: PartitionID) throws {
        var statement = try BoundStatement(db, "SELECT \(LogRow.columns) FROM log WHERE position = ?")
        statement.reset()
        let position = LogPosition(partition, index)
        try statement.bind(position.rowID)
        let rows = try statement.rows()
        var found: [RaftEntry] = []
        while let row = try rows.next() {
            if let entry = try? LogRow.read(row, position: position) { found.append(entry) }
        }
        try strip(found.map { ($0, hash) }, partition)
    }

    private mutating func strip(_ items: [(entry: RaftEntry, hash: UInt64)], _ partition: PartitionID) throws {
        hasRemoved = true
        var stripped: [RaftEntry] = []
        // Deleted first, and then written again: pages are merged where rows are deleted, never where they shrink.
        var delete = try BoundStatement(db, "DELETE FROM log WHERE position = ?")
        for (entry, hash) in items {
            var payload = entry.payload
            guard var stamped = try? StampedCommand(decoding: &payload),
                let command = stamped.command.stripped(hash: hash)
            else { continue }
            stamped.command = command
            var entry = entry
            entry.payload = ByteBuffer()
            stamped.encode(into: &entry.payload)
            stripped.append(entry)
            delete.reset()
            try delete.bind(LogPosition(partition, entry.index).rowID)
            try delete.run()
        }
        var insert = try BoundStatement(db, LogRow.insert)
        for entry in stripped { try LogRow.write(entry, partition: partition, with: &insert) }
    }

    mutating func forgetIDs(_ range: SeqRange, of conversation: ConversationID, _ partition: PartitionID) throws {
        let key = try known(conversation, partition).key
        hasRemoved = true
        var forget = try BoundStatement(
            db, "DELETE FROM message_ids WHERE conversation = ? AND hash = ? AND seq = ?")
        for item in try entries(range, key, partition) {
            var payload = item.entry.payload
            guard let send = (try? StampedCommand(decoding: &payload))?.command.sending else { continue }
            forget.reset()
            try forget.bind(key)
            try forget.bind(bits: StableHash.of(send.id.uuid))
            try forget.bind(bits: item.seq)
            try forget.run()
        }
        var delete = try BoundStatement(db, "DELETE FROM messages WHERE conversation = ? AND seq BETWEEN ? AND ?")
        delete.reset()
        try delete.bind(key)
        try delete.bind(bits: range.after + 1)
        try delete.bind(bits: range.through ?? range.after)
        try delete.run()
    }

    private func entries(
        _ range: SeqRange, _ key: Int64, _ partition: PartitionID
    ) throws -> [(seq: UInt64, contentHash: UInt64, entry: RaftEntry)] {
        var statement = try BoundStatement(
            db,
            """
            SELECT m.seq, m.idx, m.content_hash, l.position, l.term, l.kind, l.crc, l.body
            FROM messages m CROSS JOIN log l ON l.position = ?1 + m.idx
            WHERE m.conversation = ?2 AND m.seq BETWEEN ?3 AND ?4 ORDER BY m.seq
            """)
        statement.reset()
        try statement.bind(LogPosition(partition, 0).rowID)
        try statement.bind(key)
        try statement.bind(bits: range.after + 1)
        try statement.bind(bits: range.through ?? range.after)
        let rows = try statement.rows()
        var found: [(seq: UInt64, contentHash: UInt64, entry: RaftEntry)] = []
        while let row = try rows.next() {
            let position = LogPosition(partition, try row.bits(1))
            guard let entry = try? LogRow.read(row, position: position, first: 3) else { continue }
            found.append((try row.bits(0), try row.bits(2), entry))
        }
        return found
    }
}
