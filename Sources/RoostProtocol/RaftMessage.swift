public import NIOCore
public import RoostModel

/// A Raft peer is a node together with the database it has: a wiped node is another peer.
public struct RaftPeer: Hashable, Sendable, Comparable {
    public let node: NodeID
    public let store: StoreID
    public init(node: NodeID, store: StoreID) {
        self.node = node
        self.store = store
    }
    public static func < (a: RaftPeer, b: RaftPeer) -> Bool { a.node != b.node ? a.node < b.node : a.store < b.store }
}

/// One entry of a partition's log.
public struct RaftEntry: Sendable, Equatable {
    public enum Kind: UInt8, Sendable {
        /// At the start of a term; no payload.
        case noop = 0
        /// A `StampedCommand`, encoded.
        case command = 1
        /// A `RaftConfiguration`, encoded: in force from when it is appended.
        case configuration = 2
    }
    public var index: UInt64
    public var term: UInt64
    public var kind: Kind
    public var payload: ByteBuffer
    public init(index: UInt64, term: UInt64, kind: Kind, payload: ByteBuffer) {
        self.index = index
        self.term = term
        self.kind = kind
        self.payload = payload
    }
}

/// Who belongs to a Raft group. Changed one membership at a time.
public struct RaftConfiguration: Sendable, Equatable {
    public var voters: [RaftPeer]
    public var learners: [RaftPeer]
    /// Peers that were removed: they never come back, since their disk may have forgotten a vote.
    public var tombstones: [RaftPeer]
    public init(voters: [RaftPeer], learners: [RaftPeer] = [], tombstones: [RaftPeer] = []) {
        self.voters = voters.sorted()
        self.learners = learners.sorted()
        self.tombstones = tombstones.sorted()
    }
}

/// What must be on disk before a vote or an answer leaves: Raft's term and vote.
public struct RaftHardState: Sendable, Equatable {
    public var term: UInt64
    public var vote: RaftPeer?
    public init(term: UInt64 = 0, vote: RaftPeer? = nil) {
        self.term = term
        self.vote = vote
    }
}

/// Raft's messages (Ongaro, "Consensus: Bridging Theory and Practice", 2014), between two peers of one group.
public enum RaftMessage: Sendable, Equatable {
    /// Section 9.6: would you vote for me in `term`? Changes nothing at the receiver.
    case preVote(term: UInt64, lastIndex: UInt64, lastTerm: UInt64)
    case preVoteReply(term: UInt64, granted: Bool)
    /// Section 3.4. `transfer`: the leader asked for it, so a live leader is no reason to refuse.
    case vote(term: UInt64, lastIndex: UInt64, lastTerm: UInt64, transfer: Bool)
    case voteReply(term: UInt64, granted: Bool)
    /// Section 3.5; pipelined: `prevIndex` follows what was last sent, not what was last acknowledged.
    case append(term: UInt64, prevIndex: UInt64, prevTerm: UInt64, commit: UInt64, entries: [RaftEntry])
    /// `success`: synced through `index`. Otherwise `index` is where the leader should try next (the last index that
    /// may match) and `conflictTerm` the follower's term there.
    case appendReply(term: UInt64, success: Bool, index: UInt64, conflictTerm: UInt64)
    /// `commit` is bounded by what the follower is known to have. `read` is the leader's round of heartbeats,
    /// rising and echoed: an answer to it proves leadership to the reads (ReadIndex) that came before the round.
    /// `hibernate`: nothing to do; the follower stops its election timer until it is woken.
    case heartbeat(term: UInt64, commit: UInt64, read: UInt64, hibernate: Bool)
    case heartbeatReply(term: UInt64, read: UInt64, lastIndex: UInt64)
    /// Section 3.10: campaign now.
    case timeoutNow(term: UInt64)

    public var term: UInt64 {
        switch self {
        case .preVote(let term, _, _), .preVoteReply(let term, _), .vote(let term, _, _, _), .voteReply(let term, _),
            .append(let term, _, _, _, _), .appendReply(let term, _, _, _), .heartbeat(let term, _, _, _),
            .heartbeatReply(let term, _, _), .timeoutNow(let term):
            term
        }
    }
}

/// A Raft message with its group; sender and receiver are the link's two ends.
public struct RaftEnvelope: Sendable, Equatable {
    public var partition: PartitionID
    /// The replica it comes from: an identity of the sending node's store.
    public var fromStore: StoreID
    /// The replica the message is meant for: a node that came back with another store drops it.
    public var toStore: StoreID
    public var message: RaftMessage
    public init(partition: PartitionID, fromStore: StoreID, toStore: StoreID, message: RaftMessage) {
        self.partition = partition
        self.fromStore = fromStore
        self.toStore = toStore
        self.message = message
    }
}
