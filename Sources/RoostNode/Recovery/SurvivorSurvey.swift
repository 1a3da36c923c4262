import RoostCluster
import RoostConsensus
package import RoostModel
package import RoostProtocol
package import RoostStorage

/// What one survivor holds, for a plan that takes in several (`UnsafeRecovery`).
package struct SurvivorSurvey: Sendable, Equatable {
    package struct Replica: Sendable, Equatable {
        package var partition: PartitionID
        /// The highest it has heard of.
        package var term: UInt64
        package var lastIndex: UInt64
        /// Known to it as committed and applied; what follows may or may not have been accepted.
        package var appliedIndex: UInt64
        /// The last entry before the first damaged row without which it can't start; `lastIndex` where there is none.
        package var wholeIndex: UInt64
        /// Of that entry; 0 where it is 0.
        package var wholeTerm: UInt64
        package var configuration: RaftConfiguration
        package init(
            partition: PartitionID, term: UInt64, lastIndex: UInt64, appliedIndex: UInt64,
            wholeIndex: UInt64, wholeTerm: UInt64, configuration: RaftConfiguration
        ) {
            self.partition = partition
            self.term = term
            self.lastIndex = lastIndex
            self.appliedIndex = appliedIndex
            self.wholeIndex = wholeIndex
            self.wholeTerm = wholeTerm
            self.configuration = configuration
        }

        package var isWhole: Bool { wholeIndex == lastIndex }
    }

    package var node: NodeID
    package var store: StoreID
    package var record: FoundingRecord
    /// Random: goes into the id of the new generation, so that no two recoveries make the same.
    package var nonce: UInt64
    /// The newest that the node heard of.
    package var ring: Ring?
    /// Of the partitions that it has a log of, ascending.
    package var replicas: [Replica]

    /// As whom it is a member of a replica's group: where it was given the partition again, under a later identity.
    package func peer(of replica: Replica) -> RaftPeer {
        let members = replica.configuration.voters + replica.configuration.learners
        return members.first { $0.node == node && store.replicaNumber(of: $0.store) != nil }
            ?? RaftPeer(node: node, store: store)
    }

    package init(
        node: NodeID, store: StoreID, record: FoundingRecord, nonce: UInt64, ring: Ring?, replicas: [Replica]
    ) {
        self.node = node
        self.store = store
        self.record = record
        self.nonce = nonce
        self.ring = ring
        self.replicas = replicas
    }

    /// Nil where the data directory holds no part of a founded cluster.
    package init?(
        node: NodeID, facts: NodeFacts?, nonce: UInt64,
        load: (PartitionID) throws(StoreError) -> RestoredPartition
    ) throws(StoreError) {
        guard let facts, let record = facts.founded else { return nil }
        let layout = Placement.layout(
            partitions: Int(record.partitions), among: record.members.map(\.node), count: Int(record.replication))
        let founders = Dictionary(uniqueKeysWithValues: record.members.map { ($0.node, $0.store) })
        var replicas: [Replica] = []
        for number in layout.indices {
            let id = PartitionID(UInt16(number))
            let restored = try load(id)
            // One that is being deleted goes on being deleted at the next start.
            let isBeingDeleted = facts.givenBack.contains { $0.partition == id && $0.isBeingDeleted }
            guard restored.lastIndex > 0, !isBeingDeleted else { continue }
            var configuration = RaftConfiguration(
                voters: layout[number].compactMap { node in founders[node].map { RaftPeer(node: node, store: $0) } })
            for entry in restored.configurations {
                var payload = entry.payload
                if let later = RaftConfiguration(decoding: &payload) { configuration = later }
            }
            let lastTerm = restored.termRuns.last?.term ?? 0
            let wholeIndex = restored.missing.map { $0.index - 1 }.min() ?? restored.lastIndex
            let wholeTerm = restored.termRuns.last { $0.firstIndex <= wholeIndex }?.term ?? 0
            replicas.append(
                Replica(
                    partition: id, term: max(restored.hardState.term, lastTerm), lastIndex: restored.lastIndex,
                    appliedIndex: restored.state.appliedIndex, wholeIndex: wholeIndex,
                    wholeTerm: wholeTerm, configuration: configuration))
        }
        self.init(
            node: node, store: facts.store, record: record, nonce: nonce, ring: facts.ring, replicas: replicas)
    }

    package func replica(of partition: PartitionID) -> Replica? { replicas.first { $0.partition == partition } }
}
