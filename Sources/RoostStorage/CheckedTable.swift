import Foundation
import GRDB
import RoostModel

/// The tables beside `log` whose rows end with a CRC-32C of all columns before it, in the order given here. The first
/// columns are the primary key.
enum CheckedTable: UInt64, CaseIterable, Sendable {
    case facts = 1
    case hardState, applied, accounts, devices, signingKeys
    case conversationKeys, conversations, members, cursors, sendOrders, messages, messageIDs
    case calls, commits
    case ring

    var name: String { layout.name }
    var columns: [String] { layout.columns }
    /// How many columns are the key.
    var keyCount: Int { layout.keys }
    /// A row of it says by its first column whose it is: a partition, or the key of a conversation.
    var isByConversation: Bool { (Self.conversations.rawValue...Self.messageIDs.rawValue).contains(rawValue) }

    private var layout: (name: String, keys: Int, columns: [String]) {
        switch self {
        case .facts: ("facts", 1, ["id", "store", "epoch", "promised", "founded", "ring", "given_back", "joins_only"])
        case .hardState: ("hard_state", 1, ["partition", "term", "vote_node", "vote_store"])
        case .applied: ("applied", 1, ["partition", "idx", "last_stamp"])
        case .accounts:
            (
                "accounts", 2,
                ["partition", "user", "username", "password_hash", "role", "flags", "created_at", "tokens"]
            )
        case .devices: ("devices", 3, ["partition", "user", "device", "start_at", "created_at", "seen_at", "tokens"])
        case .signingKeys: ("signing_keys", 2, ["partition", "id", "secret", "created_at", "active_at"])
        case .conversationKeys: ("conversation_keys", 1, ["key", "partition", "id"])
        case .conversations:
            (
                "conversations", 1,
                [
                    "conversation", "type", "name", "created_at", "parameters_hash", "floor", "id_floor", "mark_seq",
                    "mark_at",
                ]
            )
        case .members: ("members", 2, ["conversation", "user", "role", "ranges"])
        case .cursors: ("cursors", 3, ["conversation", "user", "device", "seq"])
        case .sendOrders: ("send_orders", 2, ["conversation", "session", "run", "counter", "idx"])
        case .messages: ("messages", 2, ["conversation", "seq", "idx", "sent_at", "content_hash"])
        case .messageIDs: ("message_ids", 3, ["conversation", "hash", "seq"])
        case .calls: ("calls", 4, ["partition", "node", "store", "id", "oldest", "answer", "idx"])
        case .commits: ("commits", 1, ["id", "number"])
        case .ring: ("ring", 1, ["partition", "ring"])
        }
    }

    /// Its columns and the checksum, for a SELECT.
    func selected(as alias: String) -> String { (columns + ["crc"]).map { "\(alias).\($0)" }.joined(separator: ", ") }

    /// Made once: statements are found by their text.
    var insert: String { Self.inserts[Int(rawValue) - 1] }

    private static let inserts: [String] = allCases.map { table in
        let marks = Array(repeating: "?", count: table.columns.count + 1).joined(separator: ", ")
        let columns = (table.columns + ["crc"]).joined(separator: ", ")
        return "INSERT OR REPLACE INTO \(table.name) (\(columns)) VALUES (\(marks))"
    }
}

/// The checksum of a row, column by column. What a column's type was goes in with it, so that damage cannot change it.
struct RowChecksum {
    private var crc = CRC32C()

    init(_ table: CheckedTable) { crc.add(table.rawValue) }

    var value: Int64 { Int64(crc.value) }

    mutating func add(_ integer: Int64) { crc.add(UInt64(bitPattern: integer)) }
    mutating func addNull() { crc.add(UInt64(1) << 63) }

    mutating func add(text: String) {
        var text = text
        text.withUTF8 { add($0.count, tag: 1, UnsafeRawBufferPointer($0)) }
    }

    mutating func add(blob: UnsafeRawBufferPointer) { add(blob.count, tag: 2, blob) }

    mutating func add(_ value: DatabaseValue) {
        switch value.storage {
        case .null: addNull()
        case .int64(let integer): add(integer)
        case .string(let text): add(text: text)
        case .blob(let data): data.withUnsafeBytes { add(blob: $0) }
        // No column is one: it was damaged, and no row is written that matches this.
        case .double(let number): add(0, tag: 3 ^ number.bitPattern, .init(start: nil, count: 0))
        }
    }

    private mutating func add(_ count: Int, tag: UInt64, _ bytes: UnsafeRawBufferPointer) {
        crc.add(UInt64(count) | tag << 60)
        crc.add(bytes)
    }
}

extension Row {
    /// Whether the row of `table` that begins with the column `first` is as it was written.
    func isWhole(_ table: CheckedTable, first: Int = 0) -> Bool {
        var checksum = RowChecksum(table)
        let end = first + table.columns.count
        for column in first..<end { checksum.add(self[column] as DatabaseValue) }
        let stored: DatabaseValue = self[end]
        guard case .int64(let crc) = stored.storage else { return false }
        return crc == checksum.value
    }

    /// Throws `.damagedState` where the row is not as it was written.
    func check(_ table: CheckedTable, of partition: PartitionID, first: Int = 0) throws(StoreError) {
        guard !isWhole(table, first: first) else { return }
        throw .damagedState(partition, "partition \(partition), \(table.name): a row's checksum does not match")
    }
}
