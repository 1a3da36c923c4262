public import RoostModel

public enum MemberStatus: UInt8, Sendable, Hashable, CaseIterable {
    case alive = 0
    case suspect = 1
    case dead = 2
    /// It said goodbye: nobody waits for a timeout.
    case left = 3
    public var name: String {
        switch self {
        case .alive: "alive"
        case .suspect: "suspect"
        case .dead: "dead"
        case .left: "left"
        }
    }
}

/// What is said of a node. Newer is: higher epoch, then higher incarnation, then left > dead > suspect > alive.
public struct MemberRumour: Sendable, Equatable {
    public var node: NodeID
    public var epoch: Epoch
    public var incarnation: UInt64
    public var status: MemberStatus
    /// `host:peer_port`, so that a node that never saw it can dial it.
    public var address: String
    /// Of a suspicion: who failed to reach the node, so that independent accusers can be counted (Lifeguard); else nil.
    public var accuser: NodeID?
    public init(
        node: NodeID, epoch: Epoch, incarnation: UInt64, status: MemberStatus, address: String, accuser: NodeID? = nil
    ) {
        self.node = node
        self.epoch = epoch
        self.incarnation = incarnation
        self.status = status
        self.address = address
        self.accuser = accuser
    }
}

/// How far somebody's knowledge of a presence part goes.
public struct PresenceDigest: Sendable, Equatable {
    public var node: NodeID
    public var epoch: Epoch
    public var version: UInt64
    public init(node: NodeID, epoch: Epoch, version: UInt64) {
        self.node = node
        self.epoch = epoch
        self.version = version
    }
}

/// SWIM's messages (Das, Gupta, Motivala 2002), with Lifeguard's nack (Dadgar, Phillips, Currey 2017).
public struct SwimMessage: Sendable, Equatable {
    public enum Body: Sendable, Equatable {
        case ping(sequence: UInt32)
        /// `target`: whose liveness is confirmed; the sender itself, or the node it probed for somebody.
        case ack(sequence: UInt32, target: NodeID)
        case pingRequest(sequence: UInt32, target: NodeID)
        /// The relay lives, but had no answer from the target in time.
        case nack(sequence: UInt32, target: NodeID)
        /// Everything the sender knows, in `rumours`; answered in kind where `reply`.
        case exchange(reply: Bool)
        /// A hash of all members that the sender knows: whoever knows other ones begins an exchange.
        case summary(members: UInt64)
    }
    public var body: Body
    public var rumours: [MemberRumour]
    public var digests: [PresenceDigest]
    public init(body: Body, rumours: [MemberRumour] = [], digests: [PresenceDigest] = []) {
        self.body = body
        self.rumours = rumours
        self.digests = digests
    }
}

/// One device's presence in the part of the node that serves it.
public struct PresenceEntry: Sendable, Equatable {
    public var user: UserID
    public var device: DeviceID
    public var session: SessionID
    public var generation: Generation
    /// Microseconds since 1970 when the session began or, for a tombstone, ended.
    public var since: Int64
    public init(user: UserID, device: DeviceID, session: SessionID, generation: Generation, since: Int64) {
        self.user = user
        self.device = device
        self.session = session
        self.generation = generation
        self.since = since
    }
}

/// A change of one entry, at a version of its part.
public struct PresenceChange: Sendable, Equatable {
    public var version: UInt64
    public var online: Bool
    public var entry: PresenceEntry
    public init(version: UInt64, online: Bool, entry: PresenceEntry) {
        self.version = version
        self.online = online
        self.entry = entry
    }
}

/// Presence messages. The part of a node is written by that node alone.
public enum PresenceMessage: Sendable, Equatable {
    /// Continues the sender's part from version `from` to `to`.
    case delta(node: NodeID, epoch: Epoch, from: UInt64, to: UInt64, changes: [PresenceChange])
    /// "I have your part up to `version`" of `epoch` (0: nothing): send what follows.
    case request(node: NodeID, epoch: Epoch, version: UInt64)
    /// The whole part at `version`, in chunks 0 ..< `chunks`; swapped in when the last is there.
    case snapshot(
        node: NodeID, epoch: Epoch, version: UInt64, chunk: UInt32, chunks: UInt32, entries: [PresenceEntry])
}
