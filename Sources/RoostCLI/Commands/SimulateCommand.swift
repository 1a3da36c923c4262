internal import ArgumentParser
internal import Foundation
internal import RoostModel
internal import RoostSimulation

struct SimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Run whole clusters in virtual time, with faults, and check what is promised.",
        discussion: """
            Every seed is one run: so many nodes, users and faults, in an order that is the same on every machine. A \
            run that breaks a promise is a line with its seed, and the exit is 1. Seeds run in child processes, one \
            for each job, since a run has one thread.

            The scenarios convergence, detection and storm are of another kind: membership and presence alone, of up to \
            a thousand nodes, and what comes out is figures (docs/membership.md).
            """)

    @Option(help: "Seeds, as 7 or 1-100.")
    var seeds = "1-20"
    @Option(help: "One seed, in this process.")
    var seed: UInt64?
    @Flag(help: "With --seed: print what happens.")
    var trace = false
    @Option(help: "Nodes of a cluster, as 3 or 3-7; the seed chooses. For figures a list, as 3,10,50.")
    var nodes: String?
    @Option(
        help: """
            One of \(Scenario.allCases.map(\.rawValue).joined(separator: ", ")); for figures one of \
            \(GossipScenario.allCases.map(\.rawValue).joined(separator: ", ")), memory.
            """)
    var scenario = Scenario.mixed.rawValue
    @Option(help: "Virtual seconds with faults; for figures those that are quiet.")
    var virtualSeconds: UInt64 = 300
    @Option(help: "For figures: messages lost, per cent; a list, as 0,1,10.")
    var loss = "0"
    @Option(help: "For figures: changes and deaths that are timed.")
    var samples = 100
    @Option(help: "For figures: cuts of each shape that are timed (default: a tenth of the samples).")
    var cuts: Int?
    @Option(help: "For the scenario memory: devices in the presence table.")
    var devices = 1_000_000
    @Option(help: "Child processes (default: one for each processor).")
    var jobs: Int?
    @Flag(help: "Print JSON.")
    var json = false
    @Flag(help: "Break a rule on purpose, one after the other, and see how soon it is noticed.")
    var planted = false
    @Option(help: "Only the rules of these names, separated by commas.")
    var rule: String?
    @Option(help: .hidden)
    var worker: String?

    func run() async throws {
        if scenario == "memory" {
            guard (1_000...50_000_000).contains(devices) else {
                throw Failure("--devices must be 1000 to 50000000", .usage)
            }
            return PresenceMemory.run(devices: devices)
        }
        if let figures = GossipScenario(rawValue: scenario) {
            if try !gossip(figures).run() { throw ExitCode.failure }
            return
        }
        let options = try self.options()
        if let worker {
            try SimulationWorker.run(seeds: try Self.list(worker), options: options)
        } else if let seed {
            try runOne(seed, options)
        } else if planted {
            try runPlanted()
        } else {
            try runMany()
        }
    }

    private func options() throws -> SimulationRun.Options {
        var options = SimulationRun.Options()
        let range = try Self.range(nodes ?? "3-5", "--nodes")
        guard range.lowerBound >= 1, range.upperBound <= 9 else { throw Failure("--nodes must be 1 to 9", .usage) }
        options.nodes = Int(range.lowerBound)...Int(range.upperBound)
        guard let scenario = Scenario(rawValue: scenario) else {
            throw Failure("--scenario: there is no \"\(scenario)\"", .usage)
        }
        options.scenario = scenario
        guard (1...86_400).contains(virtualSeconds) else {
            throw Failure("--virtual-seconds must be 1 to 86400", .usage)
        }
        options.virtualSeconds = virtualSeconds
        if let rule, !planted {
            for name in rule.split(separator: ",") {
                guard let found = PlantedRule.all.first(where: { $0.name == name }) else {
                    throw Failure("--rule: there is no \"\(name)\"", .usage)
                }
                found.plant(in: &options)
            }
        }
        return options
    }

    private func gossip(_ scenario: GossipScenario) throws -> GossipRuns {
        let counts = (nodes ?? "3,10,50").split(separator: ",").map { Int($0) ?? 0 }
        guard !counts.isEmpty, counts.allSatisfy({ (1...1_000).contains($0) }) else {
            throw Failure("--nodes must be a list of numbers from 1 to 1000", .usage)
        }
        let losses = loss.split(separator: ",").map { Double($0) ?? -1 }
        guard !losses.isEmpty, losses.allSatisfy({ (0...50).contains($0) }) else {
            throw Failure("--loss must be a list of per cents from 0 to 50", .usage)
        }
        guard (1...100_000).contains(samples) else { throw Failure("--samples must be 1 to 100000", .usage) }
        guard (0...100_000).contains(cuts ?? 0) else { throw Failure("--cuts must be 0 to 100000", .usage) }
        guard (1...6_048_000).contains(virtualSeconds) else {
            throw Failure("--virtual-seconds must be 1 to 6048000", .usage)
        }
        var effort = GossipScenario.Effort()
        effort.samples = samples
        effort.cuts = cuts
        effort.quietSeconds = virtualSeconds
        return GossipRuns(
            scenario: scenario, nodes: counts, losses: losses, seed: seed ?? 1, effort: effort, json: json)
    }

    static func range(_ text: String, _ option: String) throws -> ClosedRange<UInt64> {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false).map { UInt64($0) }
        guard let first = parts.first ?? nil, let last = parts.last ?? nil, parts.count <= 2, first <= last else {
            throw Failure("\(option): \"\(text)\" is neither a number nor a range such as 1-100", .usage)
        }
        return first...last
    }

    private static func list(_ text: String) throws -> [UInt64] {
        try text.split(separator: ",").map {
            guard let seed = UInt64($0) else { throw Failure("--worker: \"\($0)\" is no seed", .usage) }
            return seed
        }
    }

    // MARK: One

    private func runOne(_ seed: UInt64, _ options: SimulationRun.Options) throws {
        let print: ((String) -> Void)? = trace ? { Console.out($0) } : nil
        var run = try SimulationRun(seed: seed, options: options, trace: print)
        let start = ContinuousClock.now
        let report = try run.run()
        let outcome = SimulationOutcome(report, seconds: start.duration(to: .now).seconds)
        if json {
            Console.out(outcome.line)
        } else {
            for breach in outcome.breaches { Console.out(outcome.text(of: breach)) }
            // The time that it took is no part of what is the same every time.
            Console.out(outcome.summary)
        }
        if !outcome.breaches.isEmpty { throw ExitCode.failure }
    }

    // MARK: Many

    private var arguments: [String] {
        var list = ["--nodes", nodes ?? "3-5", "--scenario", scenario, "--virtual-seconds", String(virtualSeconds)]
        if let rule, !planted { list += ["--rule", rule] }
        return list
    }

    private var jobCount: Int { max(1, jobs ?? ProcessInfo.processInfo.activeProcessorCount) }

    private func runMany() throws {
        if trace { throw Failure("--trace is of one run: it needs --seed", .usage) }
        if let jobs, jobs < 1 { throw Failure("--jobs must be at least 1", .usage) }
        let range = try Self.range(seeds, "--seeds")
        guard range.count <= 10_000_000 else { throw Failure("--seeds: at most ten million", .usage) }
        let pool = SimulationPool(jobs: jobCount, arguments: arguments)
        let start = ContinuousClock.now
        var total = SimulationTotal()
        try pool.run(Array(range)) { outcome in
            total.add(outcome)
            if json { return }
            if isatty(2) == 1 { Console.write("\r\u{1b}[K", to: 2) }
            for breach in outcome.breaches { Console.out(outcome.text(of: breach)) }
            if isatty(2) == 1 { Console.write("\(total.runs) of \(range.count) seeds", to: 2) }
            return
        }
        if isatty(2) == 1 { Console.write("\r\u{1b}[K", to: 2) }
        let seconds = start.duration(to: .now).seconds
        if json { Console.out(total.json(seconds: seconds)) } else { Console.out(total.summary(seconds: seconds)) }
        if !total.failed.isEmpty { throw ExitCode.failure }
    }

    // MARK: On purpose

    private func runPlanted() throws {
        let names = rule?.split(separator: ",").map(String.init)
        let all = PlantedRule.all.map(\.name) + GossipRule.all.map(\.name)
        if let unknown = names?.first(where: { !all.contains($0) }) {
            throw Failure("--rule: there is no \"\(unknown)\"", .usage)
        }
        var isMissed = false
        Console.out("| rule | broken by | scenario | caught as | seeds needed |")
        Console.out("| --- | --- | --- | --- | --- |")
        for rule in PlantedRule.all where names?.contains(rule.name) ?? true {
            let list = [
                "--nodes", rule.nodes, "--scenario", rule.scenario.rawValue, "--virtual-seconds",
                String(rule.virtualSeconds),
            ]
            let seeds = try Self.range(seeds, "--seeds")
            let caught = try firstCaught(by: Array(seeds), list, rule.name)
            let promises = Set(caught?.breaches.map(\.promise) ?? []).sorted().joined(separator: ", ")
            let needed = caught.map { String($0.seed - seeds.lowerBound + 1) } ?? "not in \(seeds.count)"
            if caught == nil { isMissed = true }
            Console.out("| \(rule.rule) | \(rule.name) | \(rule.scenario.rawValue) | \(promises) | \(needed) |")
        }
        for rule in GossipRule.all where names?.contains(rule.name) ?? true {
            let seeds = try Self.range(seeds, "--seeds")
            let caught = seeds.first { seed in
                let nodes = 3 + Int(seed % 8)
                return !GossipRule.run(rule, seed: seed, nodes: nodes, rounds: 12).isEmpty
                    && GossipRule.run(nil, seed: seed, nodes: nodes, rounds: 12).isEmpty
            }
            let needed = caught.map { String($0 - seeds.lowerBound + 1) } ?? "not in \(seeds.count)"
            if caught == nil { isMissed = true }
            Console.out("| \(rule.rule) | \(rule.name) | gossip | membership | \(needed) |")
        }
        if isMissed { throw ExitCode.failure }
    }

    /// The lowest seed that breaks a promise with the rule broken, and none without.
    private func firstCaught(by seeds: [UInt64], _ arguments: [String], _ rule: String) throws -> SimulationOutcome? {
        var seeds = seeds
        while !seeds.isEmpty {
            var caught: SimulationOutcome?
            try SimulationPool(jobs: jobCount, arguments: arguments + ["--rule", rule]).run(
                seeds, until: { caught?.seed }
            ) { outcome in
                if !outcome.breaches.isEmpty, outcome.seed < caught?.seed ?? .max { caught = outcome }
            }
            guard let caught else { return nil }
            var isClean = false
            try SimulationPool(jobs: 1, arguments: arguments).run([caught.seed]) { isClean = $0.breaches.isEmpty }
            if isClean { return caught }
            seeds.removeAll { $0 <= caught.seed }
        }
        return nil
    }
}

extension Duration {
    var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
