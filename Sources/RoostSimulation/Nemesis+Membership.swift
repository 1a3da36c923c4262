package import RoostModel
import RoostNode

/// Nodes come and go, one at a time, and whoever takes part in it may be killed in the middle.
extension Nemesis {
    /// A change of the ring that is under way.
    package struct Move {
        package var kind: FaultPlan.Kind
        package var node: NodeID
    }

    /// Most nodes that there are at a time, and that there ever are.
    private static let mostNodes = 7
    private static let mostEver = 16

    /// Once nothing moves any more the next change may come.
    func lookAtMove() {
        guard let move, cluster.isSettled, move.kind != .leave || !cluster.nodeIDs.contains(move.node) else { return }
        cluster.note("over: \(move.kind.rawValue) \(move.node)")
        moved()
    }

    func inflict(membership kind: FaultPlan.Kind, _ node: NodeID) throws {
        guard move == nil, cluster.isSettled else { return }
        let mayGo = cluster.nodeIDs.count > max(3, cluster.configuration.replication)
        switch kind {
        case .join:
            guard cluster.nodeIDs.count < Self.mostNodes, cluster.nodesEver < Self.mostEver else { return }
            let id = NodeID("node-\(cluster.nodesEver + 1)")
            begin(move: kind, id)
            try cluster.join(id)
        case .leave:
            guard mayGo else { return }
            begin(move: kind, node)
            cluster.leave(node)
        default:
            guard mayGo, !cluster.isPaused(node) else { return }
            begin(move: kind, node)
            cluster.remove(node)
        }
        killInTheMiddle()
    }
}
