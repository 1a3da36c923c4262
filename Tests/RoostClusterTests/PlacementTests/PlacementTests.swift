import RoostCluster
import RoostModel
import Testing

private func nodes(_ count: Int) -> [NodeID] { (1...count).map { NodeID("node-\($0)") } }

private func leads(_ layout: [[NodeID]]) -> [NodeID: Int] {
    layout.reduce(into: [:]) { counts, replicas in
        if let first = replicas.first { counts[first, default: 0] += 1 }
    }
}

@Suite("Placement")
struct PlacementTests {
    @Test("with as many nodes as replicas first choices are even", arguments: [1, 2, 3, 5], [1, 31, 32, 256, 1_000])
    func evenWhereAllHoldAll(count: Int, partitions: Int) {
        let layout = Placement.layout(partitions: partitions, among: nodes(count), count: count)
        #expect(layout.count == partitions)
        #expect(layout.allSatisfy { Set($0) == Set(nodes(count)) && $0.count == count })
        let counts = nodes(count).map { leads(layout)[$0] ?? 0 }
        #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= 1)
    }

    @Test(
        "with more nodes than replicas first choices are even too, where sets overlap enough",
        arguments: [4, 6, 10, 50])
    func evenAmongMany(count: Int) {
        let layout = Placement.layout(partitions: 256, among: nodes(count), count: 3)
        let counts = nodes(count).map { leads(layout)[$0] ?? 0 }
        #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= 1)
    }

    @Test("a layout's sets are the replicas of the partition alone, and only the first is moved")
    func sameSets() {
        for count in [3, 7, 20] {
            let layout = Placement.layout(partitions: 64, among: nodes(count), count: 3)
            for partition in UInt16(0)..<64 {
                let replicas = Placement.replicas(of: PartitionID(partition), among: nodes(count), count: 3)
                let laid = layout[Int(partition)]
                #expect(Set(replicas) == Set(laid))
                #expect(replicas.count == 3)
                #expect(replicas.filter { $0 != laid.first } == Array(laid.dropFirst()))
            }
        }
    }

    @Test("who is removed moves only its own replicas, who is added takes only what becomes its own")
    func stable() {
        let all = nodes(10)
        for removed in all {
            let rest = all.filter { $0 != removed }
            for partition in UInt16(0)..<128 {
                let before = Placement.replicas(of: PartitionID(partition), among: all, count: 3)
                let after = Placement.replicas(of: PartitionID(partition), among: rest, count: 3)
                #expect(Array(after.prefix(before.filter { $0 != removed }.count)) == before.filter { $0 != removed })
            }
        }
    }

    @Test("the order in which nodes are named does not matter, nor does a name twice")
    func order() {
        let layout = Placement.layout(partitions: 64, among: nodes(7), count: 3)
        #expect(Placement.layout(partitions: 64, among: nodes(7).reversed() + nodes(3), count: 3) == layout)
    }

    @Test("replicas are spread over the nodes")
    func spread() {
        var counts: [NodeID: Int] = [:]
        for partition in UInt16(0)..<1_000 {
            for node in Placement.replicas(of: PartitionID(partition), among: nodes(10), count: 3) {
                counts[node, default: 0] += 1
            }
        }
        // 300 expected of each; the deviation of a fair draw is below 15.
        #expect(counts.count == 10 && counts.values.allSatisfy { (240...360).contains($0) })
    }

    @Test("nothing among nobody")
    func empty() {
        #expect(Placement.replicas(of: 0, among: [], count: 3).isEmpty)
        #expect(Placement.replicas(of: 0, among: nodes(3), count: 0).isEmpty)
        #expect(Placement.replicas(of: 0, among: nodes(3), count: -1).isEmpty)
        #expect(Placement.layout(partitions: 8, among: [], count: 3).isEmpty)
        #expect(Placement.layout(partitions: 0, among: nodes(3), count: 3).isEmpty)
    }

    /// Placement is data: a change of the hash would move every partition of every cluster.
    @Test("pinned")
    func pinned() {
        let layout = Placement.layout(partitions: 4, among: nodes(3), count: 3)
        #expect(
            layout == [
                ["node-3", "node-1", "node-2"], ["node-2", "node-3", "node-1"], ["node-1", "node-2", "node-3"],
                ["node-2", "node-3", "node-1"],
            ])
    }
}
