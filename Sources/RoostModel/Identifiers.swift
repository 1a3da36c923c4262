/// An identifier that is a UUID; the phantom `Kind` keeps a user's id from being taken for a conversation's.
public struct Identifier<Kind>: Hashable, Sendable, Comparable, CustomStringConvertible {
    public let uuid: UUID128

    @inlinable
    public init(_ uuid: UUID128) { self.uuid = uuid }

    /// Parses the 36-character form, any case.
    public init?(_ text: some StringProtocol) {
        guard let uuid = UUID128(text) else { return nil }
        self.init(uuid)
    }

    @inlinable
    public static func < (a: Self, b: Self) -> Bool { a.uuid < b.uuid }
    public var description: String { uuid.description }
}

public enum UserKind {}
public enum ConversationKind {}
public enum MessageKind {}

/// An account: UUIDv5 of the folded username, so that a name is one key in one partition.
public typealias UserID = Identifier<UserKind>
/// A conversation; of `direct` and `self` ones UUIDv5 of the users' ids.
public typealias ConversationID = Identifier<ConversationKind>
/// A message, chosen by its sender; identity is (conversation, sender, id).
public typealias MessageID = Identifier<MessageKind>

private let usernameNamespace = UUID128(high: 0x6f1c_5f0a_9b0e_5d63, low: 0xa1d4_2c5b_7e90_3f11)
private let conversationNamespace = UUID128(high: 0x2b7d_9e84_41c6_5a0f, low: 0x93e8_56d1_0fb2_c47a)

extension Identifier where Kind == UserKind {
    /// The id of the account with a username already folded (NFKC, then case folding).
    public init(foldedUsername: String) {
        self.init(UUID128.version5(namespace: usernameNamespace, name: foldedUsername.utf8))
    }
}

extension Identifier where Kind == ConversationKind {
    /// The `direct` conversation of two users, or the `self` conversation where both are one.
    public init(direct a: UserID, _ b: UserID) {
        let first = min(a, b)
        let second = max(a, b)
        self.init(UUID128.version5(namespace: conversationNamespace, name: first.uuid.bytes + second.uuid.bytes))
    }
}

/// One of a user's clients: 1 to 64 of letters, digits, `.`, `_`, `-`, chosen by the client.
public struct DeviceID: Hashable, Sendable, Comparable, CustomStringConvertible {
    public let text: String

    /// Nil where the text breaks the rule above.
    public init?(_ text: String) {
        guard (1...64).contains(text.utf8.count) else { return nil }
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                continue
            default: return nil
            }
        }
        self.text = text
    }

    /// For text that was validated before it was stored or sent between nodes.
    public init(validated text: String) { self.text = text }

    public static func < (a: DeviceID, b: DeviceID) -> Bool { a.text < b.text }
    public var description: String { text }
}

/// The name of a node in `cluster.json`.
public struct NodeID: Hashable, Sendable, Comparable, CustomStringConvertible, ExpressibleByStringLiteral {
    public let name: String
    public init(_ name: String) { self.name = name }
    public init(stringLiteral value: String) { name = value }
    public static func < (a: NodeID, b: NodeID) -> Bool { a.name < b.name }
    public var description: String { name }
}

/// A database's random identity from its birth: a node that lost its disk comes back with another.
public struct StoreID: Hashable, Sendable, Comparable, CustomStringConvertible {
    public let value: UInt64
    public init(_ value: UInt64) { self.value = value }
    public static func < (a: StoreID, b: StoreID) -> Bool { a.value < b.value }
    public var description: String {
        let hex = String(value, radix: 16)
        return String(repeating: "0", count: 16 - hex.count) + hex
    }
}

/// A node's life: max(stored + 1, UNIX seconds) at each start, synced before the node speaks.
public typealias Epoch = UInt64

/// One of the P replicated logs, 0 ..< P.
public struct PartitionID: Hashable, Sendable, Comparable, CustomStringConvertible, ExpressibleByIntegerLiteral {
    public let value: UInt16
    public init(_ value: UInt16) { self.value = value }
    public init(integerLiteral value: UInt16) { self.value = value }
    public static func < (a: PartitionID, b: PartitionID) -> Bool { a.value < b.value }
    public var description: String { String(value) }

    /// The partition of an id among `count`, by a hash that never changes.
    public init(of uuid: UUID128, count: Int) {
        self.init(UInt16(StableHash.of(uuid) % UInt64(max(1, count))))
    }
}

/// A session's identity: the node's epoch and a counter would do; 64 random bits do without either.
public struct SessionID: Hashable, Sendable, Comparable, CustomStringConvertible {
    public let value: UInt64
    public init(_ value: UInt64) { self.value = value }
    public static func < (a: SessionID, b: SessionID) -> Bool { a.value < b.value }
    public var description: String {
        let hex = String(value, radix: 16)
        return String(repeating: "0", count: 16 - hex.count) + hex
    }
}

/// Which session of a device is newer: given by the leader of the user's partition, never by clocks.
public struct Generation: Hashable, Sendable, Comparable {
    public let term: UInt64
    public let count: UInt64
    public init(term: UInt64, count: UInt64) {
        self.term = term
        self.count = count
    }
    public static func < (a: Generation, b: Generation) -> Bool {
        a.term != b.term ? a.term < b.term : a.count < b.count
    }
}
