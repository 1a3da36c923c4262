package import RoostModel
package import RoostProtocol

/// What this node knows of a member, itself included.
package struct MemberState: Sendable, Equatable {
    package var node: NodeID
    /// 0: a member of `cluster.json` that was never heard of.
    package var epoch: Epoch
    package var incarnation: UInt64
    package var status: MemberStatus
    /// `host:peer_port`.
    package var address: String
    /// When the status (or the epoch) changed last, monotonic nanoseconds of this node.
    package var since: UInt64

    package init(
        node: NodeID, epoch: Epoch, incarnation: UInt64, status: MemberStatus, address: String, since: UInt64
    ) {
        self.node = node
        self.epoch = epoch
        self.incarnation = incarnation
        self.status = status
        self.address = address
        self.since = since
    }

    /// Whether any life of it was ever heard of, from itself or from others.
    package var isHeard: Bool { epoch > 0 }
    /// Alive or suspect, in a life that was heard of: it takes part.
    package var isActive: Bool { isHeard && (status == .alive || status == .suspect) }

    /// Whether a rumour is news: a higher epoch beats all; within an epoch `left` is final, then the higher incarnation
    /// wins, then dead over suspect over alive.
    func isSuperseded(by rumour: MemberRumour) -> Bool {
        if rumour.epoch != epoch { return rumour.epoch > epoch }
        if status == .left { return false }
        if rumour.status == .left { return true }
        if rumour.incarnation != incarnation { return rumour.incarnation > incarnation }
        return rumour.status.rawValue > status.rawValue
    }

    /// Of a node itself: whether what is said of it is no more so, or was never. What is newer than it knows is not.
    func isSuperseding(_ rumour: MemberRumour) -> Bool {
        if rumour.epoch != epoch { return rumour.epoch < epoch }
        if rumour.status == .left, status != .left { return false }
        return rumour.incarnation < incarnation || (rumour.incarnation == incarnation && rumour.status != status)
    }

    /// Of what all should agree on.
    var hash: UInt64 {
        let life = StableHash.mix(StableHash.mix(epoch) ^ (incarnation &* 4 | UInt64(status.rawValue)))
        return StableHash.mix(StableHash.of(node.name) ^ life)
    }

    /// The state as others are told of it.
    func rumour(accuser: NodeID? = nil) -> MemberRumour {
        MemberRumour(
            node: node, epoch: epoch, incarnation: incarnation, status: status, address: address,
            accuser: status == .suspect ? accuser : nil)
    }
}
