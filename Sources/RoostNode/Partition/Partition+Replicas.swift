import Logging
import RoostConsensus
import RoostModel
import RoostProtocol

extension Partition {
    /// As leader: one step towards a replica on every wanted node, under the store it has now, and on no other.
    /// - Parameters:
    ///   - heirs: of the wanted nodes those that may lead, the best first.
    ///   - mayAdd: whether another replica may be filled now.
    func mend(wanted: [NodeID], stores: [NodeID: StoreID], heirs: [NodeID], mayAdd: Bool) {
        guard isLeader, !raft.isTransferring else { return }
        let change = ReplicaPlan.next(
            me: me, configuration: raft.configuration, status: raft.peerStatus, lastIndex: raft.lastIndex,
            promotionLag: raft.options.promotionLag, wanted: wanted, stores: stores, mayAdd: mayAdd)
        guard let change else { return handOverUnlessWanted(wanted, heirs) }
        make(change)
    }

    /// A replica that nobody wants asks whether it is still a member: a leader made it, and its entry was lost.
    func bury(_ peer: RaftPeer) {
        let configuration = raft.configuration
        guard isLeader, !(configuration.voters + configuration.learners).contains(peer) else { return }
        make(.giveUp(peer))
    }

    private func make(_ change: RaftGroup.MembershipChange) {
        let result = withRaft { raft, now, actions in raft.changeMembership(change, now: now, into: &actions) }
        switch result {
        case .success: context.logger.debug("partition \(id): \(change)")
        case .failure(.notReady), .failure(.notLeader), .failure(.notCaughtUp): break  // Asked again soon.
        case .failure(let refusal): context.logger.warning("partition \(id): \(change) is refused: \(refusal)")
        }
    }

    /// A leader can't remove itself: where it is not wanted, one of the others does.
    private func handOverUnlessWanted(_ wanted: [NodeID], _ heirs: [NodeID]) {
        guard !wanted.contains(me.node), ReplicaPlan.isComplete(raft.configuration, wanted: wanted) else { return }
        let status = raft.peerStatus
        let heir = heirs.lazy.compactMap { node in
            status.first {
                $0.peer.node == node && $0.isVoter && $0.isReachable && $0.matchIndex + 64 >= self.raft.lastIndex
            }
        }.first
        guard let heir, hasNothingWaiting() else { return }
        receive(.transferLeadership(to: heir.peer))
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
        guard phase == .serving || phase == .starting || isLeaving else { return }
        var stores: [NodeID: StoreID] = [:]
        for (id, peer) in peers where id != me {
            if let link = peer.onCore({ $0.link }) { stores[id] = link.store }
        }
        var adding = sortedPartitions.reduce(0) { $0 + $1.onCore { $0.learners.count } }
        for partition in sortedPartitions {
            let wanted = layout[Int(partition.id.value)]
            let heirs = wanted.filter { isUp($0) && !drainingPeers.contains($0) && mayLead($0, partition.id) }
            let mayAdd = adding < Self.fillsAtOnce
            let stores = stores
            adding += partition.onCore { partition in
                let before = partition.learners.count
                partition.mend(wanted: wanted, stores: stores, heirs: heirs, mayAdd: mayAdd)
                return max(0, partition.learners.count - before)
            }
        }
        reportFilling()
    }

    /// Replicas led here that are filled at the same time: the others wait, so that sends are not slowed.
    static let fillsAtOnce = 8

    /// Replicas that should be here and have no vote: blank, being filled, or not made yet.
    var unfilledReplicas: Int {
        layout.indices.count { index in
            guard layout[index].contains(me) else { return false }
            return partitions[PartitionID(UInt16(index))]?.onCore { $0.isVoter } != true
        }
    }

    /// Of those led here: where replicas are not on the nodes that should hold them yet.
    var unsettledPartitions: Int {
        sortedPartitions.count { partition in
            let wanted = layout[Int(partition.id.value)]
            return partition.onCore { $0.isLeader && !ReplicaPlan.isDone($0.raft.configuration, wanted: wanted) }
        }
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
                context.logger.notice("\(node): filling \(count) of its replicas from here")
            } else {
                context.logger.notice("\(node): its replicas led here are filled")
            }
        }
        filling = now
        guard loading.isEmpty, rebuilding.isEmpty, repairs.count == 0 else { return }
        let missing = unfilledReplicas
        if missing == 0, unfilled > 0 { context.logger.notice("all replicas here are filled and vote again") }
        if missing > 0, unfilled == 0 {
            context.logger.notice("\(missing) replicas here are blank: they have no vote until the leaders filled them")
        }
        unfilled = missing
    }
}
