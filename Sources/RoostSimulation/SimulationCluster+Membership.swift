package import RoostModel
import RoostNode
import RoostProtocol
import RoostStorage

/// Nodes that join, leave and are removed while the cluster runs.
extension SimulationCluster {
    /// Between two tries of what an operator or a starting process asks for.
    private static let retry: UInt64 = 500_000_000

    /// A new machine. Its node asks to be taken in, again and again until it is, and starts.
    package func join(_ id: NodeID) throws {
        guard try prepareToJoin(id) else { return }
        note("\(id) wants to join")
        askToJoin(id)
    }

    private func askToJoin(_ id: NodeID) {
        guard isJoining(id), let member = configuration(of: id).node(id).map({ RingMember($0) }) else { return }
        ask(anyRunning) {
            await $0.join(member)
        } then: { [weak self] result in
            if case .success(let grant) = result { self?.taken(in: id, grant) }
        }
        executor.schedule(after: Self.retry) { [weak self] in self?.askToJoin(id) }
    }

    private func taken(in id: NodeID, _ grant: JoinGrant) {
        guard isJoining(id) else { return }
        note("\(id) joins, ring \(grant.ring.version)")
        do { try joined(id, grant) } catch { note("\(id) can't start: \(error)") }
    }

    /// The node gives away what it has, and ends.
    package func leave(_ id: NodeID) {
        note("\(id) is to leave")
        leavers.insert(id)
        until { [weak self] in
            self?.nodeIDs.contains(id) != true
        } ask: {
            await $0.leave(id)
        }
    }

    /// The machine is gone for good, and the operator says so.
    package func remove(_ id: NodeID) {
        kill(id)
        note("\(id) is gone for good")
        gone(id)
        until {
            false
        } ask: {
            await $0.remove(id, force: false)
        }
    }

    private func until(
        _ isOver: @escaping () -> Bool,
        ask body: @escaping @Sendable (Node) async -> Result<Void, RingRefusal>
    ) {
        deedsUnderWay += 1
        ask(again: Deed(isOver: isOver, body: body))
    }

    private func ask(again deed: Deed) {
        guard !deed.isDone, !deed.isOver() else {
            deedsUnderWay -= 1
            return
        }
        ask(anyRunning, deed.body) { result in if case .success = result { deed.isDone = true } }
        executor.schedule(after: Self.retry) { [weak self] in self?.ask(again: deed) }
    }

    private var anyRunning: NodeID {
        let up = nodeIDs.filter { running[$0] != nil }
        return up.isEmpty ? "none" : up[Int(executor.random(0...UInt64(up.count - 1)))]
    }

    /// Every node that is there has the same ring, and all replicas are where it wants them.
    package var isSettled: Bool { unsettled().isEmpty }

    /// What is not so yet.
    package func unsettled() -> [String] {
        var found: [String] = []
        if isAnybodyJoining { found.append("somebody joins") }
        if deedsUnderWay > 0 { found.append("an operator waits") }
        let versions = Set(nodeIDs.map { id in onNode(id) { $0.ringVersion } ?? 0 }).sorted()
        if versions.count != 1 { found.append("rings \(versions)") }
        return found + nodeIDs.flatMap { id in onNode(id) { $0.unsettled() } ?? ["\(id) is down"] }
    }
}

private final class Deed: @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    typealias Body = @Sendable (Node) async -> Result<Void, RingRefusal>
    let isOver: () -> Bool
    let body: Body
    var isDone = false

    init(isOver: @escaping () -> Bool, body: @escaping Body) {
        self.isOver = isOver
        self.body = body
    }
}
