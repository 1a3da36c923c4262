import RoostModel
import RoostNode

/// Answers come in bounded time, whatever happens; and while few enough nodes are harmed, sends at the others are
/// accepted.
struct AvailabilityWatch {
    private let cluster: SimulationCluster
    private let isLoud: Bool
    /// Longest wait for an answer of any kind, in nanoseconds of the node's running: the time a proposal may take, and
    /// some.
    private let answer: UInt64
    /// How long nothing must have changed before acceptance is due: a suspicion, an election, a reconnect.
    private let grace: UInt64
    /// How long an acceptance may take then.
    private let acceptance: UInt64 = 4_000_000_000

    /// `isLoud`: whatever goes wrong, everybody learns of it at once.
    init(cluster: SimulationCluster, isLoud: Bool) {
        self.cluster = cluster
        self.isLoud = isLoud
        grace = isLoud ? 3_000_000_000 : 10_000_000_000
        answer = UInt64(cluster.configuration.timing.proposalTimeoutMilliseconds) * 1_000_000 + 3_000_000_000
    }

    /// `unharmed`: nodes that a majority of every partition can be found among; nil where there may be none.
    func check(_ devices: [SimulationDevice], unharmed: [NodeID]?, since: UInt64) -> [Breach] {
        var found: [Breach] = []
        let isCalm = cluster.executor.now > since + grace + acceptance
        for device in devices {
            guard let session = device.session, let home = device.home else { continue }
            if session.longestWait > answer {
                let text = "a send was neither accepted nor refused for \(session.longestWait / 1_000_000) ms"
                found.append(Breach(.available, "\(device.user) \(device.device) at \(home): \(text)"))
            }
            guard isCalm, unharmed?.contains(home) == true, let waiting = device.waitingSince,
                isLoud || waiting > since + grace, cluster.executor.now > max(waiting, session.openedAt) + acceptance
            else { continue }
            let text = "a send is not accepted for \((cluster.executor.now - waiting) / 1_000_000) ms, and all is calm"
            found.append(Breach(.available, "\(device.user) \(device.device) at \(home): \(text)"))
        }
        if isCalm, let unharmed { found += leaderless(unharmed) }
        return found
    }

    /// Groups without a leader where there is a majority: asleep or not, they notice.
    private func leaderless(_ unharmed: [NodeID]) -> [Breach] {
        var led: Set<PartitionID> = []
        let count = cluster.configuration.partitions
        for node in unharmed { led.formUnion(cluster.onNode(node) { $0.ledPartitions() } ?? []) }
        return (0..<UInt16(clamping: count)).map { PartitionID($0) }.filter { !led.contains($0) }.map {
            Breach(.available, "partition \($0) has no leader, and all is calm")
        }
    }
}
