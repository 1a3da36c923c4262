public import NIOCore
public import RoostModel

/// What travels on an established link between two nodes. Each frame is one length-prefixed unit on the wire.
public enum PeerFrame: Sendable, Equatable {
    // Lane `control`.
    case swim(SwimMessage)
    case presence(PresenceMessage)
    case founding(FoundingMessage)
    /// Measures the round trip; `token` comes back unchanged.
    case linkPing(token: UInt64)
    case linkPong(token: UInt64)
    /// What the sender's wall clock shows, microseconds since 1970.
    case clock(wall: Int64)
    /// With whom the sender has a link, after each change: to these it can relay.
    case reaches([NodeID])
    /// The sender drains: it takes no leadership until this link ends.
    case draining
    case ring(RingMessage)
    /// Its rows on lane `bulk`.
    case repair(RepairMessage)

    // Raft: appends on lane `bulk`, all else on `control`.
    case raft([RaftEnvelope])

    // Lane `bulk`.
    case propose([Proposal])
    case proposalResults([ProposalResult])
    case read([ReadCall])
    case readReplies([ReadReply])
    case open(OpenRequest)
    case opened([OpenReply])
    case unsubscribe([SubscriptionEnd])
    case deliver([DeliverBatch])
    case streamStatus([StreamStatus])
    case acks([AckBatch])
    /// Sessions of the user end with 4401.
    case revoked([UserID])
    /// Sessions whose tokens these refuse end with 4401.
    case tokensRevoked([UserRevocations])
    case relayed(RelayedFrame)
}

/// A frame between two nodes that have lost their link, by way of one that has links with both.
public struct RelayedFrame: Sendable, Equatable {
    public var origin: NodeID
    public var target: NodeID
    /// Type and body of the frame, without its length.
    public var frame: ByteBuffer
    public init(origin: NodeID, target: NodeID, frame: ByteBuffer) {
        self.origin = origin
        self.target = target
        self.frame = frame
    }
}

/// A command on its way to the leader of its partition.
public struct Proposal: Sendable, Equatable {
    /// Unique at the node that proposes, over all its lives.
    public var id: UInt64
    public var partition: PartitionID
    /// How often it was relayed by a replica that is not the leader; at most once.
    public var hops: UInt8
    /// A `Command`, encoded.
    public var command: ByteBuffer
    public init(id: UInt64, partition: PartitionID, hops: UInt8 = 0, command: ByteBuffer) {
        self.id = id
        self.partition = partition
        self.hops = hops
        self.command = command
    }
}

public struct ProposalResult: Sendable, Equatable {
    public enum Outcome: Sendable, Equatable {
        case applied(CommandResult)
        /// Not here: try this node, if one is known.
        case notLeader(NodeID?)
    }
    public var id: UInt64
    public var outcome: Outcome

    public init(id: UInt64, outcome: Outcome) {
        self.id = id
        self.outcome = outcome
    }
}

public struct ReadCall: Sendable, Equatable {
    public var id: UInt64
    public var partition: PartitionID
    public var request: ReadRequest
    public init(id: UInt64, partition: PartitionID, request: ReadRequest) {
        self.id = id
        self.partition = partition
        self.request = request
    }
}

public struct ReadReply: Sendable, Equatable {
    public enum Outcome: Sendable, Equatable {
        case answered(ReadResponse)
        case notLeader(NodeID?)
    }
    public var id: UInt64
    public var outcome: Outcome

    /// Whether it carries contents of messages, by the megabyte.
    public var isLarge: Bool {
        switch outcome {
        case .answered(.messages), .answered(.backlog), .answered(.synced): true
        default: false
        }
    }

    public init(id: UInt64, outcome: Outcome) {
        self.id = id
        self.outcome = outcome
    }
}

/// A session as a leader needs it. `slot` numbers it on its node, for the node's epoch.
public struct SubscribedSession: Sendable, Equatable {
    public var slot: UInt32
    public var session: SessionID
    public var generation: Generation
    public var user: UserID
    public var device: DeviceID
    /// Messages sent before are not for this device; HLC microseconds.
    public var startAt: Int64
    public init(
        slot: UInt32, session: SessionID, generation: Generation, user: UserID, device: DeviceID, startAt: Int64
    ) {
        self.slot = slot
        self.session = session
        self.generation = generation
        self.user = user
        self.device = device
        self.startAt = startAt
    }

    /// What the session adds (by exclusive or) to the digest of its node's subscriptions.
    public var digest: UInt64 { StableHash.mix(UInt64(slot) ^ StableHash.mix(session.value)) }
}

/// "Stream to these sessions what the partitions you lead commit, and tell what they have unread."
public struct OpenRequest: Sendable, Equatable {
    /// Comes back in the reply.
    public var id: UInt64
    public var partitions: [PartitionID]
    public var sessions: [SubscribedSession]
    /// The sessions are all that the node has: others are unsubscribed and the stream begins anew.
    public var reset: Bool
    public init(id: UInt64, partitions: [PartitionID], sessions: [SubscribedSession], reset: Bool) {
        self.id = id
        self.partitions = partitions
        self.sessions = sessions
        self.reset = reset
    }
}

/// A conversation with something unread for a session, as of the reply's index.
public struct UnreadConversation: Sendable, Equatable {
    public var slot: UInt32
    public var conversation: ConversationID
    public var cursor: UInt64
    public var head: UInt64
    /// What the device might have read above its cursor if the retention had not removed it: first and last seq.
    public var lost: ClosedRange<UInt64>?
    public init(
        slot: UInt32, conversation: ConversationID, cursor: UInt64, head: UInt64, lost: ClosedRange<UInt64>? = nil
    ) {
        self.slot = slot
        self.conversation = conversation
        self.cursor = cursor
        self.head = head
        self.lost = lost
    }
}

/// One partition's answer to an open; an empty `unread` counts.
public struct OpenReply: Sendable, Equatable {
    public enum Outcome: Sendable, Equatable {
        /// As of `index`; what is committed after it comes by the stream of `term`, whose last position is `position`.
        case opened(term: UInt64, position: UInt64, index: UInt64, unread: [UnreadConversation])
        case notLeader(NodeID?)
    }
    public var id: UInt64
    public var partition: PartitionID
    public var slots: [UInt32]
    public var outcome: Outcome
    public init(id: UInt64, partition: PartitionID, slots: [UInt32], outcome: Outcome) {
        self.id = id
        self.partition = partition
        self.slots = slots
        self.outcome = outcome
    }
}

/// A session is gone from its node.
public struct SubscriptionEnd: Sendable, Equatable {
    public var slot: UInt32
    public var session: SessionID
    public init(slot: UInt32, session: SessionID) {
        self.slot = slot
        self.session = session
    }
}

/// Whom a message is for: a session, and that device's cursor in the conversation as the leader knows it.
public struct DeliverTarget: Sendable, Equatable {
    public var slot: UInt32
    public var cursor: UInt64
    public init(slot: UInt32, cursor: UInt64) {
        self.slot = slot
        self.cursor = cursor
    }
}

public struct DeliverItem: Sendable, Equatable {
    public var index: UInt64
    public var message: Message
    public var targets: [DeliverTarget]
    public init(index: UInt64, message: Message, targets: [DeliverTarget]) {
        self.index = index
        self.message = message
        self.targets = targets
    }
}

/// One step of the stream (partition, node) in a leader's term: positions are 1, 2, 3 … without gaps.
public struct DeliverBatch: Sendable, Equatable {
    public var partition: PartitionID
    public var term: UInt64
    public var position: UInt64
    public var items: [DeliverItem]
    public init(partition: PartitionID, term: UInt64, position: UInt64, items: [DeliverItem]) {
        self.partition = partition
        self.term = term
        self.position = position
        self.items = items
    }
}

/// About once a second, for idle partitions too: a difference means open again.
public struct StreamStatus: Sendable, Equatable {
    public var partition: PartitionID
    public var term: UInt64
    public var position: UInt64
    /// Exclusive or of the digests of the node's subscribed sessions.
    public var digest: UInt64
    public init(partition: PartitionID, term: UInt64, position: UInt64, digest: UInt64) {
        self.partition = partition
        self.term = term
        self.position = position
        self.digest = digest
    }
}

public struct AckBatch: Sendable, Equatable {
    public var partition: PartitionID
    public var cursors: [CursorAdvance]
    public init(partition: PartitionID, cursors: [CursorAdvance]) {
        self.partition = partition
        self.cursors = cursors
    }
}

public struct FoundingMember: Sendable, Equatable {
    public var node: NodeID
    public var store: StoreID
    /// `host:peer_port`.
    public var address: String
    public init(node: NodeID, store: StoreID, address: String) {
        self.node = node
        self.store = store
        self.address = address
    }
}

/// The one record that founds a cluster: it holds when every node of the file has confirmed it.
public struct FoundingRecord: Sendable, Equatable {
    public var clusterID: UUID128
    public var cluster: String
    /// Stable hash of the founding fields of `cluster.json`.
    public var configurationHash: UInt64
    public var partitions: UInt16
    public var replication: UInt16
    /// Sorted by node.
    public var members: [FoundingMember]
    public init(
        clusterID: UUID128, cluster: String, configurationHash: UInt64, partitions: UInt16, replication: UInt16,
        members: [FoundingMember]
    ) {
        self.clusterID = clusterID
        self.cluster = cluster
        self.configurationHash = configurationHash
        self.partitions = partitions
        self.replication = replication
        self.members = members
    }
}

public enum FoundingMessage: Sendable, Equatable {
    /// From the lowest id to a blank node.
    case propose(FoundingRecord)
    /// Synced by a blank node, which promises once.
    case promise(clusterID: UUID128)
    case refuse(reason: String)
    case founded(FoundingRecord)
}
