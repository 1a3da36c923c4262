import Logging
import RoostConsensus
import RoostModel
import RoostProtocol

extension Partition {
    /// As leader: one step towards a replica on every wanted node, under the store it has now.
    func mend(wanted: [NodeID], stores: [NodeID: StoreID]) {
        guard isLeader, !raft.isTransferring else { return }
        let change = ReplicaPlan.next(
            me: me, configuration: raft.configuration, status: raft.peerStatus, lastIndex: raft.lastIndex,
            promotionLag: raft.options.promotionLag, wanted: wanted, stores: stores)
        guard let change else { return }
        let result = withRaft { raft, now, actions in raft.changeMembership(change, now: now, into: &actions) }
        switch result {
        case .success: context.logger.debug("partition \(id): \(change)")
        case .failure(.notReady), .failure(.notLeader), .failure(.notCaughtUp): break  // Asked again soon.
        case .failure(let refusal): context.logger.warning("partition \(id): \(change) is refused: \(refusal)")
        }
    }

    /// The learners of the group this leads, and the entries that each lacks.
    var learners: [(node: NodeID, missing: UInt64)] {
        guard isLeader else { return [] }
        return raft.peerStatus.filter { !$0.isVoter }.map { ($0.peer.node, raft.lastIndex - $0.matchIndex) }
    }

    var isVoter: Bool { raft.configuration.voters.contains(me) }
}

/// Nodes that lost their disk are filled without anybody acting; what the operator sees of it.
extension Node {
    /// The replicas that this node leads take in nodes that came back with another store.
    func mendReplicas() {
        guard phase == .serving || phase == .starting else { return }
        var stores: [NodeID: StoreID] = [:]
        for (id, peer) in peers where id != me {
            if let link = peer.onCore({ $0.link }) { stores[id] = link.store }
        }
        for partition in sortedPartitions {
            let wanted = layout[Int(partition.id.value)]
            partition.onCore { $0.mend(wanted: wanted, stores: stores) }
        }
        reportFilling()
    }

    /// Replicas that should be here and have no vote: blank, being filled, or not loaded yet.
    var unfilledReplicas: Int {
        let wanted = layout.count { $0.contains(me) }
        return max(0, wanted - sortedPartitions.count { partition in partition.onCore { $0.isVoter } })
    }

    var fillingView: [NodeView.Filling] {
        var found: [NodeID: NodeView.Filling] = [:]
        for partition in sortedPartitions {
            for (node, missing) in partition.onCore({ $0.learners }) {
                var item = found[node] ?? NodeView.Filling(node: node, replicas: 0, missingEntries: 0)
                item.replicas += 1
                item.missingEntries += missing
                found[node] = item
            }
        }
        return found.values.sorted { $0.node < $1.node }
    }

    /// One line at the beginning and one at the end, at the leaders and at the node itself.
    private func reportFilling() {
        let now = Dictionary(uniqueKeysWithValues: fillingView.map { ($0.node, $0.replicas) })
        for node in Set(now.keys).union(filling.keys).sorted() where (now[node] == nil) != (filling[node] == nil) {
            if let count = now[node] {
                context.logger.notice("\(node) came back blank: filling \(count) of its replicas from here")
            } else {
                context.logger.notice("\(node): its replicas led here are filled")
            }
        }
        filling = now
        let missing = sortedPartitions.count { partition in partition.onCore { !$0.isVoter } }
        if missing == 0, unfilled > 0 { context.logger.notice("all replicas here are filled and vote again") }
        if missing > 0, unfilled == 0 {
            context.logger.notice("\(missing) replicas here are blank: they have no vote until the leaders filled them")
        }
        unfilled = missing
    }
}
