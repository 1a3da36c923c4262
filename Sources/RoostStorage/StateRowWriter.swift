import GRDB
import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol

/// Writes rows of the state tables within one transaction.
struct StateRowWriter {
    /// Keys made or found on the way, in that order: known to others only once they are committed.
    private(set) var fresh: [(ConversationKey, ConversationKeys.Known)] = []

    /// Something was removed: there may be pages to give back.
    var hasRemoved = false

    let db: Database
    private let keys: ConversationKeys
    private var freshPositions: [ConversationKey: Int] = [:]
    /// The conversation looked up last: a message comes with other rows of its conversation.
    private var latest: (conversation: ConversationKey, known: ConversationKeys.Known)?
    private var insertMessage: BoundStatement
    private var insertMessageID: BoundStatement
    private var insertSendOrder: BoundStatement

    init(_ db: Database, keys: ConversationKeys) throws {
        self.db = db
        self.keys = keys
        insertMessage = try BoundStatement(db, CheckedTable.messages.insert)
        insertMessageID = try BoundStatement(db, CheckedTable.messageIDs.insert)
        insertSendOrder = try BoundStatement(db, CheckedTable.sendOrders.insert)
    }

    mutating func write(_ changes: [StateChange], partition: PartitionID) throws {
        for change in StateChange.coalesced(changes) { try write(change, partition) }
    }

    private mutating func write(_ change: StateChange, _ partition: PartitionID) throws {
        switch change {
        case .message(let row): try write(row, partition)
        case .conversation(let row): try write(row, partition)
        case .sendOrder(let row): try write(row, partition)
        case .stripped(let conversation, let range): try strip(range, of: conversation, partition)
        case .sendStripped(let index, let hash): try strip(index, hash: hash, partition)
        case .idsForgotten(let conversation, let range): try forgetIDs(range, of: conversation, partition)
        case .sendOrderExpired(let session, let conversation): try expire(session, conversation, partition)
        case .cursor(let cursor): try write(cursor, partition)
        case .member(let conversation, let row): try write(row, of: conversation, partition)
        case .account(let record): try write(record, partition)
        case .device(let record): try write(record, partition)
        case .deviceForgotten(let user, let device): try forget(device, of: user, partition)
        case .cursorDropped(let user, let device, let conversation):
            try dropCursor(of: user, device, in: conversation, partition)
        case .signingKey(let key): try write(key, partition)
        case .signingKeyRemoved(let id): try remove(key: id, partition)
        case .call(let row): try write(row, partition)
        case .callForgotten(let caller, let id): try forget(id, of: caller, partition)
        case .ring(let ring): try write(ring, partition)
        }
    }

    private mutating func write(_ row: MessageRow, _ partition: PartitionID) throws {
        let key = try known(row.conversation, partition).key
        insertMessage.reset(.messages)
        try insertMessage.bind(key)
        try insertMessage.bind(bits: row.seq)
        try insertMessage.bind(bits: row.index)
        try insertMessage.bind(row.sentAt)
        try insertMessage.bind(bits: row.contentHash)
        try insertMessage.bindChecksum()
        try insertMessage.run()
        insertMessageID.reset(.messageIDs)
        try insertMessageID.bind(key)
        try insertMessageID.bind(bits: StableHash.of(row.id.uuid))
        try insertMessageID.bind(bits: row.seq)
        try insertMessageID.bindChecksum()
        try insertMessageID.run()
    }

    /// Nothing to do for a row that differs from the one written only in its last seq and time.
    private mutating func write(_ row: ConversationRow, _ partition: PartitionID) throws {
        var known = try known(row.id, partition)
        let fingerprint = Self.fingerprint(row)
        guard known.fingerprint != fingerprint else { return }
        var statement = try BoundStatement(db, CheckedTable.conversations.insert)
        statement.reset(.conversations)
        try statement.bind(known.key)
        try statement.bind(Int64(row.type.rawValue))
        try statement.bind(row.name)
        try statement.bind(row.createdAt)
        try statement.bind(bits: row.parametersHash)
        try statement.bind(bits: row.retention.floor)
        try statement.bind(bits: row.retention.idFloor)
        try statement.bind(bits: row.retention.markSeq)
        try statement.bind(row.retention.markAt)
        try statement.bindChecksum()
        try statement.run()
        known.fingerprint = fingerprint
        remember(known, ConversationKey(partition: partition, id: row.id))
    }

    private mutating func write(_ row: SendOrderRow, _ partition: PartitionID) throws {
        let key = try known(row.conversation, partition).key
        insertSendOrder.reset(.sendOrders)
        try insertSendOrder.bind(key)
        try insertSendOrder.bind(bits: row.session.value)
        try insertSendOrder.bind(Int64(row.run))
        try insertSendOrder.bind(bits: row.counter)
        try insertSendOrder.bind(bits: row.index)
        try insertSendOrder.bindChecksum()
        try insertSendOrder.run()
    }

    private mutating func expire(
        _ session: SessionID, _ conversation: ConversationID, _ partition: PartitionID
    ) throws {
        let key = try known(conversation, partition).key
        var statement = try BoundStatement(db, "DELETE FROM send_orders WHERE conversation = ? AND session = ?")
        statement.reset()
        try statement.bind(key)
        try statement.bind(bits: session.value)
        try statement.run()
    }

    private mutating func write(_ cursor: CursorAdvance, _ partition: PartitionID) throws {
        let key = try known(cursor.conversation, partition).key
        var statement = try BoundStatement(db, CheckedTable.cursors.insert)
        statement.reset(.cursors)
        try statement.bind(key)
        try statement.bind(cursor.user.uuid)
        try statement.bind(cursor.device.text)
        try statement.bind(bits: cursor.seq)
        try statement.bindChecksum()
        try statement.run()
    }

    private mutating func write(_ row: MemberRow, of conversation: ConversationID, _ partition: PartitionID) throws {
        let key = try known(conversation, partition).key
        var statement = try BoundStatement(db, CheckedTable.members.insert)
        statement.reset(.members)
        try statement.bind(key)
        try statement.bind(row.user.uuid)
        try statement.bind(Int64(row.role.rawValue))
        try statement.bind(SeqRange.encode(row.ranges))
        try statement.bindChecksum()
        try statement.run()
    }

    private func write(_ record: AccountRecord, _ partition: PartitionID) throws {
        var statement = try BoundStatement(db, CheckedTable.accounts.insert)
        statement.reset(.accounts)
        try statement.bind(Int64(partition.value))
        try statement.bind(record.user.uuid)
        try statement.bind(record.username)
        try statement.bind(record.passwordHash)
        try statement.bind(Int64(record.role.rawValue))
        try statement.bind(Int64(record.flags))
        try statement.bind(record.createdAt)
        var tokens = ByteBuffer()
        if !record.revocations.isEmpty { record.revocations.encode(into: &tokens) }
        try statement.bind(tokens)
        try statement.bindChecksum()
        try statement.run()
    }

    private func write(_ record: DeviceRecord, _ partition: PartitionID) throws {
        var statement = try BoundStatement(db, CheckedTable.devices.insert)
        statement.reset(.devices)
        try statement.bind(Int64(partition.value))
        try statement.bind(record.user.uuid)
        try statement.bind(record.device.text)
        try statement.bind(record.startAt)
        try statement.bind(record.createdAt)
        try statement.bind(record.seenAt)
        var tokens = ByteBuffer()
        if !record.tokens.isEmpty { record.tokens.encode(into: &tokens) }
        try statement.bind(tokens)
        try statement.bindChecksum()
        try statement.run()
    }

    private func write(_ row: CallRow, _ partition: PartitionID) throws {
        var statement = try BoundStatement(db, CheckedTable.calls.insert)
        statement.reset(.calls)
        try statement.bind(Int64(partition.value))
        try statement.bind(row.caller.node.name)
        try statement.bind(bits: row.caller.store.value)
        try statement.bind(bits: row.id)
        try statement.bind(bits: row.oldest)
        try statement.bind(row.answer.code)
        try statement.bind(bits: row.index)
        try statement.bindChecksum()
        try statement.run()
    }

    private func write(_ key: SigningKey, _ partition: PartitionID) throws {
        var statement = try BoundStatement(db, CheckedTable.signingKeys.insert)
        statement.reset(.signingKeys)
        try statement.bind(Int64(partition.value))
        try statement.bind(key.id)
        try statement.bind(key.secret)
        try statement.bind(key.createdAt)
        try statement.bind(key.activeAt)
        try statement.bindChecksum()
        try statement.run()
    }
}

extension StateRowWriter {
    private func write(_ ring: Ring, _ partition: PartitionID) throws {
        var statement = try BoundStatement(db, CheckedTable.ring.insert)
        statement.reset(.ring)
        try statement.bind(Int64(partition.value))
        var buffer = ByteBuffer()
        ring.encode(into: &buffer)
        try statement.bind(buffer)
        try statement.bindChecksum()
        try statement.run()
    }

    /// The conversation's key, made if there is none.
    mutating func known(
        _ id: ConversationID, _ partition: PartitionID
    ) throws -> ConversationKeys.Known {
        let conversation = ConversationKey(partition: partition, id: id)
        if let latest, latest.conversation == conversation { return latest.known }
        if let position = freshPositions[conversation] {
            latest = fresh[position]
            return fresh[position].1
        }
        if let known = keys.find(conversation) {
            latest = (conversation, known)
            return known
        }
        let key: Int64
        if let found = try ConversationKeys.select(conversation, db) {
            key = found
        } else {
            key =
                try Int64.fetchOne(db.cachedStatement(sql: "SELECT max(key) FROM conversation_keys")).map { $0 + 1 }
                ?? 1
            var statement = try BoundStatement(db, CheckedTable.conversationKeys.insert)
            statement.reset(.conversationKeys)
            try statement.bind(key)
            try statement.bind(Int64(partition.value))
            try statement.bind(id.uuid)
            try statement.bindChecksum()
            try statement.run()
        }
        let known = ConversationKeys.Known(key: key, fingerprint: 0)
        remember(known, conversation)
        return known
    }

    private mutating func remember(_ known: ConversationKeys.Known, _ conversation: ConversationKey) {
        latest = (conversation, known)
        if let position = freshPositions[conversation] {
            fresh[position].1 = known
        } else {
            freshPositions[conversation] = fresh.count
            fresh.append((conversation, known))
        }
    }

    /// Of the columns of `conversations`; never 0.
    private static func fingerprint(_ row: ConversationRow) -> UInt64 {
        var hash = StableHash.mix(row.parametersHash ^ UInt64(row.type.rawValue))
        hash = StableHash.mix(hash ^ UInt64(bitPattern: row.createdAt))
        let retention = row.retention
        for number in [retention.floor, retention.idFloor, retention.markSeq, UInt64(bitPattern: retention.markAt)] {
            hash = StableHash.mix(hash ^ number)
        }
        if let name = row.name { hash = StableHash.mix(hash ^ StableHash.of(name)) }
        return max(1, hash)
    }
}

extension SeqRange {
    /// Two integers of 8 bytes each, big-endian; `through` is all ones where it is open.
    static func encode(_ ranges: [SeqRange]) -> ByteBuffer {
        var buffer = ByteBuffer()
        for range in ranges { buffer.writeMultipleIntegers(range.after, range.through ?? .max) }
        return buffer
    }

    static func decode(_ buffer: ByteBuffer) throws(StoreError) -> [SeqRange] {
        var buffer = buffer
        var ranges: [SeqRange] = []
        while let (after, through) = buffer.readMultipleIntegers(as: (UInt64, UInt64).self) {
            ranges.append(SeqRange(after: after, through: through == .max ? nil : through))
        }
        guard buffer.readableBytes == 0 else { throw .corrupt("a member's ranges are cut off") }
        return ranges
    }
}
