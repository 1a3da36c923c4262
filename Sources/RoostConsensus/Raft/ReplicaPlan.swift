package import RoostModel
package import RoostProtocol

/// What a leader changes next in its group's membership, so that every node that should hold a replica holds one under
/// the store it has now. A node that lost its disk comes back under a new store id: it is added as a learner, filled by
/// ordinary appends, then the former peer is removed and the new one promoted, one committed entry after the other.
package enum ReplicaPlan {
    /// - Parameters:
    ///   - status: all members but `me`, as the leader sees them.
    ///   - wanted: the nodes that should hold a replica.
    ///   - stores: the store each node has now, of those with a link; nothing is decided about the others.
    /// - Returns: one change, or nil if nothing is to be done or can be now.
    package static func next(
        me: RaftPeer, configuration: RaftConfiguration, status: [RaftGroup.PeerStatus], lastIndex: UInt64,
        promotionLag: UInt64, wanted: [NodeID], stores: [NodeID: StoreID]
    ) -> RaftGroup.MembershipChange? {
        for learner in configuration.learners.sorted() {
            guard let store = stores[learner.node] else { continue }
            // It lost its disk again before it was filled.
            if store != learner.store { return .remove(learner) }
            let isFilled = status.contains {
                $0.peer == learner && $0.isReachable && $0.matchIndex + promotionLag >= lastIndex
            }
            guard isFilled else { continue }
            let former = configuration.voters.sorted().first { $0.node == learner.node }
            return former.map { .remove($0) } ?? .promote(learner)
        }
        let members = configuration.voters + configuration.learners
        for node in (wanted + configuration.voters.map(\.node)).sorted() where node != me.node {
            guard let store = stores[node] else { continue }
            let peer = RaftPeer(node: node, store: store)
            guard !members.contains(peer), !configuration.tombstones.contains(peer) else { continue }
            return .addLearner(peer)
        }
        return nil
    }
}
