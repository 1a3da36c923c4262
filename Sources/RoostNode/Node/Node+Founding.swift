import Logging
import RoostCluster
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage

/// From a blank database to replicas that serve.
extension Node {
    func perform(_ actions: [Founding.Action]) {
        for action in actions {
            switch action {
            case .save(let wanted):
                facts.promised = wanted.promised
                facts.founded = wanted.founded
                if let ring = wanted.ring { facts.ring = ring }
                saveFacts { node in
                    var more: [Founding.Action] = []
                    node.founding.saved(into: &more)
                    node.perform(more)
                }
            case .send(let message, let node): send(control: .founding(message), to: node)
            case .founded(let record): founded(record)
            case .report(let line): context.logger.warning("\(line)")
            }
        }
    }

    func saveFacts(_ then: @escaping @Sendable (isolated Node) -> Void) {
        context.storage.saveFacts(facts) { [weak self] result in
            self?.onCore { node in
                switch result {
                case .success: then(node)
                case .failure(.full):
                    // What waits for it waits: a node that could not write this must not say so.
                    _ = node.context.after(milliseconds: 1_000) { [weak self] in
                        self?.onCore { $0.saveFacts(then) }
                    }
                case .failure(let error): node.storageFailed(error, doing: "writing the node's identity")
                }
            }
        }
    }

    /// Loads the replicas that the record gives this node, off the core executor.
    private func founded(_ record: FoundingRecord) {
        guard self.record == nil else { return }
        guard Int(record.partitions) == configuration.partitions else {
            fail(
                "cluster.json says \(configuration.partitions) partitions, the cluster was founded with "
                    + "\(record.partitions): put that number back")
            return
        }
        let isFounder = record.members.contains { $0.node == me }
        if isFounder, record.configurationHash != configuration.foundingHash {
            context.logger.warning(
                "cluster.json differs from what the cluster was founded with; the cluster's own record wins")
        }
        self.record = record
        phase = .starting
        let founders = record.members.map(\.node)
        foundingLayout = Placement.layout(
            partitions: Int(record.partitions), among: founders, count: Int(record.replication))
        ring = facts.ring ?? Ring(founding: record, configuration)
        context.logger.info("loading", metadata: ["cluster_id": "\(record.clusterID)"])
        if let ring { follow(ring) }
        guard failure == nil else { return }
        let unfinished = facts.givenBack.filter(\.isBeingDeleted).map(\.partition)
        for id in unfinished { continueDeleting(id) }
        for id in foundingLayout.indices.map({ PartitionID(UInt16($0)) }) where !unfinished.contains(id) {
            loadReplica(id)
        }
    }

    /// Ticks for which partitions may be without a leader before the others are served without them.
    private static let patience = 100

    /// Serving begins when every partition has a leader as far as this node knows, or some have, and the others had time
    /// to elect one; and a key to sign tokens with.
    func checkServing() {
        guard loading.isEmpty else { return }
        let leaderless = receivers.count { $0.leader == nil }
        ticksOfWaiting += 1
        guard leaderless == 0 || (leaderless < receivers.count && ticksOfWaiting > Self.patience),
            !signingKeyList.isEmpty
        else { return }
        if leaderless > 0 {
            context.logger.warning(
                "serving without \(leaderless) of \(receivers.count) partitions: they have no leader")
        }
        phase = .serving
        context.logger.debug("serving")
        let waiting = servingWaiters
        servingWaiters.removeAll()
        for waiter in waiting { waiter() }
    }

    // MARK: Balance

    /// Leadership goes to the replica that the layout prefers, if it is well.
    func balanceLeaders() {
        guard phase == .serving else { return }
        var moved = 0
        for partition in sortedPartitions where moved < 4 {
            guard let preferred = layout[Int(partition.id.value)].first, preferred != me, isUp(preferred),
                !drainingPeers.contains(preferred), mayLead(preferred, partition.id),
                swim.state(of: preferred)?.status == .alive, let store = peers[preferred]?.onCore({ $0.link?.store })
            else { continue }
            let target = RaftPeer(node: preferred, store: store)
            let ready = partition.onCore { partition in
                partition.isLeader && !partition.raft.isTransferring
                    && partition.raft.peerStatus.contains {
                        $0.peer == target && $0.isVoter && $0.matchIndex + 64 >= partition.raft.lastIndex
                    }
            }
            guard ready, partition.onCore({ $0.hasNothingWaiting() }) else { continue }
            moved += 1
            partition.onCore { $0.receive(.transferLeadership(to: target)) }
        }
    }
}
