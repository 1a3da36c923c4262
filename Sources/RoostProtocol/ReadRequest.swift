public import RoostModel

/// A read that a partition's leader answers after proving its leadership (ReadIndex); `.replica` is of one replica.
public enum ReadRequest: Sendable, Equatable {
    case account(UserID)
    /// The partition's accounts above `after`, by user id, at most `limit` (operators).
    case accounts(after: UserID?, limit: UInt32)
    /// `.none` where there is no such user.
    case devices(UserID)
    /// The devices of several users of the partition, together.
    case knownDevices([UserID])
    /// Of several users of the partition: what tells when they were online last.
    case lastSeen([UserID])
    /// Those of `among` with whom `user` shares a conversation of the partition now.
    case contacts(of: UserID, among: [UserID])
    /// Gives the session a generation; `device` must be registered. Answered with `.session`, or `.none` where the
    /// device, or that token at it, is not known yet.
    case openSession(user: UserID, device: DeviceID, token: TokenStamp? = nil)
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
    case ring
    /// The nodes that vote in the partition's group.
    case voters
    case cursors(ConversationID)
    case message(MessageID)
    /// Per device of the user: how many messages of the partition it has not acknowledged.
    case pending(UserID, devices: [DeviceRecord])
    /// What the replica that is asked, leader or not, has of an entry: no proof of anything but itself.
    case replica(index: UInt64)
    /// Of a node: whether it has exactly these signing keys. One that has not asks for them.
    case holdsKeys(digest: UInt64)
}

public enum ReadResponse: Sendable, Equatable {
    case account(AccountRecord)
    case accounts([AccountRecord])
    case devices([DeviceRecord])
    case lastSeen([UserLastSeen])
    case users([UserID])
    case session(SessionGrant)
    case conversation(ConversationSnapshot)
    case conversations([ConversationSnapshot])
    case messages([Message])
    case backlog(Backlog)
    /// `through`: log index up to which nothing is left out.
    case synced(messages: [Message], through: UInt64)
    case signingKeys([SigningKey])
    case ring(Ring)
    case voters([NodeID])
    case cursors(ConversationSnapshot, [CursorAdvance])
    case located(MessageLocation)
    case pending([DevicePending])
    case replica(ReplicaStatus)
    case holds(Bool)
    /// There is no such thing.
    case none
    case rejected(Rejection)
}

/// What the log tells of when a user was online last.
public struct UserLastSeen: Sendable, Equatable {
    public var user: UserID
    /// It is not for others to see.
    public var isHidden: Bool
    public var devices: [DeviceRecord]
    public init(user: UserID, isHidden: Bool, devices: [DeviceRecord]) {
        self.user = user
        self.isHidden = isHidden
        self.devices = devices
    }
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
    public var term: UInt64
    /// Who answered.
    public var leader: NodeID
    /// Where the entry should be, as the group is configured; sorted by node.
    public var replicas: [MessageReplica]
    /// Users who may read it.
    public var readers: [UserID]
    /// Cursors of the conversation's devices.
    public var cursors: [CursorAdvance]
    public init(
        conversation: ConversationID, seq: UInt64, sender: UserID, originDevice: DeviceID, sentAt: Int64,
        index: UInt64, term: UInt64, leader: NodeID, replicas: [MessageReplica], readers: [UserID],
        cursors: [CursorAdvance]
    ) {
        self.conversation = conversation
        self.seq = seq
        self.sender = sender
        self.originDevice = originDevice
        self.sentAt = sentAt
        self.index = index
        self.term = term
        self.leader = leader
        self.replicas = replicas
        self.readers = readers
        self.cursors = cursors
    }
}

public struct MessageReplica: Sendable, Equatable {
    public var node: NodeID
    public var isVoter: Bool
    public init(node: NodeID, isVoter: Bool) {
        self.node = node
        self.isVoter = isVoter
    }
}

/// What one replica has of an entry.
public struct ReplicaStatus: Sendable, Equatable {
    /// Of the entry at the index asked for, if one is synced there.
    public var term: UInt64?
    /// When it was synced, by the replica's wall clock: microseconds since 1970, or up to a second later. Nil where no
    /// entry is, or its time was not recorded.
    public var syncedAt: Int64?
    public var lastIndex: UInt64
    public var appliedIndex: UInt64
    public init(term: UInt64?, syncedAt: Int64?, lastIndex: UInt64, appliedIndex: UInt64) {
        self.term = term
        self.syncedAt = syncedAt
        self.lastIndex = lastIndex
        self.appliedIndex = appliedIndex
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
