public import NIOCore

public enum ConversationType: UInt8, Sendable, Hashable, CaseIterable {
    case direct = 1
    case group = 2
    /// Only owner and admin may post.
    case channel = 3
    case `self` = 4

    public var name: String {
        switch self {
        case .direct: "direct"
        case .group: "group"
        case .channel: "channel"
        case .self: "self"
        }
    }
    public init?(name: String) {
        guard let found = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = found
    }
}

public enum MemberRole: UInt8, Sendable, Hashable, CaseIterable {
    case member = 0
    case admin = 1
    case owner = 2

    public var name: String {
        switch self {
        case .member: "member"
        case .admin: "admin"
        case .owner: "owner"
        }
    }
}

/// What an account may do: `admin` accounts may see every presence and make admins.
public enum AccountRole: UInt8, Sendable, Hashable, CaseIterable {
    case user = 0
    case admin = 1
    public var name: String { self == .admin ? "admin" : "user" }
    public init?(name: String) {
        guard let found = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = found
    }
}

public enum MembershipAction: UInt8, Sendable, Hashable, CaseIterable {
    case add = 1
    case remove = 2
    case promote = 3
    case demote = 4
    public var name: String {
        switch self {
        case .add: "add"
        case .remove: "remove"
        case .promote: "promote"
        case .demote: "demote"
        }
    }
    public init?(name: String) {
        guard let found = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = found
    }
}

/// A message as it stands in the log.
public struct Message: Sendable, Equatable {
    public var id: MessageID
    public var conversation: ConversationID
    /// 1, 2, 3 … within the conversation, without gaps.
    public var seq: UInt64
    public var sender: UserID
    public var originDevice: DeviceID
    public var type: String
    /// One JSON value, byte for byte as the sender wrote it.
    public var content: ByteBuffer
    /// Hybrid logical clock, microseconds since 1970.
    public var sentAt: Int64

    public init(
        id: MessageID, conversation: ConversationID, seq: UInt64, sender: UserID, originDevice: DeviceID, type: String,
        content: ByteBuffer, sentAt: Int64
    ) {
        self.id = id
        self.conversation = conversation
        self.seq = seq
        self.sender = sender
        self.originDevice = originDevice
        self.type = type
        self.content = content
        self.sentAt = sentAt
    }
}
