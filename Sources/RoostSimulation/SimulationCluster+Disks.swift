package import RoostModel
import RoostNode
import RoostProtocol

/// Which disks a cluster could lose: as the replicas themselves have committed it.
extension SimulationCluster {
    /// One partition's disks.
    package struct Disks: Sendable {
        /// Nodes that should hold a replica.
        package var wanted: [NodeID] = []
        /// Of these, whose present disk has no vote: blank, or being filled.
        package var lost: [NodeID] = []
        /// By the newest committed configuration.
        package var voters: [NodeID] = []
        /// Known to be committed, through this.
        package var committed: UInt64 = 0
    }

    /// Of each partition of which some replica runs and knows a committed configuration. An old one tells no less: a disk
    /// that had a vote keeps it until it is another one.
    package func disks() -> [PartitionID: Disks] {
        var newest: [PartitionID: Node.ReplicaView] = [:]
        var committed: [PartitionID: UInt64] = [:]
        for id in nodeIDs {
            let views: [PartitionID: Node.ReplicaView] = onNode(id) { $0.replicaViews() } ?? [:]
            for (partition, view) in views {
                committed[partition] = max(committed[partition] ?? 0, view.commitIndex)
                guard view.voters != nil else { continue }
                if let known = newest[partition], known.configurationIndex >= view.configurationIndex { continue }
                newest[partition] = view
            }
        }
        var found: [PartitionID: Disks] = [:]
        for (partition, view) in newest {
            let lost = view.wanted.filter { node in
                guard let store = stores[node] else { return true }
                return !(view.voters ?? []).contains {
                    $0.node == node && store.replicaNumber(of: $0.store) != nil
                }
            }
            found[partition] = Disks(
                wanted: view.wanted, lost: lost, voters: (view.voters ?? []).map(\.node),
                committed: committed[partition] ?? 0)
        }
        return found
    }
}
