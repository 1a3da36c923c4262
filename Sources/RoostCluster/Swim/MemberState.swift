package import RoostModel
package import RoostProtocol

/// What this node knows of a member, itself included.
package struct MemberState: Sendable, Equatable {
    package var node: NodeID
    /// 0: a member of `cluster.json` that was never heard of.
    package var epoch: Epoch
    package var incarnation: UInt64
    package var status: MemberStatus
    /// `host:peer_port`.
    package var address: String
    /// When the status (or the epoch) changed last, monotonic nanoseconds of this node.
    package var since: UInt64

    package init(
        node: NodeID, epoch: Epoch, incarnation: UInt64, status: MemberStatus, address: String, since: UInt64
    ) {
        self.node = node
        self.epoch = epoch
        self.incarnation = incarnation
        self.status = status
        self.address = address
        self.since = since
    }

    /// Whether any life of it was ever heard of, from itself or from others.
    package var isHeard: Bool { epoch > 0 }
    /// Alive or suspect, in a life that was heard of: it takes part.
    package var isActive: Bool { isHeard && (status == .alive || status == .suspect) }

    /// Whether a rumour is news: a higher epoch beats all; within an epoch `left` is final, then the higher incarnation
    /// wins, then dead over suspect over alive.
    func isSuperseded(by rumour: MemberRumour) -> Bool {
        if rumour.epoch != epoch { return rumour.epoch > epoch }
        if status == .left { return false }
        if rumour.status == .left { return true }
        if rumour.incarnation != incarnation { return rumour.incarnation > incarnation }
        return rumour.status.rawValue > status.rawValue
    }

    /// The state as others are told of it.
    func rumour(accuser: NodeID? = nil) -> MemberRumour {
        MemberRumour(
            node: node, epoch: epoch, incarnation: incarnation, status: status, address: address,
            accuser: status == .suspect ? accuser : nil)
    }
}

/// The other members, sorted by id.
struct MemberTable: Sendable {
    struct Record: Sendable {
        var state: MemberState
        var suspicion: Suspicion?
    }
    private(set) var records: [Record] = []

    var count: Int { records.count }

    /// The position of a node, or where it would stand.
    private func position(of node: NodeID) -> (index: Int, found: Bool) {
        var low = 0
        var high = records.count
        while low < high {
            let middle = (low + high) / 2
            if records[middle].state.node < node { low = middle + 1 } else { high = middle }
        }
        return (low, low < records.count && records[low].state.node == node)
    }

    subscript(node: NodeID) -> Record? {
        let (index, found) = position(of: node)
        return found ? records[index] : nil
    }

    /// Stores a record, in the place of the node's former one.
    mutating func put(_ record: Record) {
        let (index, found) = position(of: record.state.node)
        if found { records[index] = record } else { records.insert(record, at: index) }
    }

    mutating func remove(_ node: NodeID) {
        let (index, found) = position(of: node)
        if found { records.remove(at: index) }
    }

    mutating func update(_ node: NodeID, _ change: (inout Record) -> Void) {
        let (index, found) = position(of: node)
        if found { change(&records[index]) }
    }

    mutating func updateAll(_ change: (inout Record) -> Void) {
        for index in records.indices { change(&records[index]) }
    }

    /// Members that take part, this node left out.
    var activeCount: Int { records.reduce(0) { $0 + ($1.state.isActive ? 1 : 0) } }

    func nodes(where condition: (MemberState) -> Bool) -> [NodeID] {
        records.compactMap { condition($0.state) ? $0.state.node : nil }
    }
}
