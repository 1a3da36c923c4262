import RoostCluster
import RoostModel
import RoostProtocol

extension GossipCluster {
    mutating func storm(_ effort: GossipScenario.Effort, into report: inout GossipReport) {
        _ = run(for: 20_000_000_000)
        let idle = measure(seconds: effort.quietSeconds) { cluster, seconds in
            _ = cluster.run(for: seconds * 1_000_000_000)
        }
        report.add("idle", "idle", idle, nodes: options.nodes, seconds: effort.quietSeconds)
        var devices = GossipDevices(nodes: options.nodes, each: max(2, 4_000 / options.nodes))
        let seconds = min(effort.quietSeconds, 20)
        watch.presenceTimes = []
        let busy = measure(seconds: seconds) { cluster, seconds in
            cluster.change(&devices, perSecond: effort.changesPerSecond, seconds: seconds)
        }
        report.add("busy", "\(effort.changesPerSecond) changes/s", busy, nodes: options.nodes, seconds: seconds)
        for _ in 0..<60 where watch.openChanges > 0 { _ = run(for: 1_000_000_000) }
        let times = watch.presenceTimes + Array(repeating: 60_000_000_000, count: watch.openChanges)
        report.add("busy_presence", "such a change is known everywhere", times: times)
        guard options.nodes > 1 else { return }
        join(idlePerSecond: idle, idleSeconds: effort.quietSeconds, into: &report)
    }

    private mutating func measure(
        seconds: UInt64, _ body: (inout GossipCluster, UInt64) -> Void
    ) -> GossipTraffic {
        let before = traffic
        body(&self, seconds)
        return traffic - before
    }

    private mutating func change(_ devices: inout GossipDevices, perSecond: UInt64, seconds: UInt64) {
        let step = 1_000_000_000 / max(1, perSecond)
        for _ in 0..<(perSecond * seconds) {
            devices.change(pick(), in: &self)
            _ = run(for: step)
        }
    }

    /// A node begins anew, and knows nothing.
    private mutating func join(idlePerSecond idle: GossipTraffic, idleSeconds: UInt64, into report: inout GossipReport)
    {
        _ = run(for: 5_000_000_000)
        let node = pick()
        kill(node)
        watch.setDown(node, true)
        _ = run(for: 20_000_000_000)
        let start = now
        let before = traffic
        watch.setDown(node, false)
        watch.lookFor(node, epoch: nodes[node].swim.own.epoch + 1, status: .alive)
        restart(node)
        var knowsAllAt: UInt64?
        while now < start + 10_000_000_000 {
            _ = run(for: 5_000_000)
            if knowsAllAt == nil, watch.disagreements == 0, knowsAll(node) { knowsAllAt = now }
        }
        let spent = Double((traffic - before).bytes)
        let usual = Double(idle.bytes) / Double(max(1, idleSeconds)) * Double(now - start) / 1e9
        report.add("join_known", "a joining node is known everywhere", times: [(watch.learnt.last ?? now) - start])
        report.add("join_knows", "and knows all members and their presence", times: [(knowsAllAt ?? now) - start])
        report.add("join_bytes", "bytes that a join costs all nodes together", max(0, spent - usual), "B")
    }
}

extension GossipReport {
    fileprivate mutating func add(
        _ key: String, _ text: String, _ traffic: GossipTraffic, nodes: Int, seconds: UInt64
    ) {
        let each = Double(nodes) * Double(max(1, seconds))
        add("\(key)_bytes", "\(text): sent by a node", Double(traffic.bytes) / each, "B/s")
        add("\(key)_swim_bytes", "of this SWIM", Double(traffic.swimBytes) / each, "B/s")
        add("\(key)_frames", "\(text): frames sent by a node", Double(traffic.frames) / each, "1/s")
    }
}
