import GRDB
import RoostModel
import Synchronization

/// A conversation as the tables know it.
struct ConversationKey: Hashable, Sendable {
    var partition: PartitionID
    var id: ConversationID
}

/// (partition, conversation) -> its integer key, for the conversations used lately. Only keys that are committed.
final class ConversationKeys: Sendable {
    struct Known: Sendable {
        var key: Int64
        /// Of the row last written in `conversations`, so that an unchanged one is not written again; 0 for unknown.
        var fingerprint: UInt64
    }

    /// Two generations: what is used moves to the young one, and when that is full the old one is dropped. So between
    /// half and all of `capacity` is kept, and no list is maintained at each use.
    private struct Generations {
        var young: [ConversationKey: Known] = [:]
        var old: [ConversationKey: Known] = [:]
    }
    private let generations = Mutex(Generations())
    private let half: Int

    init(capacity: Int) { half = max(1, capacity / 2) }

    func find(_ conversation: ConversationKey) -> Known? {
        generations.withLock { generations in
            if let known = generations.young[conversation] { return known }
            guard let known = generations.old[conversation] else { return nil }
            insert(known, for: conversation, into: &generations)
            return known
        }
    }

    /// Does not replace what is known with a fingerprint by the same without.
    func insert(_ known: Known, for conversation: ConversationKey) {
        generations.withLock { generations in
            if known.fingerprint == 0, generations.young[conversation] != nil { return }
            insert(known, for: conversation, into: &generations)
        }
    }

    func removeAll() { generations.withLock { $0 = Generations() } }

    private func insert(
        _ known: Known, for conversation: ConversationKey, into generations: inout sending Generations
    ) {
        if generations.young.count >= half {
            generations.old = generations.young
            generations.young = [:]
        }
        generations.young[conversation] = known
    }
}

extension ConversationKeys {
    /// From the table.
    static func select(_ conversation: ConversationKey, _ db: Database) throws -> Int64? {
        var statement = try BoundStatement(db, Self.selectKey)
        statement.reset()
        try statement.bind(Int64(conversation.partition.value))
        try statement.bind(conversation.id.uuid)
        let rows = try statement.rows()
        guard let row = try rows.next() else { return nil }
        try row.check(.conversationKeys, of: conversation.partition)
        return try row.integer(0)
    }

    private static let selectKey = """
        SELECT \(CheckedTable.conversationKeys.selected(as: "k")) FROM conversation_keys k
        WHERE k.partition = ? AND k.id = ?
        """

    /// The key of a committed conversation, from memory or the table; nil where there are no rows of it.
    func key(_ conversation: ConversationKey, _ db: Database) throws -> Int64? {
        if let known = find(conversation) { return known.key }
        guard let key = try Self.select(conversation, db) else { return nil }
        insert(Known(key: key, fingerprint: 0), for: conversation)
        return key
    }
}
