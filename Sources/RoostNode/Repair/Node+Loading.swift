import Logging
import RoostCluster
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage

/// From the tables of a partition to a replica that runs, by way of what is damaged in them.
extension Node {
    /// Loads the partition off the core executor and starts its replica. Rows without which it cannot start are asked
    /// of other replicas first; damaged tables are cleared, and the log is replayed. Nothing is loaded that is about to be
    /// cleared or deleted.
    func loadReplica(_ id: PartitionID) {
        let isBeingDeleted = facts.givenBack.contains { $0.partition == id && $0.isBeingDeleted }
        guard record != nil, partitions[id] == nil, !isBeingDeleted, !clearing.contains(id),
            loading.insert(id).inserted
        else { return }
        context.storage.read({ (store: any NodeStore) throws(StoreError) -> RestoredPartition in
            try store.loadPartition(id)
        }) { [weak self] (result: Result<RestoredPartition, StoreError>) in
            self?.onCore { node in
                node.loading.remove(id)
                switch result {
                case .success(let restored): node.loaded(id, restored)
                case .failure(let error):
                    node.storageFailed(error, doing: "loading partition \(id)")
                    guard case .full = error else { return }
                    _ = node.context.after(milliseconds: 1_000) { [weak self] in
                        self?.onCore { $0.loadReplica(id) }
                    }
                }
            }
        }
    }

    private func loaded(_ id: PartitionID, _ restored: RestoredPartition) {
        // What was removed with a row that was mended is not waited for.
        for index in repairs.indices(of: id) where index > restored.lastIndex { repairs.remove(id, index) }
        for damage in restored.holes { damaged(damage) }
        guard restored.missing.isEmpty else {
            for damage in restored.missing { damaged(damage, isBlocking: true) }
            // More than can be remembered is no damage any more but another database.
            guard restored.missing.allSatisfy({ repairs.contains(id, $0.index) }) else {
                return condemn("partition \(id): \(restored.missing.count) rows of its log are damaged")
            }
            context.logger.error("partition \(id): it waits for \(restored.missing.count) rows from another replica")
            return
        }
        for index in repairs.indices(of: id) where !repairs.isDamaged(id, index) { repairs.remove(id, index) }
        if let damage = restored.stateDamage {
            clearState(of: id, because: damage)
        } else {
            startReplica(id, restored)
        }
    }

    private func startReplica(_ id: PartitionID, _ restored: RestoredPartition) {
        guard partitions[id] == nil, let identity = identity(of: id, restored) else { return }
        let partition = Partition(
            id: id, me: RaftPeer(node: me, store: identity), founding: foundingConfiguration(of: id),
            restored: restored, node: self, context: context, seed: generator.next())
        partitions[id] = partition
        if id == 0 {
            if !restored.state.signingKeys.isEmpty { signingKeyList = restored.state.signingKeys }
            if let ring = restored.state.ring { learned(ring) }
        }
        let configuration = partition.onCore { $0.raft.configuration }
        let members = (configuration.voters + configuration.learners).map(\.node)
        let unreachable = Set(peers.keys).union(members).filter { !isUp($0) }.sorted()
        let draining = drainingPeers.sorted() + (phase == .draining ? [me] : [])
        if rebuilding[id] != nil { rebuilding[id] = restored.lastIndex }
        let full = isFull
        let isWhole = rebuilding[id] == nil
        partition.onCore { partition in
            if !isWhole { partition.receive(.fitness(false)) }
            partition.start()
            for node in unreachable { partition.receive(.peerUnreachable(node)) }
            for node in draining { partition.receive(.draining(node)) }
            if full { partition.receive(.storageFull) }
        }
        tellUnfit(partition)
    }

    // MARK: Tables from the log

    /// A row that is derived from the log is damaged: the replica ends, its tables are cleared, and it starts again with
    /// an empty state, to which the log is applied anew. The other replicas go on meanwhile.
    func rebuildState(of id: PartitionID?, because damage: String) {
        guard let id else {
            for partition in sortedPartitions { rebuildState(of: partition.id, because: damage) }
            return
        }
        guard let partition = partitions[id] else { return }
        partition.onCore { $0.retire() }
        partitions[id] = nil
        leaderChanged(id, term: receivers[Int(id.value)].term, leader: nil)
        clearState(of: id, because: damage)
    }

    /// In order behind all that the replica has written.
    private func clearState(of id: PartitionID, because damage: String) {
        rebuilding[id] = .max
        clearing.insert(id)
        context.counters.statesRebuilt.increment()
        context.logger.error("\(damage); the tables of partition \(id) are made anew from its log")
        write(PartitionWrite(partition: id, clearsState: true), urgent: true) { [weak self] in
            self?.onCore { node in
                node.clearing.remove(id)
                node.loadReplica(id)
            }
        }
    }
}
