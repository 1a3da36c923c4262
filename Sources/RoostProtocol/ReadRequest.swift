public import RoostModel

/// A read that a partition's leader answers after proving its leadership (ReadIndex).
public enum ReadRequest: Sendable, Equatable {
    case account(UserID)
    /// Every account of the partition (operators).
    case accounts
    case devices(UserID)
    /// The devices of several users of the partition, together.
    case knownDevices([UserID])
    /// Gives the session a generation; `device` must be registered. Answered with `.session`, or `.none` where the
    /// device is not known yet.
    case openSession(user: UserID, device: DeviceID)
    case conversation(ConversationID)
    /// Those of the partition in which the user is or was a member.
    case conversations(UserID)
    /// Visible to `user`, newest first where `before` is set (exclusive), else oldest first from `after` (exclusive).
    case history(
        conversation: ConversationID, user: UserID, before: UInt64?, after: UInt64?, skip: UInt32, limit: UInt32)
    /// What a device of `user` reads next in a conversation: readable messages with seq above `after`, ascending.
    case backlog(conversation: ConversationID, user: UserID, after: UInt64, limit: UInt32)
    /// The user's messages of the partition with log index above `afterIndex`, sent at or after `since`, in log order.
    case sync(user: UserID, since: Int64, afterIndex: UInt64, conversations: [ConversationID], limit: UInt32)
    case signingKeys
    case cursors(ConversationID)
    case message(MessageID)
    /// Per device of the user: how many messages of the partition it has not acknowledged.
    case pending(UserID, devices: [DeviceRecord])
}

public enum ReadResponse: Sendable, Equatable {
    case account(AccountRecord)
    case accounts([AccountRecord])
    case devices([DeviceRecord])
    case session(SessionGrant)
    case conversation(ConversationSnapshot)
    case conversations([ConversationSnapshot])
    case messages([Message])
    case backlog(Backlog)
    /// `through`: log index up to which nothing is left out.
    case synced(messages: [Message], through: UInt64)
    case signingKeys([SigningKey])
    case cursors(ConversationSnapshot, [CursorAdvance])
    case located(MessageLocation)
    case pending([DevicePending])
    /// There is no such thing.
    case none
    case rejected(Rejection)
}

/// What a device reads next in a conversation.
public struct Backlog: Sendable, Equatable {
    public var messages: [Message]
    /// Seq up to which nothing that the user may read is left out.
    public var through: UInt64
    /// What the user might have read before the first of `messages` if the retention had not removed it.
    public var lost: ClosedRange<UInt64>?
    public init(messages: [Message], through: UInt64, lost: ClosedRange<UInt64>? = nil) {
        self.messages = messages
        self.through = through
        self.lost = lost
    }
}

public struct SessionGrant: Sendable, Equatable {
    public var generation: Generation
    public var role: AccountRole
    public var startAt: Int64
    public init(generation: Generation, role: AccountRole, startAt: Int64) {
        self.generation = generation
        self.role = role
        self.startAt = startAt
    }
}

/// Where a message is, and who has acknowledged it.
public struct MessageLocation: Sendable, Equatable {
    public var conversation: ConversationID
    public var seq: UInt64
    public var sender: UserID
    public var originDevice: DeviceID
    public var sentAt: Int64
    public var index: UInt64
    /// Users who may read it.
    public var readers: [UserID]
    /// Cursors of the conversation's devices.
    public var cursors: [CursorAdvance]
    public init(
        conversation: ConversationID, seq: UInt64, sender: UserID, originDevice: DeviceID, sentAt: Int64,
        index: UInt64, readers: [UserID], cursors: [CursorAdvance]
    ) {
        self.conversation = conversation
        self.seq = seq
        self.sender = sender
        self.originDevice = originDevice
        self.sentAt = sentAt
        self.index = index
        self.readers = readers
        self.cursors = cursors
    }
}

public struct DevicePending: Sendable, Equatable {
    public var device: DeviceID
    public var count: UInt64
    public init(device: DeviceID, count: UInt64) {
        self.device = device
        self.count = count
    }
}
