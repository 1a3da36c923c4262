internal import RoostModel
internal import RoostProtocol

/// The other members, sorted by id. What is asked at every message (how many are active, who is silent, which suspicion
/// runs out next, a hash of all) is kept, not searched for.
struct MemberTable: Sendable {
    struct Record: Sendable {
        var state: MemberState
        /// Of suspects in a life that was heard of.
        var suspicion: Suspicion?
    }
    private(set) var records: [Record] = []
    /// Of the records: what is searched lies close together.
    private var nodes: [NodeID] = []
    /// The sum of the hashes of all that were heard of.
    private(set) var hash: UInt64 = 0
    /// Members that take part, this node left out.
    private(set) var activeCount = 0
    /// Suspects with a suspicion, sorted.
    private(set) var suspects: [NodeID] = []
    /// Dead, or never heard of, sorted.
    private(set) var silent: [NodeID] = []
    /// When the first suspicion runs out or wants another word to the suspect, monotonic nanoseconds; maybe a little
    /// sooner, until `settleDue`: to look for it at each change would be n² where many are suspected.
    private(set) var suspicionDue = UInt64.max

    var count: Int { records.count }

    /// The position of a node, or where it would stand.
    private func position(of node: NodeID) -> (index: Int, found: Bool) {
        var low = 0
        var high = nodes.count
        while low < high {
            let middle = (low + high) / 2
            if nodes[middle] < node { low = middle + 1 } else { high = middle }
        }
        return (low, low < nodes.count && nodes[low] == node)
    }

    subscript(node: NodeID) -> Record? {
        let (index, found) = position(of: node)
        return found ? records[index] : nil
    }

    func state(of node: NodeID) -> MemberState? {
        let (index, found) = position(of: node)
        return found ? records[index].state : nil
    }

    /// Stores a state, in the place of the node's former one.
    mutating func put(_ state: MemberState, suspicion: Suspicion? = nil) {
        let record = Record(state: state, suspicion: suspicion)
        let (index, found) = position(of: state.node)
        let former = found ? records[index] : nil
        if let former {
            count(former, by: -1)
            records[index] = record
        } else {
            records.insert(record, at: index)
            nodes.insert(state.node, at: index)
        }
        count(record, by: 1)
        suspicionChanged(to: suspicion)
    }

    mutating func remove(_ node: NodeID) {
        let (index, found) = position(of: node)
        guard found else { return }
        let former = records.remove(at: index)
        nodes.remove(at: index)
        count(former, by: -1)
        suspicionChanged(to: nil)
    }

    private mutating func count(_ record: Record, by difference: Int) {
        let node = record.state.node
        if record.state.isActive { activeCount += difference }
        if record.state.isHeard { hash = difference > 0 ? hash &+ record.state.hash : hash &- record.state.hash }
        if record.suspicion != nil { suspects.change(node, isThere: difference > 0) }
        if record.state.isSilent { silent.change(node, isThere: difference > 0) }
    }

    mutating func updateSuspicion(of node: NodeID, _ change: (inout Suspicion) -> Void) {
        let (index, found) = position(of: node)
        guard found, let former = records[index].suspicion else { return }
        records[index].suspicion = nil  // So that what it holds has one owner while it changes.
        var suspicion = former
        change(&suspicion)
        records[index].suspicion = suspicion
        suspicionChanged(to: suspicion)
    }

    private mutating func suspicionChanged(to new: Suspicion?) {
        if suspects.isEmpty { suspicionDue = .max }
        if let new { suspicionDue = min(suspicionDue, new.due) }
    }

    /// Once that time has come, and what was due is done.
    mutating func settleDue() {
        suspicionDue = suspects.reduce(.max) { min($0, self[$1]?.suspicion?.due ?? .max) }
    }

    func nodes(where condition: (MemberState) -> Bool) -> [NodeID] {
        records.compactMap { condition($0.state) ? $0.state.node : nil }
    }

    /// Up to `count` different members that fulfil the condition, each as likely as any other.
    func sample(
        _ count: Int, using generator: inout SeededGenerator, where condition: (MemberState) -> Bool
    ) -> [NodeID] {
        var found: [NodeID] = []
        guard count > 0, !records.isEmpty else { return found }
        // Most members are alive as a rule: a few throws find them without a list of all.
        if count * 8 < records.count {
            for _ in 0..<(count * 4) {
                let state = records[Int.random(in: records.indices, using: &generator)].state
                guard condition(state), !found.contains(state.node) else { continue }
                found.append(state.node)
                if found.count == count { return found }
            }
        }
        var rest = nodes { condition($0) && !found.contains($0.node) }
        while found.count < count, !rest.isEmpty {
            let index = Int.random(in: rest.indices, using: &generator)
            found.append(rest[index])
            rest.swapAt(index, rest.count - 1)
            rest.removeLast()
        }
        return found
    }

    /// What must hold between events; empty if it does.
    func checkInvariants() -> [String] {
        var broken: [String] = []
        if activeCount != records.count(where: { $0.state.isActive }) { broken.append("active members are miscounted") }
        if nodes != records.map(\.state.node) { broken.append("nodes are not those of the records") }
        if hash != records.reduce(0, { $1.state.isHeard ? $0 &+ $1.state.hash : $0 }) {
            broken.append("the hash is not that of all")
        }
        if silent != nodes(where: \.isSilent) { broken.append("silent members are not those that are silent") }
        if suspects != records.filter({ $0.suspicion != nil }).map(\.state.node) {
            broken.append("suspects are not those under suspicion")
        }
        if suspicionDue > records.compactMap(\.suspicion?.due).min() ?? .max {
            broken.append("the next suspicion is due sooner")
        }
        return broken
    }
}

extension MemberState {
    /// Dead, or never heard of: pinged now and then, in case it is there.
    var isSilent: Bool { status == .dead || !isHeard }
}

extension [NodeID] {
    /// Of a sorted list: puts a node in its place, or takes it out.
    fileprivate mutating func change(_ node: NodeID, isThere: Bool) {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < node { low = middle + 1 } else { high = middle }
        }
        let found = low < count && self[low] == node
        if isThere, !found { insert(node, at: low) }
        if !isThere, found { remove(at: low) }
    }
}
