public import NIOCore
public import RoostModel

/// What a partition's log records. Decided when applied, in the log's order, by every replica alike.
public indirect enum Command: Sendable, Equatable {
    case send(SendCommand)
    case createAccount(AccountRecord)
    case setAccountDisabled(user: UserID, disabled: Bool)
    /// A device's first appearance, or that of a token at it. Messages sent before `startAt` (HLC microseconds) are not
    /// for it; 0 for all.
    case registerDevice(user: UserID, device: DeviceID, startAt: Int64, token: TokenStamp? = nil)
    case createConversation(CreateConversationCommand)
    case changeMembers(ChangeMembersCommand)
    /// Acknowledgements, coalesced; a cursor never goes back.
    case advanceCursors([CursorAdvance])
    /// Partition 0 only.
    case addSigningKey(SigningKey)
    /// A command that is decided by limits: those of the leader that proposed it, whatever the replicas' own files say.
    case limited(CommandLimits, Command)
    /// Devices with a session: they have been seen at the time of the entry.
    case seeDevices([DeviceSighting])
    /// Gives devices up, unless they have been seen since.
    case forgetDevices([DeviceSighting])
    /// In every partition with conversations: the cursors of devices that were given up.
    case dropCursors([DeviceSighting])
    /// The content of messages up to a seq is removed.
    case raiseFloors([FloorRaise])
    /// The ids of messages up to a seq are forgotten; only of messages whose content is removed.
    case raiseIDFloors([FloorRaise])
    /// A command that is applied once, however often it stands in the log.
    case called(CallIdentity, Command)
    /// Whether others see when the user was online last.
    case setLastSeenHidden(user: UserID, hidden: Bool)
    /// Partition 0 only: the ring as founded, or a newer one than the log has left.
    case foundRing(Ring)
    /// Partition 0 only.
    case changeRing(RingChange)
    case revokeTokens(user: UserID, TokenRevocation)
    /// Partition 0 only: every node alive has the key, so it may sign.
    case activateSigningKey(id: String)
    /// Partition 0 only: what it has signed is refused from now on.
    case removeSigningKey(id: String)
}

extension Command {
    public var changesRing: Bool {
        switch self {
        case .changeRing: true
        case .called(_, let command): command.changesRing
        default: false
        }
    }

    /// The send that it is, with limits or without.
    public var sending: SendCommand? {
        switch self {
        case .send(let send): send
        case .limited(_, let command): command.sending
        default: nil
        }
    }
}

/// A command as it stands in an entry, with the leader's HLC stamp in microseconds.
public struct StampedCommand: Sendable, Equatable {
    public var stamp: Int64
    public var command: Command
    public init(stamp: Int64, command: Command) {
        self.stamp = stamp
        self.command = command
    }
}

/// Where a send stands among its session's sends to one conversation.
public struct SendOrder: Sendable, Equatable {
    public var session: SessionID
    /// Grows when a pipeline was given up: shuts out stragglers of the run before.
    public var run: UInt32
    /// 1, 2, 3 … within (session, conversation).
    public var counter: UInt64
    /// All counters below are answered.
    public var base: UInt64
    public init(session: SessionID, run: UInt32, counter: UInt64, base: UInt64) {
        self.session = session
        self.run = run
        self.counter = counter
        self.base = base
    }
}

public struct SendCommand: Sendable, Equatable {
    public var conversation: ConversationID
    /// Set for `direct` and `self`: the conversation is made with the message if it does not exist.
    public var peer: UserID?
    public var sender: UserID
    public var device: DeviceID
    public var id: MessageID
    public var type: String
    /// One JSON value, as the sender wrote it.
    public var content: ByteBuffer
    public var order: SendOrder
    /// Set where type and content are removed: what `ContentHash` gave for them.
    public var removedHash: UInt64?
    public init(
        conversation: ConversationID, peer: UserID?, sender: UserID, device: DeviceID, id: MessageID, type: String,
        content: ByteBuffer, order: SendOrder, removedHash: UInt64? = nil
    ) {
        self.conversation = conversation
        self.peer = peer
        self.sender = sender
        self.device = device
        self.id = id
        self.type = type
        self.content = content
        self.order = order
        self.removedHash = removedHash
    }
}

public struct AccountRecord: Sendable, Equatable {
    public var user: UserID
    /// As written at registration.
    public var username: String
    /// Parameters, salt and scrypt hash, in one text.
    public var passwordHash: String
    public var role: AccountRole
    public var disabled: Bool
    /// Others do not see when he was online last.
    public var hidesLastSeen: Bool
    /// Microseconds since 1970.
    public var createdAt: Int64
    public var revocations: TokenRevocations
    public init(
        user: UserID, username: String, passwordHash: String, role: AccountRole, disabled: Bool = false,
        hidesLastSeen: Bool = false, createdAt: Int64, revocations: TokenRevocations = .init()
    ) {
        self.user = user
        self.username = username
        self.passwordHash = passwordHash
        self.role = role
        self.disabled = disabled
        self.hidesLastSeen = hidesLastSeen
        self.createdAt = createdAt
        self.revocations = revocations
    }
}

public struct DeviceRecord: Sendable, Equatable {
    public var user: UserID
    public var device: DeviceID
    public var startAt: Int64
    /// Microseconds since 1970, by the log.
    public var createdAt: Int64
    /// When it last appeared or had a session, as far as the log tells; microseconds since 1970, by the log.
    public var seenAt: Int64
    /// Known to the replicas of the user's partition only: not on the wire.
    public var tokens: DeviceTokens
    /// `seenAt` is `createdAt` where it is not given.
    public init(
        user: UserID, device: DeviceID, startAt: Int64, createdAt: Int64, seenAt: Int64? = nil,
        tokens: DeviceTokens = .init()
    ) {
        self.user = user
        self.device = device
        self.startAt = startAt
        self.createdAt = createdAt
        self.seenAt = seenAt ?? createdAt
        self.tokens = tokens
    }
}

public struct CreateConversationCommand: Sendable, Equatable {
    public var id: ConversationID
    public var type: ConversationType
    public var name: String?
    public var creator: UserID
    /// Without the creator; sorted, each once.
    public var members: [UserID]
    public init(id: ConversationID, type: ConversationType, name: String?, creator: UserID, members: [UserID]) {
        self.id = id
        self.type = type
        self.name = name
        self.creator = creator
        self.members = members
    }
}

public struct ChangeMembersCommand: Sendable, Equatable {
    public var conversation: ConversationID
    public var actor: UserID
    public var users: [UserID]
    public var action: MembershipAction
    public init(conversation: ConversationID, actor: UserID, users: [UserID], action: MembershipAction) {
        self.conversation = conversation
        self.actor = actor
        self.users = users
        self.action = action
    }
}

public struct CursorAdvance: Sendable, Equatable {
    public var user: UserID
    public var device: DeviceID
    public var conversation: ConversationID
    public var seq: UInt64
    public init(user: UserID, device: DeviceID, conversation: ConversationID, seq: UInt64) {
        self.user = user
        self.device = device
        self.conversation = conversation
        self.seq = seq
    }
}

public struct SigningKey: Sendable, Equatable {
    /// The `kid` of the tokens it signs.
    public var id: String
    public var secret: ByteBuffer
    /// Microseconds since 1970.
    public var createdAt: Int64
    /// Since when it may sign, by the log, microseconds; 0: not yet. The one that was the last to become so signs.
    public var activeAt: Int64
    public init(id: String, secret: ByteBuffer, createdAt: Int64, activeAt: Int64 = 0) {
        self.id = id
        self.secret = secret
        self.createdAt = createdAt
        self.activeAt = activeAt
    }
}

/// Why a command or a read was refused. Raw values are on the wire.
public enum Rejection: UInt8, Sendable, Error, CaseIterable {
    case unknownConversation = 1
    case unknownUser = 2
    case notMember = 3
    /// A member, but the role does not suffice.
    case notAllowed = 4
    /// The message id stands for other content.
    case idReused = 5
    /// The name or the conversation id is taken with other parameters.
    case conflict = 6
    case limitExceeded = 7
    case invalid = 8
    case accountDisabled = 9
    /// The outcome is unknown or nothing was done; trying again is safe.
    case unavailable = 10
    /// Came out of the order of its session; the ingress sends again.
    case outOfOrder = 11
    case unknownMessage = 12
    case unknownDevice = 13
    case tokenRevoked = 14
    case unknownKey = 15
}

/// What applying a command answered.
public enum CommandResult: Sendable, Equatable {
    case sent(conversation: ConversationID, seq: UInt64, sentAt: Int64)
    /// The account was made by this command.
    case created(at: Int64)
    case conversation(ConversationSnapshot)
    /// Applied; nothing more to say.
    case done
    case rejected(Rejection)
}

public struct MemberSnapshot: Sendable, Equatable {
    public var user: UserID
    public var role: MemberRole
    /// False for one who left or was removed.
    public var current: Bool
    public init(user: UserID, role: MemberRole, current: Bool) {
        self.user = user
        self.role = role
        self.current = current
    }
}

/// A conversation as its leader knows it.
public struct ConversationSnapshot: Sendable, Equatable {
    public var id: ConversationID
    public var type: ConversationType
    public var name: String?
    /// Microseconds since 1970.
    public var createdAt: Int64
    public var lastSeq: UInt64
    /// Sorted by user; former members too.
    public var members: [MemberSnapshot]
    public init(
        id: ConversationID, type: ConversationType, name: String?, createdAt: Int64, lastSeq: UInt64,
        members: [MemberSnapshot]
    ) {
        self.id = id
        self.type = type
        self.name = name
        self.createdAt = createdAt
        self.lastSeq = lastSeq
        self.members = members
    }
}
