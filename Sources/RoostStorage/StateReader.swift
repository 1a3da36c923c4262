import GRDB
import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol

/// Reads the state tables of one partition, each in the order of its key.
struct StateReader {
    private let db: Database
    private let partition: PartitionID

    init(_ db: Database, _ partition: PartitionID) {
        self.db = db
        self.partition = partition
    }

    func snapshot() throws -> StateSnapshot {
        let applied = try applied()
        return StateSnapshot(
            appliedIndex: applied.index, accounts: try accounts(), devices: try devices(),
            conversations: try conversations(), members: try members(), cursors: try cursors(),
            sendOrders: try sendOrders(), signingKeys: try signingKeys(), lastStamp: applied.stamp)
    }

    private func applied() throws -> (index: UInt64, stamp: Int64) {
        try rows("SELECT idx, last_stamp FROM applied WHERE partition = ?") { row in
            (try row.bits(0), try row.integer(1))
        }.first ?? (0, 0)
    }

    private func accounts() throws -> [AccountRecord] {
        try rows(
            """
            SELECT user, username, password_hash, role, disabled, created_at FROM accounts
            WHERE partition = ? ORDER BY user
            """
        ) { row in
            AccountRecord(
                user: UserID(try row.uuid(0)), username: try row.text(1), passwordHash: try row.text(2),
                role: try row.tag(3), disabled: try row.integer(4) != 0, createdAt: try row.integer(5))
        }
    }

    private func devices() throws -> [DeviceRecord] {
        try rows(
            "SELECT user, device, start_at, created_at, seen_at FROM devices WHERE partition = ? ORDER BY user, device"
        ) { row in
            DeviceRecord(
                user: UserID(try row.uuid(0)), device: DeviceID(validated: try row.text(1)),
                startAt: try row.integer(2), createdAt: try row.integer(3), seenAt: try row.integer(4))
        }
    }

    private func signingKeys() throws -> [SigningKey] {
        try rows("SELECT id, secret, created_at FROM signing_keys WHERE partition = ? ORDER BY id") { row in
            SigningKey(id: try row.text(0), secret: try row.buffer(1), createdAt: try row.integer(2))
        }
    }

    /// Last seq and time are those of the newest message.
    private func conversations() throws -> [ConversationRow] {
        try rows(
            """
            SELECT k.id, c.type, c.name, c.created_at, c.parameters_hash, coalesce(m.seq, 0), coalesce(m.sent_at, 0),
                c.floor, c.id_floor, c.mark_seq, c.mark_at
            FROM conversation_keys k CROSS JOIN conversations c ON c.conversation = k.key
            LEFT JOIN messages m ON m.conversation = k.key
                AND m.seq = (SELECT max(seq) FROM messages WHERE conversation = k.key)
            WHERE k.partition = ? ORDER BY k.id
            """
        ) { row in
            ConversationRow(
                id: ConversationID(try row.uuid(0)), type: try row.tag(1), name: try row.optionalText(2),
                createdAt: try row.integer(3), parametersHash: try row.bits(4), lastSeq: try row.bits(5),
                lastSentAt: try row.integer(6),
                retention: ConversationRetention(
                    floor: try row.bits(7), idFloor: try row.bits(8), markSeq: try row.bits(9),
                    markAt: try row.integer(10)))
        }
    }

    private func members() throws -> [(conversation: ConversationID, member: MemberRow)] {
        try rows(
            """
            SELECT k.id, m.user, m.role, m.ranges
            FROM conversation_keys k CROSS JOIN members m ON m.conversation = k.key
            WHERE k.partition = ? ORDER BY k.id, m.user
            """
        ) { row in
            let member = MemberRow(
                user: UserID(try row.uuid(1)), role: try row.tag(2),
                ranges: try SeqRange.decode(try row.buffer(3)))
            return (ConversationID(try row.uuid(0)), member)
        }
    }

    private func cursors() throws -> [CursorAdvance] {
        try rows(
            """
            SELECT k.id, c.user, c.device, c.seq
            FROM conversation_keys k CROSS JOIN cursors c ON c.conversation = k.key
            WHERE k.partition = ? ORDER BY k.id, c.user, c.device
            """
        ) { row in
            CursorAdvance(
                user: UserID(try row.uuid(1)), device: DeviceID(validated: try row.text(2)),
                conversation: ConversationID(try row.uuid(0)), seq: try row.bits(3))
        }
    }

    private func sendOrders() throws -> [SendOrderRow] {
        try rows(
            """
            SELECT k.id, o.session, o.run, o.counter, o.idx
            FROM conversation_keys k CROSS JOIN send_orders o ON o.conversation = k.key
            WHERE k.partition = ? ORDER BY k.id, o.session
            """
        ) { row in
            SendOrderRow(
                session: SessionID(try row.bits(1)), conversation: ConversationID(try row.uuid(0)),
                run: UInt32(truncatingIfNeeded: try row.integer(2)), counter: try row.bits(3), index: try row.bits(4))
        }
    }

    private func rows<T>(_ sql: String, _ decode: (Row) throws -> T) throws -> [T] {
        var statement = try BoundStatement(db, sql)
        statement.reset()
        try statement.bind(Int64(partition.value))
        let cursor = try statement.rows()
        var values: [T] = []
        while let row = try cursor.next() { values.append(try decode(row)) }
        return values
    }
}

extension Row {
    fileprivate func tag<Tag: RawRepresentable>(_ index: Int) throws(StoreError) -> Tag where Tag.RawValue == UInt8 {
        guard let raw = UInt8(exactly: try integer(index)), let tag = Tag(rawValue: raw) else {
            throw .corrupt("a column holds an unknown \(Tag.self)")
        }
        return tag
    }
}
