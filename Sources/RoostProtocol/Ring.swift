public import RoostModel

/// Who belongs to the cluster: entries of partition 0, so that there is one order of versions. It is intent: who holds
/// a replica is what the partition's own Raft configuration says, which follows it.
public struct Ring: Sendable, Equatable {
    /// 1 as founded, then one more with each change.
    public var version: UInt64
    /// Sorted by node; those that were removed stay listed, so that they are told so.
    public var members: [RingMember]
    public init(version: UInt64, members: [RingMember]) {
        self.version = version
        self.members = members.sorted { $0.node < $1.node }
    }
}

public struct RingMember: Sendable, Equatable {
    public enum State: UInt8, Sendable, Hashable, CaseIterable {
        case active = 0
        /// It gives its replicas away, and goes when it has none left.
        case leaving = 1
        /// It left, or was taken out; whatever comes from it is refused.
        case removed = 2
        public var name: String {
            switch self {
            case .active: "active"
            case .leaving: "leaving"
            case .removed: "removed"
            }
        }
    }
    public var node: NodeID
    /// A name or an address, without port.
    public var host: String
    public var peerPort: UInt16
    /// 0 where they are not known.
    public var clientPort: UInt16
    public var adminPort: UInt16
    public var state: State
    /// The version in which its state changed last.
    public var since: UInt64
    /// The version in which it said last that it is found elsewhere now; 0: never. Then the files of others are old.
    public var moved: UInt64
    public init(
        node: NodeID, host: String, peerPort: UInt16, clientPort: UInt16, adminPort: UInt16, state: State = .active,
        since: UInt64 = 1, moved: UInt64 = 0
    ) {
        self.node = node
        self.host = host
        self.peerPort = peerPort
        self.clientPort = clientPort
        self.adminPort = adminPort
        self.state = state
        self.since = since
        self.moved = moved
    }
    var isReachable: Bool { !node.name.isEmpty && !host.isEmpty && peerPort > 0 }
    public var peerAddress: String { host.contains(":") ? "[\(host)]:\(peerPort)" : "\(host):\(peerPort)" }
}

/// Decided when applied, like every command.
public enum RingChange: Sendable, Equatable {
    /// A blank node wants to take part. Its state and version are given by the ring.
    case join(RingMember)
    /// The node gives its replicas away.
    case leave(NodeID)
    /// The node is out: it has given its replicas away, or it is gone for good.
    case remove(NodeID)
    /// As `remove`, unless the ring is another than the one of which it was found that nothing speaks against it.
    case removeAt(version: UInt64, NodeID)
    /// The node listens elsewhere now. State and versions are the ring's.
    case move(RingMember)
}

extension Ring {
    /// Members that are not removed.
    public static let maxMembers = 64
    /// Removed ones that are remembered; then the oldest are forgotten.
    public static let maxRemoved = 192

    public enum Outcome: Sendable, Equatable {
        case changed(Ring)
        /// It is so already.
        case same
        case refused(Rejection)
    }

    public subscript(node: NodeID) -> RingMember? { members.first { $0.node == node } }
    /// Those that should hold replicas.
    public var active: [NodeID] { members.filter { $0.state == .active }.map(\.node) }
    /// Those that are linked with.
    public var present: [RingMember] { members.filter { $0.state != .removed } }
    public var removed: [NodeID] { members.filter { $0.state == .removed }.map(\.node) }

    public func changed(by change: RingChange) -> Outcome {
        switch change {
        case .join(let wanted): return joined(by: wanted)
        case .leave(let node):
            guard let member = self[node] else { return .refused(.invalid) }
            guard member.state == .active else { return .same }
            guard active.contains(where: { $0 != node }) else { return .refused(.notAllowed) }
            return .changed(with(member, in: .leaving))
        case .remove(let node):
            guard let member = self[node] else { return .refused(.invalid) }
            guard member.state != .removed else { return .same }
            guard active.contains(where: { $0 != node }) else { return .refused(.notAllowed) }
            return .changed(with(member, in: .removed))
        case .removeAt(let version, let node):
            let outcome = changed(by: .remove(node))
            if case .changed = outcome, version != self.version { return .refused(.conflict) }
            return outcome
        case .move(let wanted):
            guard let former = self[wanted.node], former.state != .removed, wanted.isReachable else {
                return .refused(.invalid)
            }
            var moved = wanted
            (moved.state, moved.since, moved.moved) = (former.state, former.since, former.moved)
            if moved == former { return .same }
            moved.moved = version + 1
            return .changed(with(moved, in: former.state))
        }
    }

    private func joined(by wanted: RingMember) -> Outcome {
        guard wanted.isReachable else { return .refused(.invalid) }
        let former = self[wanted.node]
        // It must have gone before it comes again.
        if former?.state == .leaving { return .refused(.conflict) }
        if let former, former.state == .active {
            var same = wanted
            same.state = .active
            same.since = former.since
            same.moved = former.moved
            return same == former ? .same : .changed(with(same, in: .active))
        }
        guard present.count < Self.maxMembers else { return .refused(.limitExceeded) }
        var new = wanted
        new.moved = 0
        return .changed(with(new, in: .active))
    }

    private func with(_ member: RingMember, in state: RingMember.State) -> Ring {
        var next = self
        next.version += 1
        var member = member
        if self[member.node]?.state != state { member.since = next.version }
        member.state = state
        next.members.removeAll { $0.node == member.node }
        let removed = next.members.filter { $0.state == .removed }
        if removed.count >= Self.maxRemoved, let oldest = removed.min(by: { $0.since < $1.since }) {
            next.members.removeAll { $0.node == oldest.node }
        }
        let place = next.members.firstIndex { $0.node > member.node } ?? next.members.count
        next.members.insert(member, at: place)
        return next
    }
}

/// How nodes keep one another's ring up to date, and replicas learn that they were removed.
public enum RingMessage: Sendable, Equatable {
    /// The sender's ring has this version: when a link comes up.
    case version(UInt64)
    /// To one whose ring is older.
    case record(Ring)
    /// Whether this peer of the partition's group was removed; its replica at the sender hears from no leader.
    case isRemoved(partition: PartitionID, store: StoreID)
    /// By a committed entry: then that is so for good.
    case wasRemoved(partition: PartitionID, store: StoreID)
}
