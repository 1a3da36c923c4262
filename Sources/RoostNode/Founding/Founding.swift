import RoostModel
import RoostProtocol
import RoostStorage

/// How a cluster comes to be, once: the lowest id proposes the record, each blank node promises once (synced), and it
/// holds when every node of the file has. A node that lost its disk meets a founded cluster: it founds nothing and joins.
struct Founding: Sendable {
    enum Action: Sendable {
        /// Sync these facts, then report `saved`.
        case save(NodeFacts)
        case send(FoundingMessage, to: NodeID)
        /// The cluster is founded, and this node with this store belongs to it.
        case founded(FoundingRecord)
        /// A line for the operator, said once.
        case report(String)
    }

    private(set) var facts: NodeFacts
    private let configuration: ClusterConfig
    private let me: NodeID
    private var linked: [NodeID: LinkPeer] = [:]
    private var promises: Set<NodeID> = []
    private var saving: (@Sendable (inout Founding, inout [Action]) -> Void)?
    private var reported: Set<String> = []
    private var makeID: SeededGenerator
    private var announced = false
    /// Of a founded cluster that this blank node has met.
    private var offeredRing: Ring?

    init(facts: NodeFacts, configuration: ClusterConfig, me: NodeID, seed: UInt64) {
        self.facts = facts
        self.configuration = configuration
        self.me = me
        makeID = SeededGenerator(seed: seed)
    }

    private var lowest: NodeID { configuration.nodes.map(\.id).min() ?? me }
    private var others: [NodeID] { configuration.nodes.map(\.id).filter { $0 != me }.sorted() }

    /// What it waits for, in one line; nil once founded.
    var waitingFor: String? {
        guard facts.founded == nil else { return nil }
        let missing = others.filter { linked[$0] == nil }
        if !missing.isEmpty {
            return "the founding needs every node of cluster.json; not reached yet: "
                + missing.map(\.name).joined(separator: ", ")
        }
        if facts.joinsOnly {
            return "a node of the founded cluster: its own database was set aside, so it founds none"
        }
        return me == lowest ? "the other nodes' promises" : "\(lowest) to found the cluster"
    }

    mutating func start(into actions: inout [Action]) {
        if let record = facts.founded {
            announce(record, into: &actions)
        } else {
            propose(into: &actions)
        }
    }

    mutating func linkUp(_ peer: LinkPeer, into actions: inout [Action]) {
        linked[peer.node] = peer
        if let record = facts.founded {
            if peer.clusterID == .zero { tell(peer, record, into: &actions) }
        } else {
            propose(into: &actions)
        }
    }

    mutating func linkDown(_ node: NodeID) {
        linked[node] = nil
        promises.remove(node)
    }

    private mutating func tell(_ peer: LinkPeer, _ record: FoundingRecord, into actions: inout [Action]) {
        actions.append(.send(.founded(record), to: peer.node))
        if !record.members.contains(where: { $0.node == peer.node && $0.store == peer.store }) {
            report(
                "\(peer.node) came with a blank store (\(peer.store)): it joins as a learner and is filled",
                into: &actions)
        }
    }

    mutating func receive(_ message: FoundingMessage, from node: NodeID, into actions: inout [Action]) {
        switch message {
        case .propose(let record): considerProposal(record, from: node, into: &actions)
        case .promise(let clusterID): promised(clusterID, by: node, into: &actions)
        case .refuse(let reason): report("\(node) refuses the founding: \(reason)", into: &actions)
        case .founded(let record): adopt(record, from: node, into: &actions)
        }
    }

    /// The facts given to `save` last are synced.
    mutating func saved(into actions: inout [Action]) {
        guard let next = saving else { return }
        saving = nil
        next(&self, &actions)
    }

    /// The ring of a founded cluster, while this node is blank.
    mutating func offered(_ ring: Ring) { offeredRing = ring }

    // MARK: The lowest id

    private mutating func propose(into actions: inout [Action]) {
        guard me == lowest, facts.founded == nil, saving == nil, !facts.joinsOnly else { return }
        guard others.allSatisfy({ linked[$0] != nil }) else { return }
        // Whoever meets a founded node is no founder; that node tells what it is.
        guard linked.values.allSatisfy({ $0.clusterID == .zero }) else { return }
        if let record = facts.promised, fits(record) {
            sendProposals(record, into: &actions)
            return
        }
        let record = FoundingRecord(
            clusterID: .version4(using: &makeID), cluster: configuration.cluster,
            configurationHash: configuration.foundingHash, partitions: UInt16(configuration.partitions),
            replication: UInt16(configuration.replication),
            members: configuration.nodes.map { node in
                FoundingMember(
                    node: node.id, store: node.id == me ? facts.store : linked[node.id]?.store ?? StoreID(0),
                    address: linked[node.id].flatMap { $0.address.isEmpty ? nil : $0.address } ?? node.peerAddress)
            }.sorted { $0.node < $1.node })
        facts.promised = record
        save(into: &actions) { founding, actions in founding.sendProposals(record, into: &actions) }
    }

    /// The members are here with the stores that the record names.
    private func fits(_ record: FoundingRecord) -> Bool {
        record.configurationHash == configuration.foundingHash
            && record.members.allSatisfy { $0.store == ($0.node == me ? facts.store : linked[$0.node]?.store) }
    }

    private mutating func sendProposals(_ record: FoundingRecord, into actions: inout [Action]) {
        promises = [me]
        for node in others { actions.append(.send(.propose(record), to: node)) }
        conclude(record, into: &actions)
    }

    private mutating func promised(_ clusterID: UUID128, by node: NodeID, into actions: inout [Action]) {
        guard me == lowest, facts.founded == nil, let record = facts.promised, record.clusterID == clusterID else {
            return
        }
        promises.insert(node)
        conclude(record, into: &actions)
    }

    private mutating func conclude(_ record: FoundingRecord, into actions: inout [Action]) {
        guard facts.founded == nil, saving == nil, promises.count == configuration.nodes.count else { return }
        facts.founded = record
        save(into: &actions) { founding, actions in
            for node in founding.others { actions.append(.send(.founded(record), to: node)) }
            founding.announce(record, into: &actions)
        }
    }

    // MARK: The others

    private mutating func considerProposal(_ record: FoundingRecord, from node: NodeID, into actions: inout [Action]) {
        var refusal: String?
        if let founded = facts.founded {
            if founded.clusterID == record.clusterID { return }
            refusal = "it belongs to cluster \(founded.clusterID) already"
        } else if facts.joinsOnly {
            refusal = "a database of it was set aside: it only joins a founded cluster"
        } else if node != lowest {
            refusal = "only \(lowest), the lowest id of its cluster.json, may propose"
        } else if record.configurationHash != configuration.foundingHash {
            refusal = "its cluster.json differs in cluster, replication, partitions or nodes"
        } else if !record.members.contains(where: { $0.node == me && $0.store == facts.store }) {
            refusal = "the record names another store for it"
        } else if let promised = facts.promised, promised.clusterID != record.clusterID {
            refusal =
                "it has promised itself to cluster \(promised.clusterID); wipe its data directory if that never was"
        }
        if let refusal {
            actions.append(.send(.refuse(reason: refusal), to: node))
            report("refused the founding proposed by \(node): \(refusal)", into: &actions)
            return
        }
        guard saving == nil else { return }
        // Promised and synced before: written again it would only keep `founded` from being heard meanwhile.
        if facts.promised == record {
            actions.append(.send(.promise(clusterID: record.clusterID), to: node))
            return
        }
        facts.promised = record
        save(into: &actions) { _, actions in actions.append(.send(.promise(clusterID: record.clusterID), to: node)) }
    }

    private mutating func adopt(_ record: FoundingRecord, from node: NodeID, into actions: inout [Action]) {
        guard facts.founded == nil, saving == nil else { return }
        let own = record.members.first { $0.node == me }
        guard own != nil || offeredRing?[me]?.state == .active else {
            report(
                "the cluster \(record.clusterID) has no node \(me): check --id and cluster.json, or start it with --join",
                into: &actions)
            return
        }
        if let own, own.store != facts.store {
            // Its disk was lost or set aside: it founds nothing, votes for nothing, and is filled by the leaders.
            report(
                "the cluster \(record.clusterID) knows \(me) with another store (\(own.store)): this data directory is "
                    + "blank, so this node joins as a learner and is filled", into: &actions)
        }
        facts.founded = record
        facts.ring = offeredRing
        save(into: &actions) { founding, actions in founding.announce(record, into: &actions) }
    }

    // MARK: Both

    private mutating func announce(_ record: FoundingRecord, into actions: inout [Action]) {
        guard !announced else { return }
        announced = true
        actions.append(.founded(record))
    }

    private mutating func save(
        into actions: inout [Action], then: @escaping @Sendable (inout Founding, inout [Action]) -> Void
    ) {
        saving = then
        actions.append(.save(facts))
    }

    private mutating func report(_ line: String, into actions: inout [Action]) {
        if reported.count < 64, reported.insert(line).inserted { actions.append(.report(line)) }
    }
}
