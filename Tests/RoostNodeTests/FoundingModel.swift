import RoostModel
import RoostProtocol
import RoostStorage

@testable import RoostNode

/// Nodes founding a cluster: disks that sync, links that come and go, messages under way; all by one seed.
struct FoundingModel {
    struct Life {
        var founding: Founding
        /// Saved, not synced.
        var saving: NodeFacts?
        var founded: FoundingRecord?
        var reports: [String] = []
    }
    struct Envelope {
        var from: NodeID
        var to: NodeID
        var message: FoundingMessage
        /// Of the link that carries it.
        var link: Int
    }

    var configurations: [NodeID: ClusterConfig]
    var disks: [NodeID: NodeFacts] = [:]
    var lives: [NodeID: Life] = [:]
    /// Up, with the life of the link.
    var links: [Set<NodeID>: Int] = [:]
    var linkCount = 0
    var wire: [Envelope] = []
    /// Every record that any node held for founded, ever.
    var records: Set<UUID128> = []
    var generator: SeededGenerator

    init(nodes: Int, seed: UInt64) {
        generator = SeededGenerator(seed: seed)
        let list = (1...nodes).map { number in
            ClusterConfig.Node(
                id: NodeID("node-\(number)"), host: "h", clientPort: 8_000 + number, peerPort: 7_000 + number,
                adminPort: 9_000 + number, dataDirectory: "/")
        }
        let configuration = ClusterConfig(cluster: "test", replication: 1, nodes: list)
        configurations = Dictionary(uniqueKeysWithValues: list.map { ($0.id, configuration) })
        for node in list { blank(node.id) }
    }

    var ids: [NodeID] { configurations.keys.sorted() }
    var isFounded: Bool { ids.allSatisfy { lives[$0]?.founded != nil } }

    /// A new, empty disk.
    mutating func blank(_ id: NodeID) {
        disks[id] = NodeFacts(store: StoreID(generator.next()), epoch: 1)
    }

    mutating func start(_ id: NodeID) {
        guard lives[id] == nil, let facts = disks[id], let configuration = configurations[id] else { return }
        lives[id] = Life(
            founding: Founding(facts: facts, configuration: configuration, me: id, seed: generator.next()))
        call(id) { $0.start(into: &$1) }
    }

    /// What was not synced is gone, and so are the links.
    mutating func crash(_ id: NodeID) {
        guard lives.removeValue(forKey: id) != nil else { return }
        for other in ids where other != id { unlink(id, other) }
    }

    mutating func link(_ a: NodeID, _ b: NodeID) {
        guard a != b, lives[a] != nil, lives[b] != nil, links[[a, b]] == nil else { return }
        linkCount += 1
        links[[a, b]] = linkCount
        for (node, other) in [(a, b), (b, a)] {
            guard let facts = disks[other] else { continue }
            let peer = LinkPeer(
                node: other, store: facts.store, epoch: facts.epoch, clusterID: facts.founded?.clusterID ?? .zero,
                address: "h")
            call(node) { $0.linkUp(peer, into: &$1) }
        }
    }

    mutating func unlink(_ a: NodeID, _ b: NodeID) {
        guard links.removeValue(forKey: [a, b]) != nil else { return }
        for (node, other) in [(a, b), (b, a)] { lives[node]?.founding.linkDown(other) }
    }

    /// The disk of a node syncs.
    mutating func sync(_ id: NodeID) {
        guard let facts = lives[id]?.saving else { return }
        lives[id]?.saving = nil
        disks[id] = facts
        call(id) { $0.saved(into: &$1) }
    }

    /// One message arrives; of one link in their order.
    mutating func deliver(_ place: Int) {
        guard place < wire.count else { return }
        let first = wire.firstIndex { $0.from == wire[place].from && $0.to == wire[place].to } ?? place
        let envelope = wire.remove(at: first)
        guard links[[envelope.from, envelope.to]] == envelope.link else { return }
        call(envelope.to) { $0.receive(envelope.message, from: envelope.from, into: &$1) }
    }

    private mutating func call(_ id: NodeID, _ body: (inout Founding, inout [Founding.Action]) -> Void) {
        guard var life = lives[id] else { return }
        var actions: [Founding.Action] = []
        body(&life.founding, &actions)
        for action in actions {
            switch action {
            case .save(let facts): life.saving = facts
            case .send(let message, let node):
                if let link = links[[id, node]] {
                    wire.append(Envelope(from: id, to: node, message: message, link: link))
                }
            case .founded(let record):
                life.founded = record
                records.insert(record.clusterID)
            case .report(let line): life.reports.append(line)
            }
        }
        lives[id] = life
    }

    /// Everything starts, links, syncs and arrives, in an order by the seed.
    mutating func settle() {
        for id in ids { start(id) }
        for _ in 0..<60 {
            for a in ids.shuffled(using: &generator) {
                for b in ids where a < b { link(a, b) }
                sync(a)
            }
            for _ in 0..<wire.count where !wire.isEmpty { deliver(Int.random(in: 0..<wire.count, using: &generator)) }
        }
    }
}
