import GRDB
package import RoostConsensus
package import RoostModel
import RoostProtocol

/// Finding messages by their id: a hash of it is in `message_ids`, id and sender stand in the log.
extension SQLiteStore {
    /// Synchronous, on a connection of its own; a few microseconds where the pages are in memory.
    ///
    /// A row of the log that is damaged counts as the message asked for: its hash of 64 bits and its conversation
    /// agree, and "unknown" would number the message a second time. Where a row of the tables is damaged, nil is no answer:
    /// `distrust(of:)` says so from then on. Any other failure poisons the store (no commit succeeds any more) and calls
    /// `lookupFailed`. Nil once the store is closed: then nothing is decided any more.
    package func knownMessage(
        partition: PartitionID, conversation: ConversationID, sender: UserID, id: MessageID
    ) -> MessageRow? {
        do throws(StoreError) {
            return try mappingErrors(directory: directory, lookups) {
                try lookups.inDatabase { db in
                    try find(ConversationKey(partition: partition, id: conversation), sender, id, db)
                }
            }
        } catch .damagedState(let damaged, let text) {
            distrusted.distrust(damaged ?? partition, because: text)
            return nil
        } catch {
            poisoned(by: error)
            return nil
        }
    }

    package func distrust(of partition: PartitionID) -> String? { distrusted.reason(partition) }

    package func messageHashes(partition: PartitionID) throws(StoreError) -> [UInt64] {
        try read { db in
            var statement = try BoundStatement(
                db,
                """
                SELECT \(CheckedTable.messageIDs.selected(as: "i")) FROM conversation_keys k CROSS JOIN message_ids i ON i.conversation = k.key
                WHERE k.partition = ?1
                """)
            statement.reset()
            try statement.bind(Int64(partition.value))
            let rows = try statement.rows()
            var hashes: [UInt64] = []
            while let row = try rows.next() {
                try row.check(.messageIDs, of: partition)
                hashes.append(try row.bits(1))
            }
            return hashes
        }
    }

    /// For operators: looks into every conversation of the partition, two microseconds each.
    package func messages(withID id: MessageID, partition: PartitionID) throws(StoreError) -> [MessageRow] {
        try read { db in
            var statement = try BoundStatement(
                db,
                """
                SELECT \(Self.foundColumns)
                FROM conversation_keys k CROSS JOIN message_ids i ON i.conversation = k.key AND i.hash = ?2
                CROSS JOIN messages m ON m.conversation = i.conversation AND m.seq = i.seq
                LEFT JOIN log l ON l.position = ?1 + m.idx
                WHERE k.partition = ?3 ORDER BY m.idx
                """)
            statement.reset()
            try statement.bind(LogPosition(partition, 0).rowID)
            try statement.bind(bits: StableHash.of(id.uuid))
            try statement.bind(Int64(partition.value))
            let rows = try statement.rows()
            var found: [MessageRow] = []
            while let row = try rows.next() {
                try row.check(.messages, of: partition)
                let position = LogPosition(partition, try row.bits(2))
                let send = try SendCommand(row, position: position, first: Self.foundLog)
                if send.id == id { found.append(try Self.messageRow(row, send.conversation, send.sender, id)) }
            }
            return found
        }
    }

    private func find(
        _ conversation: ConversationKey, _ sender: UserID, _ id: MessageID, _ db: Database
    ) throws -> MessageRow? {
        guard let key = try keys.key(conversation, db) else { return nil }
        var statement = try BoundStatement(db, Self.selectKnown)
        statement.reset()
        try statement.bind(LogPosition(conversation.partition, 0).rowID)
        try statement.bind(bits: StableHash.of(id.uuid))
        try statement.bind(key)
        let rows = try statement.rows()
        while let row = try rows.next() {
            try row.check(.messages, of: conversation.partition)
            try row.check(.messageIDs, of: conversation.partition, first: Self.foundLog + 5)
            let position = LogPosition(conversation.partition, try row.bits(2))
            do throws(StoreError) {
                let send = try SendCommand(row, position: position, first: Self.foundLog)
                guard send.id == id && send.sender == sender else { continue }
            } catch {
                guard case .damagedEntry = error else { throw error }
            }
            return try Self.messageRow(row, conversation.id, sender, id)
        }
        return nil
    }

    /// A row of `messages`, then one of `log`.
    private static let foundColumns =
        CheckedTable.messages.selected(as: "m") + ", l.position, l.term, l.kind, l.crc, l.body"
    private static let foundLog = CheckedTable.messages.columns.count + 1

    private static let selectKnown = """
        SELECT \(foundColumns), \(CheckedTable.messageIDs.selected(as: "i"))
        FROM message_ids i CROSS JOIN messages m ON m.conversation = i.conversation AND m.seq = i.seq
        LEFT JOIN log l ON l.position = ?1 + m.idx
        WHERE i.hash = ?2 AND i.conversation = ?3 ORDER BY i.seq
        """

    private static func messageRow(
        _ row: Row, _ conversation: ConversationID, _ sender: UserID, _ id: MessageID
    ) throws(StoreError) -> MessageRow {
        MessageRow(
            conversation: conversation, seq: try row.bits(1), index: try row.bits(2), sentAt: try row.integer(3),
            id: id, sender: sender, contentHash: try row.bits(4))
    }
}
