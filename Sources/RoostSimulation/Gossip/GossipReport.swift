/// What a gossip scenario came to.
package struct GossipReport: Sendable {
    package struct Figure: Sendable {
        package var key: String
        package var text: String
        package var value: Double
        package var unit: String
    }

    package var scenario: String
    package var nodes: Int
    package var lossPerCent: Double
    package var seed: UInt64
    package var figures: [Figure] = []
    /// Rules of the machines that were broken.
    package var failures: [String] = []
    package var virtualSeconds: Double = 0

    init(_ scenario: GossipScenario, _ options: GossipOptions) {
        self.scenario = scenario.rawValue
        nodes = options.nodes
        lossPerCent = Double(options.lossPerMillion) / 10_000
        seed = options.seed
    }

    mutating func add(_ key: String, _ text: String, _ value: Double, _ unit: String) {
        figures.append(Figure(key: key, text: text, value: value, unit: unit))
    }

    /// p50, p99 and the highest of some times.
    mutating func add(_ key: String, _ text: String, times: [UInt64]) {
        let spread = Percentiles(times)
        add(key + "_p50", text + ", p50", Double(spread.p50) / 1e6, "ms")
        add(key + "_p99", text + ", p99", Double(spread.p99) / 1e6, "ms")
        add(key + "_max", text + ", highest of \(spread.count)", Double(spread.highest) / 1e6, "ms")
    }

    package func value(_ key: String) -> Double? { figures.first { $0.key == key }?.value }
}

/// What is asked of gossip.
package enum GossipScenario: String, Sendable, CaseIterable {
    /// Until everybody knows a change, and until a cut is healed.
    case convergence
    /// Until everybody knows a death, and deaths of those who live.
    case detection
    /// What it costs: idle, under many changes, when a node joins.
    case storm
    /// Everything that happens to members, and whether all came to know what is so: no figures, but rules.
    case gossip

    /// How much of it is run.
    package struct Effort: Sendable {
        /// Changes and deaths of each kind.
        package var samples = 100
        /// Cuts of each shape; nil: a tenth of that, one at least.
        package var cuts: Int?
        /// Without faults but loss, in search of false deaths; idle; under changes.
        package var quietSeconds: UInt64 = 300
        package var changesPerSecond: UInt64 = 1_000
        package init() {}
    }

    package func run(_ options: GossipOptions, _ effort: Effort = Effort()) -> GossipReport {
        if self == .gossip { return GossipTrial.report(options, rounds: effort.samples) }
        var cluster = GossipCluster(options)
        var report = GossipReport(self, options)
        let start = cluster.now
        report.add("start", "start of all at once until all agree", cluster.settle().milliseconds, "ms")
        switch self {
        case .convergence: cluster.converge(effort, into: &report)
        case .detection: cluster.detect(effort, into: &report)
        case .storm: cluster.storm(effort, into: &report)
        case .gossip: break
        }
        report.failures = cluster.checkInvariants()
        report.virtualSeconds = Double(cluster.now - start) / 1e9
        return report
    }
}

extension UInt64 {
    var milliseconds: Double { Double(self) / 1e6 }
}

extension GossipCluster {
    /// Runs until everybody holds everybody for alive, and a little more; returns how long that took. At most two
    /// minutes.
    @discardableResult
    mutating func settle() -> UInt64 {
        let start = now
        runUntilAgreed(for: 120_000_000_000)
        let taken = now - start
        _ = run(for: 2_000_000_000)
        return taken
    }

    /// Whether all that are up came to hold each other for alive within a time.
    @discardableResult
    mutating func runUntilAgreed(for duration: UInt64) -> Bool {
        let end = now + duration
        while watch.disagreements > 0, now < end { _ = run(for: 1_000_000) }
        return watch.disagreements == 0
    }

    mutating func pick() -> Int { Int(random(0...UInt64(options.nodes - 1))) }
}
