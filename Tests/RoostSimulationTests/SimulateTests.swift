import RoostSimulation
import Testing

/// Whole runs as `roost simulate` makes them: a cluster, users and faults by the seed, every promise held to.
@Suite struct SimulateTests {
    private static func run(
        _ seed: UInt64, _ options: SimulationRun.Options, trace: ((String) -> Void)? = nil
    ) throws -> SimulationReport {
        var run = try SimulationRun(seed: seed, options: options, trace: trace)
        return try run.run()
    }

    private static func short(_ scenario: Scenario, seconds: UInt64 = 8) -> SimulationRun.Options {
        var options = SimulationRun.Options()
        options.scenario = scenario
        options.virtualSeconds = seconds
        return options
    }

    @Test(arguments: UInt64(1)...120) func everyPromiseHolds(seed: UInt64) throws {
        let report = try Self.run(seed, Self.short(.mixed))
        #expect(report.breaches.isEmpty, "roost simulate --seed \(seed) --virtual-seconds 8: \(report.breaches)")
        #expect(report.accepted > 0 && report.delivered > 0, "seed \(seed)")
    }

    @Test(arguments: Scenario.allCases, UInt64(101)...108) func everyPromiseHoldsUnder(scenario: Scenario, seed: UInt64)
        throws
    {
        let report = try Self.run(seed, Self.short(scenario))
        #expect(
            report.breaches.isEmpty,
            "roost simulate --seed \(seed) --scenario \(scenario.rawValue) --virtual-seconds 8: \(report.breaches)")
    }

    /// A leader that answers what it does not know yet: it was asked again in the same instant, and time stood still.
    @Test func whoIsBehindIsNotAskedWithoutAPause() throws {
        let rule = try #require(PlantedRule.all.first { $0.name == "reads-unproven" })
        var options = Self.short(.partitions, seconds: 5)
        options.nodes = 3...3
        rule.plant(in: &options)
        #expect(try Self.run(34, options).delivered > 0)
    }

    @Test func theSameSeedIsTheSameRun() throws {
        final class Lines { var list: [String] = [] }
        let (first, second) = (Lines(), Lines())
        let one = try Self.run(5, Self.short(.brutal, seconds: 5)) { first.list.append($0) }
        let two = try Self.run(5, Self.short(.brutal, seconds: 5)) { second.list.append($0) }
        #expect(first.list.count > 1_000)
        let parting = zip(first.list, second.list).first { $0 != $1 }
        #expect(parting == nil)
        #expect(first.list.count == second.list.count && one.digest == two.digest)
        // Watched or not, it is the same run; another seed is another.
        #expect(try Self.run(5, Self.short(.brutal, seconds: 5)).digest == one.digest)
        #expect(try Self.run(6, Self.short(.brutal, seconds: 5)).digest != one.digest)
    }

    /// That the checkers bite: some of the rules of `roost simulate --planted`, each within a few seeds.
    @Test(arguments: [
        "accept-before-commit", "majority-off-by-one", "confirm-not-synced", "id-forgotten", "applied-ahead",
        "account-overwritten", "window-ignored", "gap-ignored",
    ])
    func aBrokenRuleIsNoticed(name: String) throws {
        let rule = try #require(PlantedRule.all.first { $0.name == name })
        var options = Self.short(rule.scenario, seconds: 20)
        options.nodes = 3...3
        rule.plant(in: &options)
        let caught = try (UInt64(1)...8).first { try !Self.run($0, options).breaches.isEmpty }
        #expect(caught != nil, "not in 8 seeds")
    }

    @Test func rulesHaveNamesAndFaultsOfTheirOwn() {
        #expect(Set(PlantedRule.all.map(\.name)).count == PlantedRule.all.count)
        #expect(Set(PlantedRule.all.map(\.fault)).count == PlantedRule.all.count)
    }
}
