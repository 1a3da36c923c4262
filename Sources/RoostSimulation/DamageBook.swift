import RoostConsensus
import RoostModel
import RoostNode
import RoostStorage

/// What was done to disks and is not mended yet. Damage is only inflicted where it is promised to heal: the disks of a
/// partition that are blank, being filled or damaged are never a majority, nor what is left of one.
struct DamageBook {
    private struct Damage {
        var node: NodeID
        var store: StoreID
        var partition: PartitionID
        /// Of the log; nil: a table.
        var index: UInt64?
    }

    private let cluster: SimulationCluster
    private var damages: [Damage] = []
    private var hasLost = false
    private var seenCondemned = 0
    private var checkedAt: UInt64 = 0

    init(cluster: SimulationCluster) { self.cluster = cluster }

    private var tolerable: Int { (cluster.configuration.replication - 1) / 2 }

    // MARK: What may be done

    /// Whether the disk of a node may be lost now.
    mutating func mayLose(_ node: NodeID) -> Bool {
        mend()
        let disks = cluster.disks()
        // A partition that nobody can speak for may be down to its last disk.
        guard disks.count == cluster.configuration.partitions else { return false }
        return disks.allSatisfy { partition, disks in
            !disks.wanted.contains(node) || isBearable(node, partition, disks)
        }
    }

    private func isBearable(_ node: NodeID, _ partition: PartitionID, _ disks: SimulationCluster.Disks) -> Bool {
        let damaged = damages.filter { $0.partition == partition && $0.index != nil }.map(\.node)
        return Set(disks.lost + damaged + [node]).count <= tolerable
    }

    mutating func lost(_ node: NodeID) {
        damages.removeAll { $0.node == node }
        hasLost = true
    }

    /// Turns a bit over in a committed row that others have, or in one that may be given up; says where, nil where none
    /// may be.
    mutating func flipBit(at node: NodeID, using generator: inout SeededGenerator) throws -> String? {
        mend()
        let candidates = cluster.disks().filter { $0.value.wanted.contains(node) && isBearable(node, $0.key, $0.value) }
            .sorted { $0.key < $1.key }
        guard let store = cluster.stores[node], let disk = cluster.disk(of: node),
            let (partition, disks) = candidates.randomElement(using: &generator)
        else { return nil }
        guard Int.random(in: 0...3, using: &generator) > 0 else {
            let tables = ["members", "cursors", "message_ids", "accounts", "send_orders", "conversations"]
            guard let table = tables.randomElement(using: &generator),
                try disk.damageState(partition: partition, table: table)
            else { return nil }
            damages.append(Damage(node: node, store: store, partition: partition, index: nil))
            cluster.damagedTables.insert(node)
            return "\(node), partition \(partition), \(table)"
        }
        let number = generator.next()
        let after = Int.random(in: 0...3, using: &generator) == 0 ? disks.committed : 0
        guard
            let index = try disk.flipBit(
                partition: partition, after: after, through: after > 0 ? .max : disks.committed, choosing: number)
        else { return nil }
        damages.append(Damage(node: node, store: store, partition: partition, index: index))
        return "\(node), partition \(partition), index \(index)"
    }

    // MARK: What is left

    private mutating func mend() {
        let left = damages.filter { !isMended($0) }
        damages = left
    }

    private func isMended(_ damage: Damage) -> Bool {
        guard cluster.stores[damage.node] == damage.store, let disk = cluster.disk(of: damage.node) else { return true }
        do throws(StoreError) {
            guard let index = damage.index else {
                let loaded = try disk.loadPartition(damage.partition)
                return loaded.stateDamage == nil && loaded.state.appliedIndex > 0
            }
            _ = try disk.entries(partition: damage.partition, from: index, through: index, maxBytes: .max)
            return true
        } catch {
            return false
        }
    }

    /// No disk is lost or damaged; what that takes is looked at once a second.
    mutating func isWhole() -> Bool {
        if cluster.condemned.count != seenCondemned {
            seenCondemned = cluster.condemned.count
            hasLost = true
        }
        guard hasLost || !damages.isEmpty else { return true }
        guard cluster.executor.now >= checkedAt + 1_000_000_000 else { return false }
        checkedAt = cluster.executor.now
        return unmended().isEmpty
    }

    /// A line for each.
    mutating func unmended() -> [String] {
        mend()
        var found = damages.map { damage in
            "\(damage.node), partition \(damage.partition): "
                + (damage.index.map { "row \($0) is still damaged" } ?? "a table is still damaged")
        }
        let disks = cluster.disks()
        if disks.count < cluster.configuration.partitions { found.append("a partition has no replica that runs") }
        for (partition, disks) in disks.sorted(by: { $0.key < $1.key }) {
            let voters = disks.voters.map(\.name).joined(separator: " ")
            for node in disks.lost {
                found.append("\(node), partition \(partition): it is not filled; voters: \(voters)")
            }
        }
        if found.isEmpty { hasLost = false }
        return found
    }
}
