import NIOCore
import RoostCluster
import RoostConsensus
package import RoostModel
package import RoostProtocol
package import RoostStorage

/// The operator's last resort, when a majority of the stores of some partition is gone for good: one survivor becomes
/// the only voter of every partition, in a cluster of a new generation (a new cluster UUID), which nodes of the former
/// one are refused by and blank nodes join as learners. What the survivor's log lacks is lost.
package struct UnsafeRecovery: Sendable {
    /// How far the survivor's log of a partition goes.
    package struct PartitionReach: Sendable, Equatable {
        package var partition: PartitionID
        package var lastIndex: UInt64
        /// Known to the survivor as committed and applied; what follows may or may not have been accepted.
        package var appliedIndex: UInt64
        package var voters: [RaftPeer]
    }

    package enum Refusal: Error, Sendable, Equatable {
        /// The data directory holds no part of a founded cluster.
        case blank
        /// The survivor holds no replica of these: they can't be recovered from it.
        case lacks([PartitionID])
    }

    package let former: FoundingRecord
    package let reaches: [PartitionReach]
    /// To be saved first: from then on nodes of the former generation are refused.
    package let facts: NodeFacts
    package let writes: [PartitionWrite]

    /// - Parameter clusterID: of the new generation; random.
    package init(
        survivor: NodeID, facts former: NodeFacts, clusterID: UUID128,
        load: (PartitionID) throws(StoreError) -> RestoredPartition
    ) throws {
        guard let record = former.founded else { throw Refusal.blank }
        self.former = record
        let layout = Placement.layout(
            partitions: Int(record.partitions), among: record.members.map(\.node), count: Int(record.replication))
        let founders = Dictionary(uniqueKeysWithValues: record.members.map { ($0.node, $0.store) })
        var reaches: [PartitionReach] = []
        var writes: [PartitionWrite] = []
        var lacking: [PartitionID] = []
        for number in layout.indices {
            let id = PartitionID(UInt16(number))
            let restored = try load(id)
            var configuration = RaftConfiguration(
                voters: layout[number].compactMap { node in founders[node].map { RaftPeer(node: node, store: $0) } })
            for entry in restored.configurations {
                var payload = entry.payload
                if let later = RaftConfiguration(decoding: &payload) { configuration = later }
            }
            let own = configuration.voters.first {
                $0.node == survivor && former.store.replicaNumber(of: $0.store) != nil
            }
            guard let me = own, restored.lastIndex > 0 else {
                lacking.append(id)
                continue
            }
            reaches.append(
                PartitionReach(
                    partition: id, lastIndex: restored.lastIndex, appliedIndex: restored.state.appliedIndex,
                    voters: configuration.voters))
            let term = max(restored.hardState.term, restored.termRuns.last?.term ?? 0) + 1
            let others = (configuration.voters + configuration.learners).filter { $0 != me }
            var payload = ByteBuffer()
            RaftConfiguration(voters: [me], tombstones: configuration.tombstones + others).encode(into: &payload)
            writes.append(
                PartitionWrite(
                    partition: id, hardState: RaftHardState(term: term, vote: nil),
                    entries: [
                        RaftEntry(index: restored.lastIndex + 1, term: term, kind: .configuration, payload: payload)
                    ]))
        }
        guard lacking.isEmpty else { throw Refusal.lacks(lacking) }
        var renewed = record
        renewed.clusterID = clusterID
        var facts = former
        facts.promised = nil
        facts.founded = renewed
        self.facts = facts
        self.reaches = reaches
        self.writes = writes
    }
}
