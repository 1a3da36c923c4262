package import RoostModel
package import RoostProtocol

/// A row of the state tables that applying an entry changed. Written by every replica in its next storage batch,
/// together with the index it is as of.
package enum StateChange: Sendable, Equatable {
    case account(AccountRecord)
    case device(DeviceRecord)
    case deviceForgotten(user: UserID, device: DeviceID)
    case conversation(ConversationRow)
    case member(conversation: ConversationID, MemberRow)
    /// The message stands in the log at `index`; here only how to find it.
    case message(MessageRow)
    case cursor(CursorAdvance)
    case cursorDropped(user: UserID, device: DeviceID, conversation: ConversationID)
    /// Type and content of these messages go from the log.
    case stripped(conversation: ConversationID, SeqRange)
    /// Type and content of this entry go from the log: a send that made no message, and no floor will ever reach it. The
    /// hash stands for them.
    case sendStripped(index: UInt64, hash: UInt64)
    /// The rows of these messages go; their entries stay.
    case idsForgotten(conversation: ConversationID, SeqRange)
    case sendOrder(SendOrderRow)
    case sendOrderExpired(session: SessionID, conversation: ConversationID)
    case signingKey(SigningKey)
    case signingKeyRemoved(id: String)
    case call(CallRow)
    case callForgotten(RaftPeer, id: UInt64)
    case ring(Ring)
}

package struct ConversationRow: Sendable, Equatable {
    package var id: ConversationID
    package var type: ConversationType
    package var name: String?
    /// Microseconds since 1970.
    package var createdAt: Int64
    /// Stable hash of the parameters it was made with: a retry with others is a conflict.
    package var parametersHash: UInt64
    package var lastSeq: UInt64
    package var lastSentAt: Int64
    package var retention: ConversationRetention
    package init(
        id: ConversationID, type: ConversationType, name: String?, createdAt: Int64, parametersHash: UInt64,
        lastSeq: UInt64, lastSentAt: Int64, retention: ConversationRetention = .init()
    ) {
        self.id = id
        self.type = type
        self.name = name
        self.createdAt = createdAt
        self.parametersHash = parametersHash
        self.lastSeq = lastSeq
        self.lastSentAt = lastSentAt
        self.retention = retention
    }
}

/// What of a conversation was removed.
package struct ConversationRetention: Sendable, Equatable {
    /// The content of messages up to this seq is removed.
    package var floor: UInt64 = 0
    /// The ids of messages up to this seq are forgotten; at most `floor`.
    package var idFloor: UInt64 = 0
    /// A floor of before, whose ids are the next to be forgotten, and the stamp of when it was reached; 0 where there is
    /// none.
    package var markSeq: UInt64 = 0
    package var markAt: Int64 = 0
    package init(floor: UInt64 = 0, idFloor: UInt64 = 0, markSeq: UInt64 = 0, markAt: Int64 = 0) {
        self.floor = floor
        self.idFloor = idFloor
        self.markSeq = markSeq
        self.markAt = markAt
    }
}

/// A member may read the sequence numbers of his memberships.
package struct MemberRow: Sendable, Equatable {
    package var user: UserID
    package var role: MemberRole
    /// Ranges of seq he was a member in, ascending; the last is open where he still is one.
    package var ranges: [SeqRange]
    package var isCurrent: Bool { ranges.last?.through == nil && !ranges.isEmpty }
    package init(user: UserID, role: MemberRole, ranges: [SeqRange]) {
        self.user = user
        self.role = role
        self.ranges = ranges
    }
}

/// `after` < seq <= `through`; open-ended where `through` is nil.
package struct SeqRange: Sendable, Equatable {
    package var after: UInt64
    package var through: UInt64?
    package init(after: UInt64, through: UInt64?) {
        self.after = after
        self.through = through
    }
    package func contains(_ seq: UInt64) -> Bool { seq > after && seq <= (through ?? .max) }
}

package struct MessageRow: Sendable, Equatable {
    package var conversation: ConversationID
    package var seq: UInt64
    package var index: UInt64
    package var sentAt: Int64
    package var id: MessageID
    package var sender: UserID
    /// Stable hash of type and raw content.
    package var contentHash: UInt64
    package init(
        conversation: ConversationID, seq: UInt64, index: UInt64, sentAt: Int64, id: MessageID, sender: UserID,
        contentHash: UInt64
    ) {
        self.conversation = conversation
        self.seq = seq
        self.index = index
        self.sentAt = sentAt
        self.id = id
        self.sender = sender
        self.contentHash = contentHash
    }
}

/// The last send of a session to a conversation; expires by index, never by clock.
package struct SendOrderRow: Sendable, Equatable {
    package var session: SessionID
    package var conversation: ConversationID
    package var run: UInt32
    package var counter: UInt64
    package var index: UInt64
    package init(session: SessionID, conversation: ConversationID, run: UInt32, counter: UInt64, index: UInt64) {
        self.session = session
        self.conversation = conversation
        self.run = run
        self.counter = counter
        self.index = index
    }
}

/// Everything a partition's state machine needs to go on from `appliedIndex`.
package struct StateSnapshot: Sendable {
    package var appliedIndex: UInt64
    package var accounts: [AccountRecord]
    package var devices: [DeviceRecord]
    package var conversations: [ConversationRow]
    package var members: [(conversation: ConversationID, member: MemberRow)]
    package var cursors: [CursorAdvance]
    package var sendOrders: [SendOrderRow]
    package var calls: [CallRow]
    package var signingKeys: [SigningKey]
    package var ring: Ring?
    /// The newest HLC stamp in the log up to `appliedIndex`.
    package var lastStamp: Int64
    package init(
        appliedIndex: UInt64 = 0, accounts: [AccountRecord] = [], devices: [DeviceRecord] = [],
        conversations: [ConversationRow] = [], members: [(conversation: ConversationID, member: MemberRow)] = [],
        cursors: [CursorAdvance] = [], sendOrders: [SendOrderRow] = [], calls: [CallRow] = [],
        signingKeys: [SigningKey] = [], ring: Ring? = nil, lastStamp: Int64 = 0
    ) {
        self.appliedIndex = appliedIndex
        self.accounts = accounts
        self.devices = devices
        self.conversations = conversations
        self.members = members
        self.cursors = cursors
        self.sendOrders = sendOrders
        self.calls = calls
        self.signingKeys = signingKeys
        self.ring = ring
        self.lastStamp = lastStamp
    }
}

/// Answers whether a message id is known, from the state tables. Synchronous: a lookup by key.
package protocol KnownMessages {
    /// The message of this identity whose rows are in the state tables, whatever its index.
    func knownMessage(
        partition: PartitionID, conversation: ConversationID, sender: UserID, id: MessageID
    ) -> MessageRow?
}
