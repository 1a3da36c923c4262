internal import Foundation
internal import RoostSimulation

/// A run's report as a worker hands it over: one line of JSON.
struct SimulationOutcome: Codable {
    struct Broken: Codable {
        var promise: String
        var text: String
    }
    var seed: UInt64
    var breaches: [Broken]
    var virtualMilliseconds: UInt64
    var steps: UInt64
    var sent: Int
    var accepted: Int
    var delivered: Int
    var reads: Int
    var terms: Int
    var faults: [String: Int]
    var digest: String
    /// Of real time.
    var seconds: Double

    init(_ report: SimulationReport, seconds: Double) {
        seed = report.seed
        breaches = report.breaches.map { Broken(promise: $0.promise.rawValue, text: $0.text) }
        virtualMilliseconds = report.virtualMilliseconds
        steps = report.steps
        sent = report.sent
        accepted = report.accepted
        delivered = report.delivered
        reads = report.reads
        terms = report.terms
        faults = report.faults
        digest = String(report.digest, radix: 16)
        self.seconds = seconds
    }

    /// Of a run that ended its process.
    init(crashed seed: UInt64, _ how: String) {
        self.seed = seed
        breaches = [Broken(promise: "crash", text: "the process ended: \(how)")]
        virtualMilliseconds = 0
        steps = 0
        sent = 0
        accepted = 0
        delivered = 0
        reads = 0
        terms = 0
        faults = [:]
        digest = ""
        seconds = 0
    }

    var line: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }

    func text(of breach: Broken) -> String { "seed \(seed): \(breach.promise): \(breach.text)" }

    /// The same for every run of a seed.
    var summary: String {
        let list = faults.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        return "seed \(seed): \(virtualMilliseconds / 1_000) virtual s, \(steps) steps, \(sent) sent, "
            + "\(accepted) accepted, \(delivered) delivered, \(reads) reads, \(terms) terms, digest \(digest); \(list)"
    }
}

/// All runs together.
struct SimulationTotal {
    private(set) var runs = 0
    private(set) var failed: [UInt64] = []
    private var outcomes = (virtual: 0.0, steps: 0.0, sent: 0, delivered: 0, reads: 0, terms: 0)
    private var faults: [String: Int] = [:]
    private var breaches: [String: Int] = [:]

    mutating func add(_ outcome: SimulationOutcome) {
        runs += 1
        if !outcome.breaches.isEmpty { failed.append(outcome.seed) }
        for promise in Set(outcome.breaches.map(\.promise)) { breaches[promise, default: 0] += 1 }
        outcomes.virtual += Double(outcome.virtualMilliseconds) / 1_000
        outcomes.steps += Double(outcome.steps)
        outcomes.sent += outcome.sent
        outcomes.delivered += outcome.delivered
        outcomes.reads += outcome.reads
        outcomes.terms += outcome.terms
        faults.merge(outcome.faults, uniquingKeysWith: +)
    }

    private static let crashes: [FaultPlan.Kind] = [.crash, .crashAll, .failedSync]
    private static let partitions: [FaultPlan.Kind] = [.cut, .silence, .oneWay, .isolation, .split]

    private func count(_ kinds: [FaultPlan.Kind]) -> Int { kinds.reduce(0) { $0 + (faults[$1.rawValue] ?? 0) } }

    func summary(seconds: Double) -> String {
        let kinds = faults.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
        let broken = breaches.sorted { $0.key < $1.key }.map { "\($0.key) in \($0.value)" }.joined(separator: ", ")
        return """
            \(runs) runs, \(failed.count) failed\(broken.isEmpty ? "" : " (\(broken))")
            \(String(format: "%.2f", outcomes.virtual / 3600)) virtual hours in \(String(format: "%.0f", seconds)) s: \
            \(String(format: "%.0f", outcomes.virtual / max(seconds, 0.001))) virtual seconds per second, \
            \(String(format: "%.0f", outcomes.steps / max(seconds, 0.001))) steps per second
            \(outcomes.sent) messages sent, \(outcomes.delivered) delivered, \(outcomes.reads) reads judged, \
            \(outcomes.terms) terms
            \(count(Self.crashes)) times processes crashed, \(count(Self.partitions)) times links or nodes were cut \
            off, \(count([.wipe])) disks wiped; in all:
            \(kinds.isEmpty ? "no faults" : kinds)
            """
    }

    func json(seconds: Double) -> String {
        struct Summary: Codable {
            var runs: Int
            var failed: [UInt64]
            var breaches: [String: Int]
            var virtualHours: Double
            var seconds: Double
            var virtualSecondsPerSecond: Double
            var sent: Int
            var delivered: Int
            var reads: Int
            var terms: Int
            var crashes: Int
            var partitions: Int
            var wipedDisks: Int
            var faults: [String: Int]
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        let summary = Summary(
            runs: runs, failed: failed.sorted(), breaches: breaches, virtualHours: outcomes.virtual / 3600,
            seconds: seconds, virtualSecondsPerSecond: outcomes.virtual / max(seconds, 0.001), sent: outcomes.sent,
            delivered: outcomes.delivered, reads: outcomes.reads, terms: outcomes.terms, crashes: count(Self.crashes),
            partitions: count(Self.partitions), wipedDisks: count([.wipe]), faults: faults)
        return (try? encoder.encode(summary)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }
}
