import RoostModel
import RoostNode

/// Answers come in bounded time, whatever happens; and while few enough nodes are harmed, sends at the others are
/// accepted.
struct AvailabilityWatch {
    private let cluster: SimulationCluster
    /// Longest wait for an answer of any kind, in nanoseconds of the node's running: the time a proposal may take, and
    /// some.
    private let answer: UInt64
    /// How long nothing must have changed before acceptance is due: a suspicion, an election, a reconnect.
    private let grace: UInt64 = 10_000_000_000
    /// How long an acceptance may take then.
    private let acceptance: UInt64 = 4_000_000_000

    init(cluster: SimulationCluster) {
        self.cluster = cluster
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
            guard isCalm, unharmed?.contains(home) == true, let waiting = device.waitingSince, waiting > since + grace,
                cluster.executor.now > waiting + acceptance
            else { continue }
            let text = "a send is not accepted for \((cluster.executor.now - waiting) / 1_000_000) ms, and all is calm"
            found.append(Breach(.available, "\(device.user) \(device.device) at \(home): \(text)"))
        }
        return found
    }
}
