import RoostConsensus
import RoostModel
import RoostProtocol

/// What stands on a majority of the disks that have a vote.
///
/// A disk that was lost counts with what it held: it may have said so before, and its word may still be under way. That
/// not too many are lost at once is the nemesis' part (`DamageBook`).
extension LogWatch {
    private func quorums(of partition: PartitionID) -> [Quorum] {
        if let known = quorums[partition] { return known }
        var found: [Quorum] = []
        for node in replicas.keys.sorted() {
            guard let voters = replicas[node]?[partition]?.configurations.last?.voters else { continue }
            // Of an even number a leader may be taking one away, which no disk shows yet.
            let quorum = Quorum(voters: voters, size: (voters.count + 1) / 2)
            if !found.contains(quorum) { found.append(quorum) }
        }
        if found.isEmpty {
            let all = stores.map { RaftPeer(node: $0.key, store: $0.value) }.sorted { $0.node < $1.node }
            found = [Quorum(voters: all, size: majority)]
        }
        quorums[partition] = found
        return found
    }

    private func holds(_ peer: RaftPeer, _ index: Int, _ item: Item, _ partition: PartitionID) -> Bool {
        guard let log = disk(of: peer)?[partition]?.log, log.count >= index else { return false }
        return log[index - 1] == item
    }

    /// A disk may hold a partition under one identity after the other.
    private func disk(of peer: RaftPeer) -> [PartitionID: Replica]? {
        if stores[peer.node]?.replicaNumber(of: peer.store) != nil { return replicas[peer.node] }
        return shelf.first { $0.key.replicaNumber(of: peer.store) != nil }?.value
    }

    func standsOnMajority(_ index: Int, _ item: Item, _ partition: PartitionID) -> Bool {
        if let list = established[partition], list.count >= index, list[index - 1] == item { return true }
        return quorums(of: partition).contains { quorum in
            quorum.voters.count { holds($0, index, item, partition) } >= quorum.size
        }
    }

    func establish(_ index: Int, _ item: Item?, _ partition: PartitionID) {
        guard let item, standsOnMajority(index, item, partition) else { return }
        var list = established.removeValue(forKey: partition) ?? []
        if list.count < index { list += [Item?](repeating: nil, count: index - list.count) }
        list[index - 1] = item
        established[partition] = list
    }

    /// For messages: of each set of voters, who holds it.
    func holders(of index: Int, _ item: Item, _ partition: PartitionID) -> String {
        quorums(of: partition).map { quorum in
            let names = quorum.voters.map { voter in
                holds(voter, index, item, partition) ? voter.node.name : "not \(voter.node.name)"
            }
            return "\(names.joined(separator: ", ")) (\(quorum.size) needed)"
        }.joined(separator: "; ")
    }
}
