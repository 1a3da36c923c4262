import GRDB
import NIOCore
package import RoostModel
import RoostProtocol

extension SQLiteStore {
    package func messages(
        partition: PartitionID, conversation: ConversationID, after: UInt64, before: UInt64, descending: Bool,
        skip: Int, limit: Int, maxBytes: Int
    ) throws(StoreError) -> [StoredMessage] {
        guard limit > 0 && after < before else { return [] }
        return try readSnapshot { db in
            let id = ConversationKey(partition: partition, id: conversation)
            guard let key = try keys.key(id, db), let stored = try SeqSearch(db, partition, key).bounds() else {
                return []
            }
            // Sequence numbers have no gaps, so that skipping is arithmetic and not a walk.
            var low = max(after &+ 1, stored.lowerBound)
            var high = min(before - 1, stored.upperBound)
            let skip = UInt64(max(0, skip))
            guard low <= high && skip <= high - low else { return [] }
            if descending { high -= skip } else { low += skip }
            var statement = try BoundStatement(db, descending ? Self.selectDescending : Self.selectAscending)
            statement.reset()
            try statement.bind(LogPosition(partition, 0).rowID)
            try statement.bind(key)
            try statement.bind(bits: low)
            try statement.bind(bits: high)
            try statement.bind(Int64(limit))
            let rows = try statement.rows()
            var messages: [StoredMessage] = []
            var bytes = 0
            while let row = try rows.next() {
                // Removed since the caller looked where the floor is.
                guard let message = try Self.message(row, partition, conversation) else { continue }
                bytes += message.message.content.readableBytes
                if bytes > maxBytes && !messages.isEmpty { break }
                messages.append(message)
            }
            return messages
        }
    }

    package func lastSeq(
        partition: PartitionID, conversation: ConversationID, sentBefore stamp: Int64
    ) throws(StoreError) -> UInt64 {
        try readSnapshot { db in
            guard let key = try keys.key(ConversationKey(partition: partition, id: conversation), db) else { return 0 }
            return try SeqSearch(db, partition, key).last { $0.sentAt < stamp }
        }
    }

    package func lastSeq(
        partition: PartitionID, conversation: ConversationID, through index: UInt64
    ) throws(StoreError) -> UInt64 {
        try readSnapshot { db in
            guard let key = try keys.key(ConversationKey(partition: partition, id: conversation), db) else { return 0 }
            return try SeqSearch(db, partition, key).last { $0.index <= index }
        }
    }

    private static let selectAscending = select("ASC")
    private static let selectDescending = select("DESC")

    private static func select(_ direction: String) -> String {
        """
        SELECT \(CheckedTable.messages.selected(as: "m")), l.position, l.term, l.kind, l.crc, l.body
        FROM messages m LEFT JOIN log l ON l.position = ?1 + m.idx
        WHERE m.conversation = ?2 AND m.seq BETWEEN ?3 AND ?4 ORDER BY m.seq \(direction) LIMIT ?5
        """
    }

    private static func message(
        _ row: Row, _ partition: PartitionID, _ conversation: ConversationID
    ) throws(StoreError) -> StoredMessage? {
        try row.check(.messages, of: partition)
        let index = try row.bits(2)
        let log = CheckedTable.messages.columns.count + 1
        let send = try SendCommand(row, position: LogPosition(partition, index), first: log)
        guard send.conversation == conversation else {
            throw .damagedState(
                partition, "partition \(partition), messages: index \(index) is of another conversation")
        }
        guard send.removedHash == nil else { return nil }
        return StoredMessage(
            index: index,
            message: Message(
                id: send.id, conversation: conversation, seq: try row.bits(1), sender: send.sender,
                originDevice: send.device, type: send.type, content: send.content, sentAt: try row.integer(3)))
    }
}

extension SendCommand {
    /// From a log row whose columns begin at `first`; NULL there for a row that is missing.
    init(_ row: Row, position: LogPosition, first: Int) throws(StoreError) {
        guard !row.isNull(first) else { throw LogRow.missing(position) }
        var payload = try LogRow.read(row, position: position, first: first).payload
        guard let send = (try? StampedCommand(decoding: &payload))?.command.sending else {
            throw .damagedEntry(LogDamage(position.partition, position.index, .unreadable))
        }
        self = send
    }
}

/// Searches a conversation's rows in `messages`, where a later seq has a later time and a higher index.
private struct SeqSearch {
    private let db: Database
    private let partition: PartitionID
    private let key: Int64

    init(_ db: Database, _ partition: PartitionID, _ key: Int64) {
        self.db = db
        self.partition = partition
        self.key = key
    }

    /// The lowest and highest seq; nil where there are no messages.
    func bounds() throws -> ClosedRange<UInt64>? {
        guard let low = try edge("min"), let high = try edge("max") else { return nil }
        // Read without their checksums.
        guard 0 < low, low <= high else {
            throw StoreError.damagedState(partition, "partition \(partition), messages: seqs from \(low) to \(high)")
        }
        return low...high
    }

    /// The last seq of those for which `isBefore` holds, which are the first of all.
    func last(_ isBefore: ((index: UInt64, sentAt: Int64)) -> Bool) throws -> UInt64 {
        guard let bounds = try bounds() else { return 0 }
        var low = bounds.lowerBound - 1
        var high = bounds.upperBound
        while low < high {
            let middle = high - (high - low) / 2
            if isBefore(try row(middle)) { low = middle } else { high = middle - 1 }
        }
        // What is below all rows was removed, and came before what is there.
        return low
    }

    private func edge(_ function: String) throws -> UInt64? {
        var statement = try BoundStatement(db, "SELECT \(function)(seq) FROM messages WHERE conversation = ?")
        statement.reset()
        try statement.bind(key)
        return try statement.firstInteger().map { UInt64(bitPattern: $0) }
    }

    private func row(_ seq: UInt64) throws -> (index: UInt64, sentAt: Int64) {
        let table = CheckedTable.messages
        var statement = try BoundStatement(
            db, "SELECT \(table.selected(as: "m")) FROM \(table.name) m WHERE m.conversation = ? AND m.seq = ?")
        statement.reset()
        try statement.bind(key)
        try statement.bind(bits: seq)
        let rows = try statement.rows()
        guard let row = try rows.next() else {
            throw StoreError.damagedState(partition, "partition \(partition), \(table.name): seq \(seq) is missing")
        }
        try row.check(table, of: partition)
        return (try row.bits(2), try row.integer(3))
    }
}
