internal import Foundation
internal import RoostSimulation

/// `roost simulate --scenario convergence|detection|storm`: one run for each number of nodes and each loss, a table of
/// figures with a column for each.
struct GossipRuns {
    var scenario: GossipScenario
    var nodes: [Int]
    /// Per cent.
    var losses: [Double]
    var seed: UInt64
    var effort: GossipScenario.Effort
    var json: Bool

    /// Whether no rule of the machines was broken.
    func run() -> Bool {
        var reports: [GossipReport] = []
        for count in nodes {
            for loss in losses {
                let start = ContinuousClock.now
                let report = scenario.run(GossipOptions(nodes: count, seed: seed, lossPerCent: loss), effort)
                reports.append(report)
                if json { Console.out(GossipOutcome(report).line) }
                let seconds = start.duration(to: .now).seconds
                Console.note(
                    "\(count) nodes, \(Self.text(loss)) % loss: \(Int(report.virtualSeconds)) virtual seconds in "
                        + "\(Self.text((seconds * 10).rounded() / 10)) s")
                for failure in report.failures { Console.note("broken: \(failure)") }
            }
        }
        if !json { table(reports) }
        return reports.allSatisfy(\.failures.isEmpty)
    }

    private func table(_ reports: [GossipReport]) {
        let header = ["figure"] + reports.map { "\($0.nodes) nodes, \(Self.text($0.lossPerCent)) %" }
        var rows: [[String]] = []
        var keys: [(key: String, text: String)] = []
        for figure in reports.flatMap(\.figures) where !keys.contains(where: { $0.key == figure.key }) {
            keys.append((figure.key, figure.text))
        }
        for (key, text) in keys {
            let cells = reports.map { report in
                report.figures.first { $0.key == key }.map { Self.text($0) } ?? "-"
            }
            rows.append([text] + cells)
        }
        for line in Console.table(header, rows) { Console.out(line) }
    }

    private static func text(_ figure: GossipReport.Figure) -> String {
        let digits = figure.value == 0 || figure.value >= 10 ? 0 : figure.value >= 0.1 ? 2 : 4
        let number = String(format: "%.\(digits)f", figure.value)
        return figure.unit.isEmpty ? number : "\(number) \(figure.unit)"
    }

    private static func text(_ number: Double) -> String {
        number == number.rounded() ? String(Int(number)) : String(number)
    }
}

/// A report as a line of JSON.
private struct GossipOutcome: Encodable {
    var scenario: String
    var nodes: Int
    var lossPercent: Double
    var seed: UInt64
    var virtualSeconds: Double
    /// By key; times in milliseconds.
    var figures: [String: Double]
    var failures: [String]

    init(_ report: GossipReport) {
        scenario = report.scenario
        nodes = report.nodes
        lossPercent = report.lossPerCent
        seed = report.seed
        virtualSeconds = report.virtualSeconds
        figures = Dictionary(report.figures.map { ($0.key, $0.value) }) { first, _ in first }
        failures = report.failures
    }

    var line: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }
}
