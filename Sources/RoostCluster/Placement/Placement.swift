package import RoostModel

/// Which nodes hold a partition: rendezvous hashing (Thaler, Ravishankar: "Using name-based mappings to increase hit
/// rates", 1998). A function of the members alone, so all nodes that know the same ring compute the same.
package enum Placement {
    /// A partition's replicas, the heaviest first; all members where there are fewer than `count`. A node that is
    /// removed moves its own replicas only, one that is added takes only what becomes its own. Duplicates in `nodes`
    /// count once.
    package static func replicas(of partition: PartitionID, among nodes: [NodeID], count: Int) -> [NodeID] {
        rank(partition, seeds: seeds(nodes), count: count)
    }

    /// The replicas of partitions 0 ..< `partitions`, each in order of preference: the first is who should lead.
    ///
    /// The sets are those of `replicas`, with its stability. Within the sets the first choices are balanced: starting
    /// with the heaviest, leaderships move along chains of shared sets from a node to one that has at least two fewer,
    /// until there is no such chain; that is the most even spread the sets allow (Harvey, Ladner, Lovász, Tamir:
    /// "Semi-matchings for bipartite graphs", 2003), and max - min ≤ 1 wherever all nodes are replicas of everything.
    /// So a change of members may move preferred leaderships beyond those of the node that changed, which copies no
    /// data; the order of the others stays by weight.
    package static func layout(partitions: Int, among nodes: [NodeID], count: Int) -> [[NodeID]] {
        let seeds = seeds(nodes)
        guard partitions > 0, !seeds.isEmpty, count > 0 else { return [] }
        // Nodes are meant by their position in `seeds` from here on.
        let positions = Dictionary(uniqueKeysWithValues: seeds.enumerated().map { ($1.node, $0) })
        var sets = (0..<min(partitions, 1 << 16)).map { partition in
            rank(PartitionID(UInt16(partition)), seeds: seeds, count: count).compactMap { positions[$0] }
        }
        balance(&sets, nodes: seeds.count)
        return sets.map { $0.map { seeds[$0].node } }
    }

    private typealias Seed = (node: NodeID, hash: UInt64)

    private static func seeds(_ nodes: [NodeID]) -> [Seed] {
        var seeds: [Seed] = []
        for node in nodes.sorted() where seeds.last?.node != node {
            seeds.append((node, StableHash.of(node.name)))
        }
        return seeds
    }

    private static func rank(_ partition: PartitionID, seeds: [Seed], count: Int) -> [NodeID] {
        let salt = StableHash.mix(UInt64(partition.value))
        let weighed = seeds.map { (node: $0.node, weight: StableHash.mix($0.hash ^ salt)) }
        let ranked = weighed.sorted { $0.weight != $1.weight ? $0.weight > $1.weight : $0.node < $1.node }
        return ranked.prefix(max(0, count)).map(\.node)
    }

    /// Puts another of its nodes first in as few sets as needed.
    private static func balance(_ sets: inout [[Int]], nodes: Int) {
        var load = [Int](repeating: 0, count: nodes)
        for set in sets { if let first = set.first { load[first] += 1 } }
        var settled = false
        while !settled {
            settled = true
            for start in (0..<nodes).sorted(by: { load[$0] != load[$1] ? load[$0] > load[$1] : $0 < $1 }) {
                guard let chain = chain(from: start, sets: sets, load: load) else { continue }
                for (partition, node) in chain.moves {
                    guard let index = sets[partition].firstIndex(of: node) else { continue }
                    sets[partition].remove(at: index)
                    sets[partition].insert(node, at: 0)
                }
                load[start] -= 1
                load[chain.end] += 1
                settled = false
                break
            }
        }
    }

    /// The shortest chain of leaderships, each handed to another node of its set, from `start` to a node that leads at
    /// least two fewer.
    private static func chain(
        from start: Int, sets: [[Int]], load: [Int]
    ) -> (moves: [(partition: Int, node: Int)], end: Int)? {
        var led = [[Int]](repeating: [], count: load.count)
        for (partition, set) in sets.enumerated() { if let first = set.first { led[first].append(partition) } }
        // How each node was reached: by which partition, from which node.
        var reached = [(partition: Int, from: Int)?](repeating: nil, count: load.count)
        var frontier = [start]
        while !frontier.isEmpty {
            var next: [Int] = []
            for node in frontier {
                for partition in led[node] {
                    for other in sets[partition].dropFirst() where other != start && reached[other] == nil {
                        reached[other] = (partition, node)
                        next.append(other)
                    }
                }
            }
            // Of those at this distance the one that leads least.
            if let end = next.min(by: { load[$0] != load[$1] ? load[$0] < load[$1] : $0 < $1 }),
                load[end] + 2 <= load[start]
            {
                var moves: [(partition: Int, node: Int)] = []
                var node = end
                while node != start, let step = reached[node] {
                    moves.append((step.partition, node))
                    node = step.from
                }
                return (moves, end)
            }
            frontier = next
        }
        return nil
    }
}
