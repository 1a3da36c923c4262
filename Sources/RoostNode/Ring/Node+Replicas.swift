import Logging
import RoostCluster
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage

/// Replicas come and go as the groups' leaders say: only the founding or a leader makes one, and it goes when a
/// committed entry has removed it.
extension Node {
    /// As founded: the configuration before any entry of the log.
    func foundingConfiguration(of id: PartitionID) -> RaftConfiguration {
        guard let record, Int(id.value) < foundingLayout.count else { return RaftConfiguration(voters: []) }
        let stores = Dictionary(uniqueKeysWithValues: record.members.map { ($0.node, $0.store) })
        return RaftConfiguration(
            voters: foundingLayout[Int(id.value)].compactMap { node in
                stores[node].map { RaftPeer(node: node, store: $0) }
            })
    }

    // MARK: Coming

    /// As which peer the replica here takes part, by what its log and the leader say. Nil where there is none: nothing
    /// is on the disk, the founding gave it to others, and no leader has asked for it.
    func identity(of id: PartitionID, _ restored: RestoredPartition) -> StoreID? {
        let given = facts.givenBack.first { $0.partition == id }?.number ?? 0
        let founder = RaftPeer(node: me, store: facts.store)
        var configurations = [foundingConfiguration(of: id)]
        for entry in restored.configurations {
            var payload = entry.payload
            if let next = RaftConfiguration(decoding: &payload) { configurations.append(next) }
        }
        let mentioned = configurations.flatMap { $0.voters + $0.learners + $0.tombstones }
            .compactMap { $0.node == me ? facts.store.replicaNumber(of: $0.store) : nil }.max()
        let asked = wantedIdentities[id].flatMap { facts.store.replicaNumber(of: $0) }
        let isFounded = given == 0 && configurations[0].voters.contains(founder)
        guard isFounded || asked != nil || restored.lastIndex > 0 else { return nil }
        return facts.store.replica(max(given, mentioned ?? 0, asked ?? 0))
    }

    /// A message to a replica that is not here, or runs under an older identity: a leader has just made it.
    func considerReplica(for envelope: RaftEnvelope) {
        let id = envelope.partition
        guard envelope.message.isOfLeader, record != nil, Int(id.value) < partitionCount,
            let number = facts.store.replicaNumber(of: envelope.toStore), !loading.contains(id),
            rebuilding[id] == nil, repairs.oldest(of: id) == nil
        else { return }
        if let given = facts.givenBack.first(where: { $0.partition == id }) {
            guard number >= given.number, !given.isBeingDeleted else { return }
        }
        if let partition = partitions[id] {
            // The removal of the older one is committed, or the leader could not have made this one.
            guard let own = facts.store.replicaNumber(of: partition.me.store), number > own else { return }
            end(partition)
        }
        wantedIdentities[id] = envelope.toStore
        loadReplica(id)
    }

    // MARK: Going

    /// Replicas that should be elsewhere, or hear from nobody that they are members, ask whether they still are.
    func askForRemovals() {
        for partition in sortedPartitions {
            let id = partition.id
            let configuration = partition.onCore { $0.raft.configuration }
            let isMember = (configuration.voters + configuration.learners).contains(partition.me)
            guard !isMember || !layout[Int(id.value)].contains(me) else { continue }
            if partition.onCore({ $0.raft.isTombstone(partition.me) }) {
                giveBack(id)
                continue
            }
            let others = Set(layout[Int(id.value)] + configuration.voters.map(\.node)).sorted()
            for node in others where node != me && isUp(node) {
                send(control: .ring(.isRemoved(partition: id, store: partition.me.store)), to: node)
            }
        }
    }

    private func end(_ partition: Partition) {
        partition.onCore { $0.retire() }
        partitions[partition.id] = nil
        leaderChanged(partition.id, term: receivers[Int(partition.id.value)].term, leader: nil)
    }

    /// Removed by a committed entry, and so for good: its rows go. That it is gone is synced first, so that a start in
    /// the middle does not take what is left for a replica.
    func giveBack(_ id: PartitionID) {
        guard let partition = partitions[id] else { return }
        let number = facts.store.replicaNumber(of: partition.me.store) ?? 0
        let last = partition.onCore { $0.raft.lastIndex }
        end(partition)
        wantedIdentities[id] = nil
        rebuilding[id] = nil
        for index in repairs.indices(of: id) { repairs.remove(id, index) }
        context.logger.debug("partition \(id): its replica was removed from here")
        facts.set(GivenBack(partition: id, number: number + 1, isBeingDeleted: true))
        saveFacts { $0.deleteReplica(id, last: last) }
        tellFitness()
    }

    /// At the start, where it was not done.
    func continueDeleting(_ id: PartitionID) {
        context.storage.read({ (store: any NodeStore) throws(StoreError) -> UInt64 in
            try store.loadPartition(id).lastIndex
        }) { [weak self] (result: Result<UInt64, StoreError>) in
            self?.onCore { node in
                switch result {
                case .success(let last): node.deleteReplica(id, last: last)
                case .failure(let error): node.storageFailed(error, doing: "deleting partition \(id)")
                }
            }
        }
    }

    private func deleteReplica(_ id: PartitionID, last: UInt64) {
        write(PartitionWrite(partition: id, clearsState: true), urgent: false) { [weak self] in
            self?.onCore { $0.deleteLog(id, from: last) }
        }
    }

    /// From its end, in steps that hold nobody up: what is left is a log at any time.
    private static let rowsAStep: UInt64 = 1_000

    private func deleteLog(_ id: PartitionID, from last: UInt64) {
        guard last > 0 else {
            guard let item = facts.givenBack.first(where: { $0.partition == id }) else { return }
            facts.set(GivenBack(partition: id, number: item.number, isBeingDeleted: false))
            saveFacts { _ in }
            return
        }
        let first = last > Self.rowsAStep ? last - Self.rowsAStep + 1 : 1
        write(PartitionWrite(partition: id, truncateFrom: first), urgent: false) { [weak self] in
            self?.onCore { $0.deleteLog(id, from: first - 1) }
        }
    }
}

extension RaftMessage {
    /// Only a leader says it.
    var isOfLeader: Bool {
        switch self {
        case .append, .heartbeat: true
        default: false
        }
    }
}
