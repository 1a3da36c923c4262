import RoostModel
import RoostProtocol
import RoostStorage
import Testing

@testable import RoostNode

@Suite struct FoundingTests {
    @Test("In whatever order nodes start and links are made", arguments: UInt64(1)...60)
    func foundsOnce(seed: UInt64) {
        var model = FoundingModel(nodes: 1 + Int(seed % 5), seed: seed)
        for _ in 0..<40 {
            let ids = model.ids.shuffled(using: &model.generator)
            switch Int.random(in: 0...3, using: &model.generator) {
            case 0: model.start(ids[0])
            case 1: model.link(ids[0], ids[ids.count - 1])
            case 2: model.sync(ids[0])
            default: model.deliver(Int.random(in: 0...5, using: &model.generator))
            }
        }
        model.settle()
        #expect(model.isFounded, "seed \(seed)")
        #expect(model.records.count == 1, "seed \(seed)")
    }

    @Test("Crashes and broken links at any moment", arguments: UInt64(1)...300)
    func survivesCrashes(seed: UInt64) {
        var model = FoundingModel(nodes: 2 + Int(seed % 3), seed: seed)
        for _ in 0..<150 {
            let ids = model.ids.shuffled(using: &model.generator)
            switch Int.random(in: 0...20, using: &model.generator) {
            case 0: model.crash(ids[0])
            case 1, 2: model.unlink(ids[0], ids[1])
            case 3...6: model.start(ids[0])
            case 7...12: model.link(ids[0], ids[1])
            case 13...16: model.sync(ids[0])
            default: model.deliver(Int.random(in: 0...5, using: &model.generator))
            }
        }
        model.settle()
        #expect(model.isFounded, "seed \(seed): \(model.lives.values.map(\.founding.waitingFor))")
        #expect(model.records.count == 1, "seed \(seed)")
        let kept = Set(model.ids.map { model.disks[$0]?.founded?.clusterID })
        #expect(kept.count == 1 && kept.first == model.records.first, "seed \(seed)")
    }

    @Test func notBeforeEveryNodeIsThere() {
        var model = FoundingModel(nodes: 3, seed: 1)
        model.start("node-1")
        model.start("node-2")
        model.link("node-1", "node-2")
        for id in model.ids { model.sync(id) }
        #expect(model.wire.isEmpty && model.records.isEmpty)
        #expect(model.lives["node-1"]?.founding.waitingFor?.contains("node-3") == true)
    }

    @Test("A wiped node meets a founded cluster: it founds nothing and joins", arguments: 1...3, UInt64(1)...5)
    func wiped(number: Int, seed: UInt64) {
        var model = FoundingModel(nodes: 3, seed: seed)
        model.settle()
        let id = model.ids[number - 1]
        model.crash(id)
        model.blank(id)
        model.settle()
        let joined = model.lives[id]?.founded
        #expect(model.disks[id]?.promised == nil && joined == model.disks[id]?.founded)
        #expect(joined?.members.contains { $0.node == id && $0.store != model.disks[id]?.store } == true)
        #expect(model.records.count == 1)
        #expect(model.lives[id]?.reports.contains { $0.contains("joins as a learner") } == true)
        for other in model.ids where other != id {
            #expect(model.lives[other]?.founded != nil)
            #expect(model.lives[other]?.reports.contains { $0.contains("blank store") } == true)
        }
        // All but one wiped: still no second cluster.
        for second in model.ids where second != id && second != model.ids.last {
            model.crash(second)
            model.blank(second)
        }
        model.settle()
        #expect(model.records.count == 1 && model.isFounded)
    }

    /// Without one that remembers, and not all there, blank nodes wait.
    @Test func blankNodesFoundNothingBesideTheData() {
        var model = FoundingModel(nodes: 3, seed: 11)
        model.settle()
        for id in ["node-1", "node-2"] as [NodeID] {
            model.crash(id)
            model.blank(id)
        }
        model.crash("node-3")
        for id in ["node-1", "node-2"] as [NodeID] { model.start(id) }
        model.link("node-1", "node-2")
        for _ in 0..<20 {
            model.sync("node-1")
            model.sync("node-2")
            model.deliver(0)
        }
        #expect(model.records.count == 1 && model.disks["node-1"]?.founded == nil)
        #expect(model.disks["node-1"]?.promised == nil)
        model.settle()
        #expect(model.records.count == 1 && model.isFounded)
    }

    @Test func promisesBindToOneCluster() {
        // The lowest loses its disk between the promises and the founding.
        var model = FoundingModel(nodes: 2, seed: 3)
        model.start("node-1")
        model.start("node-2")
        model.link("node-1", "node-2")
        model.sync("node-1")
        model.deliver(0)
        model.sync("node-2")
        #expect(model.disks["node-2"]?.promised != nil && model.disks["node-1"]?.founded == nil)
        model.crash("node-1")
        model.blank("node-1")
        model.settle()
        #expect(model.records.isEmpty)
        #expect(model.lives["node-1"]?.reports.contains { $0.contains("promised itself") } == true)
    }

    @Test func anotherConfigurationIsRefused() {
        var model = FoundingModel(nodes: 2, seed: 4)
        model.configurations["node-2"]?.partitions = 64
        model.settle()
        #expect(model.records.isEmpty)
        #expect(model.disks["node-2"]?.promised == nil)
        #expect(model.lives["node-1"]?.reports.contains { $0.contains("differs") } == true)
        #expect(model.lives["node-2"]?.reports.contains { $0.contains("differs") } == true)
    }

    /// A repeated proposal must not make a node deaf for the news that the cluster is founded.
    @Test func aRepeatedProposalIsAnsweredAtOnce() {
        var model = FoundingModel(nodes: 2, seed: 5)
        model.start("node-1")
        model.start("node-2")
        model.link("node-1", "node-2")
        model.sync("node-1")
        let proposal = model.wire[0]
        model.deliver(0)
        model.sync("node-2")
        model.wire.append(proposal)
        model.deliver(1)
        // Promised twice, saved once.
        #expect(model.lives["node-2"]?.saving == nil)
        #expect(model.wire.filter { $0.from == "node-2" }.count == 2)
        model.deliver(0)
        model.sync("node-1")
        while !model.wire.isEmpty { model.deliver(0) }
        model.sync("node-2")
        #expect(model.isFounded)
    }
}
