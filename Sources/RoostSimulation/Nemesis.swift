package import RoostModel
import RoostNode
import RoostStorage

/// Does to a cluster what a fault plan says, and undoes it.
package final class Nemesis: @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    private struct Active {
        var kind: FaultPlan.Kind
        /// Harmed by it, as far as one can say: they may be missing from every majority.
        var nodes: [NodeID]
        var end: UInt64
        var undo: () throws -> Void
    }

    let cluster: SimulationCluster
    private let plan: FaultPlan
    private var generator: SeededGenerator
    private var active: [Active] = []
    private(set) var move: Move?
    private var next: UInt64
    /// When the last fault came or ended, in virtual nanoseconds.
    package private(set) var changedAt: UInt64 = 0
    package private(set) var counts: [FaultPlan.Kind: Int] = [:]
    private var damage: DamageBook
    private var wasWhole = true
    private var isOver = false

    package init(cluster: SimulationCluster, plan: FaultPlan, seed: UInt64) throws {
        self.cluster = cluster
        self.plan = plan
        damage = DamageBook(cluster: cluster)
        generator = SeededGenerator(seed: seed)
        next = 0
        cluster.network.latency = plan.latency
        cluster.network.duplicates = plan.duplicates
        for node in cluster.nodeIDs {
            if plan.drift > 0 { cluster.setDrift(node, Int.random(in: -plan.drift...plan.drift, using: &generator)) }
            cluster.changeDisk(node) { $0.commit = plan.commit }
        }
        next = drawNext()
    }

    private func random(_ range: ClosedRange<UInt64>) -> UInt64 { .random(in: range, using: &generator) }

    /// Gaps between faults are evenly spread up to twice their mean.
    private func drawNext() -> UInt64 { cluster.executor.now + random(0...2 * plan.gap) * 1_000_000 }

    /// When there is something to do next.
    package var deadline: UInt64 {
        min(plan.kinds.isEmpty ? .max : next, active.map(\.end).min() ?? .max)
    }

    /// Does what is due.
    package func act() throws {
        let now = cluster.executor.now
        for fault in active where fault.end <= now { try undo(fault) }
        active.removeAll { $0.end <= now }
        restartEnded()
        lookAtMove()
        guard now >= next else { return }
        next = drawNext()
        let total = plan.kinds.reduce(0) { $0 + $1.weight }
        guard total > 0 else { return }
        var draw = random(0...total - 1)
        for kind in plan.kinds {
            if draw < kind.weight { return try inflict(kind.kind) }
            draw -= kind.weight
        }
    }

    /// Ends everything: from here on the cluster has to come right by itself.
    package func heal() throws {
        isOver = true
        for fault in active { try undo(fault) }
        active.removeAll()
        for a in cluster.nodeIDs {
            cluster.resume(a)
            cluster.changeDisk(a) {
                $0.isFull = false
                $0.failsNext = false
            }
            for b in cluster.nodeIDs where a < b { cluster.network.heal(a, b) }
        }
        cluster.network.loseNone()
        for node in cluster.nodeIDs { try cluster.start(node) }
        changedAt = cluster.executor.now
        cluster.note("healed")
    }

    private func undo(_ fault: Active) throws {
        cluster.note("over: \(fault.kind.rawValue) \(fault.nodes.map(\.name).joined(separator: " "))")
        try fault.undo()
        changedAt = cluster.executor.now
    }

    // MARK: Who is well

    /// Nodes that no fault touches, where so few are touched that every partition has a majority among them; nil where
    /// that is not so, or where links or disks are slow.
    package var unharmed: [NodeID]? {
        guard isWhole else { return nil }
        let mild: Set<FaultPlan.Kind> = [.crash, .isolation, .drain, .failedSync]
        guard active.allSatisfy({ mild.contains($0.kind) }) else { return nil }
        let harmed = Set(active.flatMap(\.nodes)).union(move.map { [$0.node] } ?? [])
        guard harmed.count <= tolerable else { return nil }
        let well = cluster.nodeIDs.filter { !harmed.contains($0) }
        return well.allSatisfy { cluster.running[$0] != nil && !cluster.isPaused($0) } ? well : nil
    }

    /// Where a disk was lost, a node more may be missing than those that are harmed.
    private var isWhole: Bool {
        let isWhole = damage.isWhole()
        if isWhole != wasWhole { changedAt = cluster.executor.now }
        wasWhole = isWhole
        return isWhole
    }

    /// Damage to disks that is not mended, a line each.
    package func unmended() -> [String] { damage.unmended() }

    private var tolerable: Int { (cluster.configuration.replication - 1) / 2 }

    /// A process that ended by itself is started again after a while, as a supervisor would.
    private func restartEnded() {
        let restarting: Set<FaultPlan.Kind> = [.crash, .crashAll, .drain, .wipe, .failedSync]
        let down = Set(active.flatMap { restarting.contains($0.kind) ? $0.nodes : [] })
        for node in cluster.nodeIDs where cluster.running[node] == nil && !down.contains(node) {
            begin(.failedSync, [node]) { [cluster] in try cluster.start(node) }
        }
    }

    // MARK: Faults

    private func begin(_ kind: FaultPlan.Kind, _ nodes: [NodeID], _ undo: @escaping () throws -> Void) {
        // Mostly short, sometimes long; one who stands still for minutes is all that happens to a run.
        let isPause = kind == .pause
        let isLong = random(0...(isPause ? 15 : 3)) == 0
        let longest = isPause ? max(plan.lasts.upperBound, 120_000) : plan.lasts.upperBound
        let bound = isLong ? longest : isPause ? min(plan.lasts.upperBound, 5_000) : max(1, longest / 8)
        let milliseconds = random(plan.lasts.lowerBound...max(plan.lasts.lowerBound, bound))
        cluster.note("fault: \(kind.rawValue) \(nodes.map(\.name).joined(separator: " ")) for \(milliseconds) ms")
        counts[kind, default: 0] += 1
        changedAt = cluster.executor.now
        active.append(
            Active(kind: kind, nodes: nodes, end: cluster.executor.now + milliseconds * 1_000_000, undo: undo))
    }

    private func inflict(_ kind: FaultPlan.Kind) throws {
        let nodes = cluster.nodeIDs.shuffled(using: &generator)
        guard let node = nodes.first, let other = nodes.dropFirst().first else { return }
        // Nobody else is missing while one of the others may be wrong about the time.
        if active.contains(where: { $0.kind == .wrongClock }) { return }
        var harmed = Set(active.flatMap(\.nodes))
        // It will not be back, and its replicas are not elsewhere yet.
        if let move, move.kind == .remove { harmed.insert(move.node) }
        if plan.sparesMajority {
            switch kind {
            case .crashAll, .split: return
            // Of links and pauses any end may turn out to be the one that is missing.
            default: if harmed.union([node]).count > tolerable { return }
            }
        }
        switch kind {
        case .crash, .crashAll, .drain, .pause, .failedSync, .wipe, .oldDisk: try inflict(process: kind, node)
        case .lostConnection, .lostDelivery, .cut, .silence, .oneWay, .isolation, .split, .slowLink:
            inflict(network: kind, node, other, nodes)
        case .slowDisk, .fullDisk, .flippedBit, .clockJump, .wrongClock: try inflict(machine: kind, node)
        case .join, .leave, .remove: try inflict(membership: kind, node)
        }
    }

    func begin(move kind: FaultPlan.Kind, _ node: NodeID) {
        cluster.note("fault: \(kind.rawValue) \(node)")
        counts[kind, default: 0] += 1
        changedAt = cluster.executor.now
        move = Move(kind: kind, node: node)
    }

    func moved() {
        move = nil
        changedAt = cluster.executor.now
    }

    /// The node that comes or goes, or any other that gives or takes, once every other time.
    func killInTheMiddle() {
        guard let move, random(0...1) == 0 else { return }
        let victim = random(0...1) == 0 ? move.node : cluster.nodeIDs.randomElement(using: &generator) ?? move.node
        let spares = plan.sparesMajority && (move.kind == .remove || !active.isEmpty)
        guard !spares else { return }
        cluster.executor.schedule(after: random(100...6_000) * 1_000_000) { [weak self] in
            guard let self, !self.isOver, self.move?.node == move.node, self.cluster.running[victim] != nil,
                !self.cluster.isPaused(victim)
            else { return }
            self.cluster.kill(victim)
            self.begin(.crash, [victim]) { [cluster = self.cluster] in try cluster.start(victim) }
        }
    }

    private func inflict(process kind: FaultPlan.Kind, _ node: NodeID) throws {
        guard cluster.running[node] != nil, !active.contains(where: { $0.nodes.contains(node) && $0.kind == kind })
        else { return }
        switch kind {
        case .crash:
            cluster.kill(node)
            begin(kind, [node]) { [cluster] in try cluster.start(node) }
        case .crashAll:
            for node in cluster.nodeIDs { cluster.kill(node) }
            begin(kind, cluster.nodeIDs) { [cluster] in for node in cluster.nodeIDs { try cluster.start(node) } }
        case .drain:
            guard !cluster.isPaused(node) else { return }
            cluster.ask(node) {
                await $0.drain()
            } then: { [cluster] in
                cluster.kill(node)
            }
            begin(kind, [node]) { [cluster] in
                cluster.kill(node)
                try cluster.start(node)
            }
        case .pause:
            cluster.pause(node)
            begin(kind, [node]) { [cluster] in cluster.resume(node) }
        case .wipe:
            guard move == nil, damage.mayLose(node) else { return }
            damage.lost(node)
            try cluster.wipe(node)
            begin(kind, [node]) { [cluster] in try cluster.start(node) }
        case .oldDisk:
            // The new one must not be missed.
            guard active.isEmpty, try cluster.exchangeDisk(node) else { return }
            damage.lost(node)
            begin(kind, [node]) { [cluster] in
                if try !cluster.exchangeDisk(node) { try cluster.start(node) }
            }
        default:
            cluster.changeDisk(node) { $0.failsNext = true }
            begin(kind, [node]) { [cluster] in try cluster.start(node) }
        }
    }

    private func inflict(network kind: FaultPlan.Kind, _ node: NodeID, _ other: NodeID, _ nodes: [NodeID]) {
        let network = cluster.network
        switch kind {
        case .lostConnection:
            cluster.note("fault: lost-connection \(node) \(other)")
            counts[kind, default: 0] += 1
            changedAt = cluster.executor.now
            network.drop(node, other)
        case .lostDelivery:
            cluster.note("fault: lost-delivery \(node) \(other)")
            counts[kind, default: 0] += 1
            network.loseDelivery(from: node, to: other)
        case .cut:
            network.cut(node, other)
            begin(kind, [node]) { network.heal(node, other) }
        case .silence:
            network.stall(node, other)
            begin(kind, [node]) { network.heal(node, other) }
        case .oneWay:
            network.mute(from: node, to: other)
            begin(kind, [node]) { network.heal(node, other) }
        case .isolation:
            separate([node], from: Array(nodes.dropFirst()), kind)
        case .split:
            let size = Int(random(1...UInt64(max(1, nodes.count / 2))))
            separate(Array(nodes.prefix(size)), from: Array(nodes.dropFirst(size)), kind)
        default:
            let least = random(5_000_000...200_000_000)
            let delay = least...(2 * least)
            network.slow(from: node, to: other, delay)
            network.slow(from: other, to: node, delay)
            begin(kind, [node]) {
                network.slow(from: node, to: other, nil)
                network.slow(from: other, to: node, nil)
            }
        }
    }

    private func separate(_ some: [NodeID], from others: [NodeID], _ kind: FaultPlan.Kind) {
        let network = cluster.network
        let isSilent = random(0...1) == 0
        for a in some {
            for b in others { if isSilent { network.stall(a, b) } else { network.cut(a, b) } }
        }
        begin(kind, some) { for a in some { for b in others { network.heal(a, b) } } }
    }

    private func inflict(machine kind: FaultPlan.Kind, _ node: NodeID) throws {
        switch kind {
        case .slowDisk:
            let least = random(5_000_000...400_000_000)
            cluster.changeDisk(node) { $0.commit = least...(3 * least) }
            begin(kind, [node]) { [cluster, plan] in cluster.changeDisk(node) { $0.commit = plan.commit } }
        case .fullDisk:
            cluster.changeDisk(node) { $0.isFull = true }
            begin(kind, [node]) { [cluster] in cluster.changeDisk(node) { $0.isFull = false } }
        case .flippedBit:
            guard let place = try damage.flipBit(at: node, using: &generator) else { return }
            cluster.note("fault: flipped-bit \(place)")
            counts[kind, default: 0] += 1
        case .wrongClock:
            // All must have heard of each other's clocks: a node with one other knows not who is wrong.
            guard active.isEmpty, cluster.executor.now > changedAt + 3_000_000_000 else { return }
            let tenDays: Int64 = 864_000_000_000
            cluster.setWallOffset(node, Int64.random(in: -tenDays...tenDays, using: &generator))
            begin(kind, [node]) { [cluster] in cluster.setWallOffset(node, 0) }
        default:
            let hour: Int64 = 3_600_000_000
            let range = random(0...1) == 0 ? hour : 5_000_000
            cluster.setWallOffset(node, Int64.random(in: -range...range, using: &generator))
            counts[kind, default: 0] += 1
        }
    }
}
