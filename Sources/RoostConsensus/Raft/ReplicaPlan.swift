package import RoostModel
package import RoostProtocol

/// What a leader changes next in its group's membership, so that every node that should hold a replica holds one under
/// the store it has now, and no other does. A node that is to hold one is added as a learner and filled by ordinary
/// appends; one that lost its disk comes back under a new store id, and its former peer is removed first; then the
/// learner is promoted. Who is not wanted any more is removed last, when all that are wanted vote: there are never fewer
/// voters than there should be. One committed entry after the other.
package enum ReplicaPlan {
    /// - Parameters:
    ///   - status: all members but `me`, as the leader sees them.
    ///   - wanted: the nodes that should hold a replica.
    ///   - stores: the store each node has now, of those with a link; none is added or promoted among the others.
    ///   - mayAdd: whether another replica may be filled now.
    /// - Returns: one change, or nil if nothing is to be done or can be now.
    package static func next(
        me: RaftPeer, configuration: RaftConfiguration, status: [RaftGroup.PeerStatus], lastIndex: UInt64,
        promotionLag: UInt64, wanted: [NodeID], stores: [NodeID: StoreID], mayAdd: Bool = true
    ) -> RaftGroup.MembershipChange? {
        guard !wanted.isEmpty else { return nil }
        for learner in configuration.learners.sorted() {
            guard wanted.contains(learner.node) else { return .giveUp(learner) }
            guard let store = stores[learner.node] else { continue }
            // It lost its disk again before it was filled.
            if store.replicaNumber(of: learner.store) == nil { return .remove(learner) }
            let isFilled = status.contains {
                $0.peer == learner && $0.isReachable && $0.matchIndex + promotionLag >= lastIndex
            }
            guard isFilled else { continue }
            let former = configuration.voters.sorted().first { $0.node == learner.node }
            return former.map { .remove($0) } ?? .promote(learner)
        }
        let members = configuration.voters + configuration.learners
        for node in wanted.sorted() where node != me.node && mayAdd {
            guard let store = stores[node],
                !members.contains(where: { $0.node == node && store.replicaNumber(of: $0.store) != nil }),
                let peer = newPeer(node, store, configuration)
            else { continue }
            return .addLearner(peer)
        }
        return surplus(me: me, configuration: configuration, status: status, wanted: wanted).map { .giveUp($0) }
    }

    /// Under the first of the store's identities that never was removed here.
    private static func newPeer(_ node: NodeID, _ store: StoreID, _ configuration: RaftConfiguration) -> RaftPeer? {
        // A disk that was replaced, and is put back while the new one's replica is there: nothing may come of it.
        let hasOther = configuration.voters.contains { $0.node == node }
        for number in 0..<(hasOther ? 1 : StoreID.replicaNumbers) {
            let peer = RaftPeer(node: node, store: store.replica(number))
            if !configuration.tombstones.contains(peer) { return peer }
        }
        return nil
    }

    /// A voter too many, those out of reach first; the leader itself is not removed, it hands leadership over first.
    private static func surplus(
        me: RaftPeer, configuration: RaftConfiguration, status: [RaftGroup.PeerStatus], wanted: [NodeID]
    ) -> RaftPeer? {
        guard configuration.learners.isEmpty, isComplete(configuration, wanted: wanted) else { return nil }
        let unwanted = configuration.voters.filter { $0 != me && !wanted.contains($0.node) }.sorted()
        return unwanted.first { peer in status.contains { $0.peer == peer && !$0.isReachable } } ?? unwanted.first
    }

    /// Every node that should hold a replica has a vote.
    package static func isComplete(_ configuration: RaftConfiguration, wanted: [NodeID]) -> Bool {
        !wanted.isEmpty && wanted.allSatisfy { node in configuration.voters.contains { $0.node == node } }
    }

    /// Exactly the nodes that should have a vote, and nobody else.
    package static func isDone(_ configuration: RaftConfiguration, wanted: [NodeID]) -> Bool {
        configuration.learners.isEmpty && configuration.voters.count == wanted.count
            && isComplete(configuration, wanted: wanted)
    }
}
