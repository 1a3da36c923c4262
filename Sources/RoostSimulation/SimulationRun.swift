package import RoostModel
import RoostNode
import RoostProtocol

/// One seed: a cluster, its users and its faults; then everything is healed, and has to come right.
package struct SimulationRun {
    package struct Options: Sendable {
        package var scenario = Scenario.mixed
        /// Of nodes; the seed draws one of them.
        package var nodes: ClosedRange<Int> = 3...5
        /// Virtual seconds with faults.
        package var virtualSeconds: UInt64 = 300
        /// Faults that a run may have.
        package var allowed = Set(FaultPlan.Kind.allCases)
            .subtracting(FaultPlan.Kind.mistakes + FaultPlan.Kind.membership)
        /// Switched on in every node.
        package var planted: PlantedFaults = []
        package init() {}
    }

    private let seed: UInt64
    private let options: Options
    private let cluster: SimulationCluster
    private let plan: FaultPlan
    private let nemesis: Nemesis
    private let watch: LogWatch
    private let history: HistoryWatch
    private let workload: Workload
    private var breaches: [Breach] = []
    private var nextCheck: UInt64 = 0
    private var availability: AvailabilityWatch
    private let trace: ((String) -> Void)?

    package init(seed: UInt64, options: Options = Options(), trace: ((String) -> Void)? = nil) throws {
        self.seed = seed
        self.options = options
        self.trace = trace
        var generator = SeededGenerator(seed: StableHash.mix(seed))
        let nodes = Int.random(in: options.nodes, using: &generator)
        let replication = nodes >= 5 && Int.random(in: 0...2, using: &generator) == 0 ? 5 : 3
        let partitions = [1, 4, 8][Int.random(in: 0...2, using: &generator)]
        let window = [4, 16, 64, 256][Int.random(in: 0...3, using: &generator)]
        plan = FaultPlan.draw(options.scenario, allowed: options.allowed, using: &generator)
        let planted = options.planted
        let plan = self.plan
        cluster = try SimulationCluster(
            seed: generator.next(), nodes: nodes, replication: min(nodes, replication), partitions: partitions
        ) {
            $0.limits.window = window
            $0.durability = plan.durability
            if let expiry = plan.deviceExpiry { $0.limits.deviceExpirySeconds = expiry }
            $0.planted = planted
        }
        cluster.trace = trace
        watch = LogWatch(cluster: cluster)
        history = HistoryWatch(cluster: cluster)
        nemesis = try Nemesis(cluster: cluster, plan: plan, seed: generator.next())
        workload = Workload(
            cluster: cluster, watch: watch, history: history, seed: generator.next(),
            scenario: options.scenario)
        availability = AvailabilityWatch(cluster: cluster, isLoud: plan.isLoud)
        if plan.durability.retentionSeconds > 0 {
            let clocksJump = plan.kinds.contains { $0.kind == .clockJump }
            // Log time may be off by what clocks may.
            let slack = cluster.configuration.timing.clockBoundMilliseconds / 1_000
            history.keeps = clocksJump ? 0 : Int64(max(0, plan.durability.retentionSeconds - slack)) * 1_000_000
            workload.repeatsWithin = UInt64(min(plan.durability.idRetentionSeconds, 1 << 20)) * 1_000_000_000 / 2
        }
        cluster.note(
            "seed \(seed): \(nodes) nodes, \(replication) replicas, \(partitions) partitions, window \(window)")
        cluster.note(plan.summary)
    }

    /// Runs to the end, or to the first breach.
    package mutating func run() throws -> SimulationReport {
        try cluster.startAll()
        if !cluster.run(milliseconds: 30_000, until: { cluster.isServing }) {
            breaches.append(Breach(.available, "a new cluster does not serve"))
        } else if !workload.prepare() {
            breaches.append(Breach(.available, "a new cluster takes no accounts, conversations or sessions"))
        } else {
            try trouble()
            if breaches.isEmpty {
                try nemesis.heal()
                settle()
            }
        }
        for breach in breaches { cluster.note("BREACH \(breach.promise.rawValue): \(breach.text)") }
        return report()
    }

    // MARK: The phase with faults

    private mutating func trouble() throws {
        cluster.note("the faults begin")
        let end = cluster.executor.now + options.virtualSeconds * 1_000_000_000
        var deed = cluster.executor.now
        nextCheck = deed
        while cluster.executor.now < end, breaches.isEmpty {
            let now = cluster.executor.now
            let next = min(deed, nemesis.deadline, nextCheck, end)
            if next > now { _ = cluster.executor.run(until: next) }
            if cluster.executor.now >= nemesis.deadline || cluster.executor.now >= nextCheck { try nemesis.act() }
            if cluster.executor.now >= deed {
                workload.act()
                deed = cluster.executor.now + workload.nextDelay()
            }
            if cluster.executor.now >= nextCheck {
                check()
                nextCheck = cluster.executor.now + 250_000_000
            }
        }
    }

    private mutating func check() {
        breaches += watch.breaches + history.breaches + cluster.checkInvariants() + workload.breachesOfPresence()
        // Nothing is done to disks that asks for that.
        breaches += cluster.condemned.sorted { $0.key < $1.key }.map {
            Breach(.selfHealing, "the database of \($0.key) is set aside: \($0.value)")
        }
        for device in workload.devices { breaches += device.breaches }
        breaches += availability.check(
            workload.devices, unharmed: nemesis.unharmed, since: nemesis.changedAt)
    }

    // MARK: The phase without

    /// Everything accepted is delivered to every device, replicas agree, presence converges, queues drain.
    private mutating func settle() {
        let checker = SimulationChecker(cluster, workload.devices, mayExpire: plan.deviceExpiry != nil)
        for device in workload.devices { device.hurry() }
        becomesWhole()
        if breaches.isEmpty { breaches += checker.settle(milliseconds: 120_000) }
        if breaches.isEmpty { answersAgain() }
        if breaches.isEmpty { breaches += checker.settle(milliseconds: 60_000) }
        if breaches.isEmpty { losesTheLast(checker) }
        if breaches.isEmpty { meetsAgain(checker) }
        if breaches.isEmpty { comesToRest() }
        if breaches.isEmpty { forgetsNothing() }
        workload.verifyAccounts()
        history.judge()
        breaches += watch.breaches + history.breaches
    }

    /// Disks that were lost are filled, rows that were damaged are written again.
    private mutating func becomesWhole() {
        var left = nemesis.unmended()
        for _ in 0..<120 where !left.isEmpty {
            cluster.run(milliseconds: 1_000)
            left = nemesis.unmended()
        }
        breaches += left.map { Breach(.selfHealing, $0) }
    }

    /// The cluster is whole: everybody can send, and is answered within an election and some.
    private mutating func answersAgain() {
        let sends = workload.devices.map { ($0, $0.send(toUser: "user-0", "again")) }
        func unanswered() -> [SimulationDevice] {
            sends.filter { $0.0.accepted[$0.1] == nil && $0.0.isConnected }.map(\.0)
        }
        if cluster.run(milliseconds: 5_000, until: { unanswered().isEmpty }) { return }
        breaches += unanswered().map {
            Breach(.available, "a send to a healed cluster is not accepted within 5 s: \($0.summary)")
        }
    }

    /// The last deliveries of all get lost, no link breaks, and nothing follows: the leaders' word of their streams tells.
    private mutating func losesTheLast(_ checker: SimulationChecker) {
        guard options.allowed.contains(.lostDelivery), let device = workload.devices.first else { return }
        for a in cluster.nodeIDs {
            for b in cluster.nodeIDs where a != b { cluster.network.loseDelivery(from: a, to: b) }
        }
        workload.sayLast(device)
        breaches += checker.settle(milliseconds: 10_000)
        cluster.network.loseNone()
    }

    /// What is sent while sessions open reaches them, though nothing follows.
    private mutating func meetsAgain(_ checker: SimulationChecker) {
        workload.meetAgain(milliseconds: 1_000)
        breaches += checker.settle(milliseconds: 20_000)
    }

    private mutating func comesToRest() {
        var left: [Breach] = []
        for _ in 0..<80 {
            cluster.run(milliseconds: 500)
            left = cluster.differences().map { Breach(.selfHealing, $0) }
            left += cluster.nodeIDs.flatMap { id in cluster.onNode(id) { $0.unfinished() } ?? [] }
                .map { Breach(.selfHealing, $0) }
            left += presenceDifferences()
            left += workload.breachesOfPresence(atRest: usersOnline())
            if !cluster.isServing { left.append(Breach(.selfHealing, "not every node serves")) }
            left += cluster.unsettled().map { Breach(.selfHealing, $0) }
            if left.isEmpty { return }
        }
        breaches += left
    }

    /// Every node knows who is connected where, as the nodes that they are connected to say.
    private func presenceDifferences() -> [Breach] {
        let truth = cluster.nodeIDs.flatMap { id in cluster.onNode(id) { $0.ownSessions() } ?? [] }.sorted()
        let devices = Set(truth.map { $0.split(separator: " ").prefix(2).joined(separator: " ") })
        if devices.count != truth.count { return [Breach(.selfHealing, "a device has two sessions: \(truth)")] }
        return cluster.nodeIDs.compactMap { id in
            let view = (cluster.onNode(id) { $0.presenceView() } ?? []).sorted()
            if view == truth { return nil }
            let lacks = truth.filter { !view.contains($0) }
            let surplus = view.filter { !truth.contains($0) }
            return Breach(.selfHealing, "presence at \(id): lacks \(lacks.prefix(3)), surplus \(surplus.prefix(3))")
        }
    }

    private func usersOnline() -> Set<UserID> {
        Set(
            cluster.nodeIDs.flatMap { id in cluster.onNode(id) { $0.ownSessions() } ?? [] }
                .compactMap { $0.split(separator: " ").first.flatMap { UserID(String($0)) } })
    }

    /// All was acknowledged: who connects now has nothing to be told again, once cursors are committed.
    private mutating func forgetsNothing() {
        // What a device that is given up had acknowledged is forgotten with it.
        guard plan.deviceExpiry == nil else { return }
        cluster.run(milliseconds: 8_000)
        for device in workload.devices { device.connect() }
        let done = cluster.run(milliseconds: 15_000) { workload.devices.allSatisfy(\.isCaughtUp) }
        if !done { breaches.append(Breach(.atLeastOnce, "a device that connects again is not caught up")) }
        cluster.run(milliseconds: 1_000)
        for device in workload.devices {
            let again = device.session?.messages ?? []
            guard let first = again.first else { continue }
            breaches.append(
                Breach(
                    .atLeastOnce,
                    "\(device.user) \(device.device): what was acknowledged is sent again: \(again.count), first "
                        + "\(first.conversation) \(first.seq)"))
        }
    }

    // MARK: What it came to

    private func report() -> SimulationReport {
        var report = SimulationReport(seed: seed)
        report.breaches = Array(Set(breaches)).sorted { ($0.promise, $0.text) < ($1.promise, $1.text) }
        report.virtualMilliseconds = cluster.executor.now / 1_000_000
        report.steps = cluster.executor.steps
        report.sent = workload.sent
        report.accepted = workload.accepted
        report.delivered = workload.received
        report.reads = history.reads
        report.terms = watch.terms
        for (kind, count) in nemesis.counts { report.faults[kind.rawValue] = count }
        // Any difference between two runs shows in the numbers drawn.
        var generator = cluster.executor.generator
        var digest = StableHash.mix(generator.next() ^ cluster.executor.steps)
        for device in workload.devices { digest = StableHash.mix(digest ^ device.digest) }
        report.digest = digest
        return report
    }
}
