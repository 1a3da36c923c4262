import RoostCluster
import RoostModel
import RoostProtocol
import Testing

/// One machine, fed by hand.
struct SwimBench {
    var swim: Swim
    var now: UInt64 = 1 * seconds
    var actions: [Swim.Action] = []

    /// Round numbers, so that the tests can count.
    static var timing: SwimTiming {
        var timing = SwimTiming()
        timing.probePeriod = 500 * milliseconds
        timing.probeTimeout = 200 * milliseconds
        timing.suspicionFactor = 3
        timing.gossipPeriod = 200 * milliseconds
        timing.deadProbePeriod = 2 * seconds
        return timing
    }

    init(others: Int = 2, timing: SwimTiming = SwimBench.timing, heard: Bool = true) {
        let seeds = (1...(others + 1)).map { (node: NodeID("n\($0)"), address: "h:\($0)") }
        swim = Swim(me: "n1", epoch: 10, address: "h:1", seeds: seeds, timing: timing, now: now, seed: 1)
        guard heard else { return }
        for index in 2...(others + 1) { feed(.linkUp(NodeID("n\(index)"), epoch: 10, address: "h:\(index)")) }
        actions = []
    }

    mutating func feed(_ event: Swim.Event) { swim.receive(event, now: now, into: &actions) }
    mutating func hear(_ rumours: MemberRumour..., from: NodeID = "n2") {
        feed(.received(SwimMessage(body: .nack(sequence: 0, target: "x"), rumours: rumours), from: from))
    }
    /// Ticks whenever due, for a time.
    mutating func run(for duration: UInt64) {
        let end = now + duration
        while let due = swim.nextDeadline, due <= end {
            now = max(now, due)
            feed(.tick)
        }
        now = end
    }
    mutating func take() -> [Swim.Action] {
        defer { actions = [] }
        return actions
    }
    var sent: [(message: SwimMessage, to: NodeID)] {
        actions.compactMap { if case .send(let message, let to) = $0 { (message, to) } else { nil } }
    }
    func status(_ node: NodeID) -> MemberStatus? { swim.state(of: node)?.status }
}

func rumour(
    _ node: NodeID, _ status: MemberStatus, epoch: Epoch = 10, incarnation: UInt64 = 0, accuser: NodeID? = nil
) -> MemberRumour {
    MemberRumour(
        node: node, epoch: epoch, incarnation: incarnation, status: status, address: "h", accuser: accuser)
}

extension SwimBench {
    var ownRumour: MemberRumour {
        let own = swim.own
        return MemberRumour(
            node: own.node, epoch: own.epoch, incarnation: own.incarnation, status: own.status, address: own.address)
    }
}
