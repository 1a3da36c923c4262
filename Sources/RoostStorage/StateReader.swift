import GRDB
import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol

/// Reads the state tables of one partition, each in the order of its key. Throws `.damagedState` at a row that is not
/// as it was written.
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
            sendOrders: try sendOrders(), calls: try calls(), signingKeys: try signingKeys(), ring: try ring(),
            lastStamp: applied.stamp)
    }

    private func applied() throws -> (index: UInt64, stamp: Int64) {
        try partitioned(.applied, by: "partition") { (try $0.bits(1), try $0.integer(2)) }.first ?? (0, 0)
    }

    private func accounts() throws -> [AccountRecord] {
        try partitioned(.accounts, by: "user") { row in
            var record = AccountRecord(
                user: UserID(try row.uuid(1)), username: try row.text(2), passwordHash: try row.text(3),
                role: try row.tag(4), createdAt: try row.integer(6))
            guard record.set(flags: UInt8(clamping: try row.integer(5))) else {
                throw StoreError.corrupt("a column holds unknown flags of an account")
            }
            var tokens = try row.buffer(7)
            if tokens.readableBytes > 0 {
                do { record.revocations = try TokenRevocations(decoding: &tokens) } catch {
                    throw StoreError.corrupt("an account's revocations: \(error)")
                }
            }
            return record
        }
    }

    private func devices() throws -> [DeviceRecord] {
        try partitioned(.devices, by: "user, device") { row in
            var record = DeviceRecord(
                user: UserID(try row.uuid(1)), device: DeviceID(validated: try row.text(2)),
                startAt: try row.integer(3), createdAt: try row.integer(4), seenAt: try row.integer(5))
            var tokens = try row.buffer(6)
            if tokens.readableBytes > 0 {
                do { record.tokens = try DeviceTokens(decoding: &tokens) } catch {
                    throw StoreError.corrupt("a device's tokens: \(error)")
                }
            }
            return record
        }
    }

    private func signingKeys() throws -> [SigningKey] {
        try partitioned(.signingKeys, by: "id") { row in
            SigningKey(
                id: try row.text(1), secret: try row.buffer(2), createdAt: try row.integer(3),
                activeAt: try row.integer(4))
        }
    }

    private func calls() throws -> [CallRow] {
        try partitioned(.calls, by: "node, store, id") { row in
            guard let answer = CallRow.Answer(code: try row.integer(5)) else {
                throw StoreError.corrupt("a call's answer \(try row.integer(5)) is none")
            }
            return CallRow(
                caller: RaftPeer(node: NodeID(try row.text(1)), store: StoreID(try row.bits(2))), id: try row.bits(3),
                oldest: try row.bits(4), answer: answer, index: try row.bits(6))
        }
    }

    private func ring() throws -> Ring? {
        try partitioned(.ring, by: "partition") { row in
            var buffer = try row.buffer(1)
            do { return try Ring(decoding: &buffer) } catch { throw StoreError.corrupt("the ring: \(error)") }
        }.first
    }

    /// Last seq and time are those of the newest message.
    private func conversations() throws -> [ConversationRow] {
        let first = Self.keyColumns + CheckedTable.conversations.columns.count + 1
        return try rows(
            """
            SELECT \(CheckedTable.conversationKeys.selected(as: "k")),
                \(CheckedTable.conversations.selected(as: "t")), \(CheckedTable.messages.selected(as: "m"))
            FROM conversation_keys k CROSS JOIN conversations t ON t.conversation = k.key
            LEFT JOIN messages m ON m.conversation = k.key
                AND m.seq = (SELECT max(seq) FROM messages WHERE conversation = k.key)
            WHERE k.partition = ? ORDER BY k.id
            """, [(.conversationKeys, 0), (.conversations, Self.keyColumns)]
        ) { row in
            let isEmpty = row.isNull(first)
            if !isEmpty { try row.check(.messages, of: partition, first: first) }
            return ConversationRow(
                id: ConversationID(try row.uuid(2)), type: try row.tag(Self.keyColumns + 1),
                name: try row.optionalText(Self.keyColumns + 2), createdAt: try row.integer(Self.keyColumns + 3),
                parametersHash: try row.bits(Self.keyColumns + 4), lastSeq: isEmpty ? 0 : try row.bits(first + 1),
                lastSentAt: isEmpty ? 0 : try row.integer(first + 3),
                retention: ConversationRetention(
                    floor: try row.bits(Self.keyColumns + 5), idFloor: try row.bits(Self.keyColumns + 6),
                    markSeq: try row.bits(Self.keyColumns + 7), markAt: try row.integer(Self.keyColumns + 8)))
        }
    }

    private func members() throws -> [(conversation: ConversationID, member: MemberRow)] {
        try keyed(.members, by: "t.user") { id, row, first in
            let member = MemberRow(
                user: UserID(try row.uuid(first + 1)), role: try row.tag(first + 2),
                ranges: try SeqRange.decode(try row.buffer(first + 3)))
            return (id, member)
        }
    }

    private func cursors() throws -> [CursorAdvance] {
        try keyed(.cursors, by: "t.user, t.device") { id, row, first in
            CursorAdvance(
                user: UserID(try row.uuid(first + 1)), device: DeviceID(validated: try row.text(first + 2)),
                conversation: id, seq: try row.bits(first + 3))
        }
    }

    private func sendOrders() throws -> [SendOrderRow] {
        try keyed(.sendOrders, by: "t.session") { id, row, first in
            SendOrderRow(
                session: SessionID(try row.bits(first + 1)), conversation: id,
                run: UInt32(truncatingIfNeeded: try row.integer(first + 2)), counter: try row.bits(first + 3),
                index: try row.bits(first + 4))
        }
    }

    /// Columns of `conversation_keys` with its checksum, which stand first in a row of `keyed`.
    private static let keyColumns = CheckedTable.conversationKeys.columns.count + 1

    private func partitioned<T>(_ table: CheckedTable, by order: String, _ decode: (Row) throws -> T) throws -> [T] {
        try rows(
            "SELECT \(table.selected(as: "t")) FROM \(table.name) t WHERE partition = ? ORDER BY \(order)",
            [(table, 0)], decode)
    }

    /// Rows of a table of conversations.
    private func keyed<T>(
        _ table: CheckedTable, by order: String, _ decode: (ConversationID, Row, Int) throws -> T
    ) throws -> [T] {
        try rows(
            """
            SELECT \(CheckedTable.conversationKeys.selected(as: "k")), \(table.selected(as: "t"))
            FROM conversation_keys k CROSS JOIN \(table.name) t ON t.conversation = k.key
            WHERE k.partition = ? ORDER BY k.id, \(order)
            """, [(.conversationKeys, 0), (table, Self.keyColumns)]
        ) { row in try decode(ConversationID(try row.uuid(2)), row, Self.keyColumns) }
    }

    private func rows<T>(
        _ sql: String, _ checked: [(table: CheckedTable, first: Int)], _ decode: (Row) throws -> T
    ) throws -> [T] {
        var statement = try BoundStatement(db, sql)
        statement.reset()
        try statement.bind(Int64(partition.value))
        let cursor = try statement.rows()
        var values: [T] = []
        while let row = try cursor.next() {
            for part in checked { try row.check(part.table, of: partition, first: part.first) }
            values.append(try decode(row))
        }
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
