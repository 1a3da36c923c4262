internal import Foundation
internal import Histogram

/// A reconnect storm: idle sessions on one node, chat on the others; the node is killed, and its sessions come back to
/// the others as the client library lets them. Every wait is bounded.
struct StormRun {
    struct Times: Sendable {
        /// Of chat before it is measured, and before the kill, in seconds.
        var warmup: Double
        var before: Double
        var connectTimeout: Double
        /// For all sessions to be back.
        var returnTimeout: Double
        var drainTimeout: Double
    }

    /// From the kill: others notice it and take its leaderships over, whether or not anybody connects.
    private static let takeoverSeconds = 2.0
    private static let afterSeconds = 5.0

    let settings: BenchSettings
    let times: Times
    /// Of the node.
    let victim: Int32
    let showsProgress: Bool
    private let load: BenchLoad

    init(settings: BenchSettings, times: Times, victim: Int32, showsProgress: Bool) {
        self.settings = settings
        self.times = times
        self.victim = victim
        self.showsProgress = showsProgress
        load = BenchLoad(settings: settings)
    }

    func run() async throws -> StormReport {
        do {
            let report = try await phases()
            await load.shutDown()
            return report
        } catch {
            await load.shutDown()
            throw error
        }
    }

    private func phases() async throws -> StormReport {
        let opening = BenchLoop.now
        try await load.open(settings.plan.endpoints)
        try await load.waitForConnections(within: times.connectTimeout, show: show)
        let opened = seconds(since: opening)
        try await load.startSending(now: BenchLoop.now)
        show("chat before")
        try await pause(times.warmup)
        try await load.begin(phase: "before", at: BenchLoop.now)
        try await pause(times.before)

        let before = try await load.progress()
        let killed = BenchLoop.now
        guard kill(victim, SIGKILL) == 0 else { throw Failure("process \(victim) can't be killed", .noPermission) }
        // What is under way at the kill waits for it.
        try await load.begin(phase: "takeover", at: killed - 250_000_000)
        try await load.begin(phase: "storm", at: killed + UInt64(Self.takeoverSeconds * 1e9))
        let back = try await returned(since: killed)
        let storm = try await load.progress()
        let rest = Self.takeoverSeconds - seconds(since: killed)
        if rest > 0 { try await pause(rest) }
        try await load.begin(phase: "after", at: BenchLoop.now)
        show("chat after")
        try await pause(Self.afterSeconds)
        try await load.stopSending()
        let drained = try await load.drain(within: times.drainTimeout, show: show)
        let outcome = try await load.outcome()
        let end = try await load.progress()
        return StormReport(
            sessions: settings.plan.endpoints.count { $0.role == .idle }, openSeconds: opened, back: back,
            putOff: storm.putOff - before.putOff, failedDials: storm.failedDials - before.failedDials,
            phases: outcome.phases, tally: outcome.tally(settings.plan), unordered: end.unordered,
            unanswered: end.openSends, drained: drained, faults: outcome.faults(settings.plan) + end.faults)
    }

    /// When a half, nine tenths, 99 % and all of the connections stood again, in seconds from the kill.
    private func returned(since killed: UInt64) async throws -> [Double?] {
        let all = settings.plan.endpoints.count
        let idle = settings.plan.endpoints.count { $0.role == .idle }
        let marks = [0.5, 0.9, 0.99, 1].map { all - idle + Int((Double(idle) * $0).rounded(.up)) }
        var reached: [Double?] = marks.map { _ in nil }
        // Until the node's end is heard of, all seem to be there.
        var wasAway = false
        while seconds(since: killed) < times.returnTimeout, reached.contains(nil) {
            try await Task.sleep(for: .milliseconds(20))
            let ready = try await load.progress().ready
            if ready < all - idle / 2 || seconds(since: killed) > 1 { wasAway = true }
            guard wasAway else { continue }
            for (index, mark) in marks.enumerated() where reached[index] == nil && ready >= mark {
                reached[index] = seconds(since: killed)
            }
            show("storm: \(ready) of \(all) connected")
        }
        return reached
    }

    private func seconds(since start: UInt64) -> Double { Double(BenchLoop.now - start) / 1e9 }

    private func pause(_ seconds: Double) async throws { try await Task.sleep(for: .seconds(seconds)) }

    /// On a terminal, one line that is written over.
    private func show(_ text: String) {
        if showsProgress { Console.write("\r\u{1b}[K\(text)", to: 2) }
    }
}

/// What became of a storm.
struct StormReport: Encodable {
    struct Phase: Encodable {
        var name: String
        var messages: Int
        /// Milliseconds.
        var accept: BenchReport.Latency
        var delivery: BenchReport.Latency

        private enum CodingKeys: String, CodingKey {
            case name, messages, accept = "accept_ms", delivery = "delivery_ms"
        }
    }

    var sessions: Int
    var openSeconds: Double
    /// Until a half, nine tenths, 99 % and all were back, in seconds; nil: not in time.
    var back: [Double?]
    var putOff: Int
    var failedDials: Int
    var phases: [Phase]
    /// Of all messages due from the kill until all were back, with the takeover; of acceptance and delivery.
    var kill: Phase
    var accepted: UInt64
    var lost: UInt64
    var duplicates: UInt64
    var outOfOrder: UInt64
    var unanswered: Int
    var drained: Bool
    var faults: [String]

    private enum CodingKeys: String, CodingKey {
        case sessions, back = "back_seconds", phases, kill, accepted, lost, duplicates, unanswered, drained, faults
        case openSeconds = "open_seconds", putOff = "put_off", failedDials = "failed_dials", outOfOrder = "out_of_order"
    }

    init(
        sessions: Int, openSeconds: Double, back: [Double?], putOff: Int, failedDials: Int, phases: [BenchPhase],
        tally: BenchTally, unordered: UInt64, unanswered: Int, drained: Bool, faults: [String]
    ) {
        func phase(_ phase: BenchPhase) -> Phase {
            Phase(
                name: phase.name, messages: Int(phase.delivery.totalCount), accept: .init(phase.accept),
                delivery: .init(phase.delivery))
        }
        self.sessions = sessions
        self.openSeconds = openSeconds
        self.back = back
        self.putOff = putOff
        self.failedDials = failedDials
        self.phases = phases.map(phase)
        var whole = BenchPhase(name: "from the kill", from: 0)
        for part in phases where ["takeover", "storm"].contains(part.name) { whole.add(part) }
        kill = phase(whole)
        accepted = tally.accepted
        lost = tally.lost
        duplicates = tally.duplicates
        outOfOrder = tally.outOfOrder + unordered
        self.unanswered = unanswered
        self.drained = drained
        self.faults = faults
    }

    var isClean: Bool {
        lost == 0 && duplicates == 0 && outOfOrder == 0 && unanswered == 0 && drained && !back.contains { $0 == nil }
    }

    var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }

    var lines: [String] {
        func seconds(_ value: Double?) -> String { value.map { BenchReport.number($0, 1) + " s" } ?? "NOT IN TIME" }
        var lines = [
            "sessions        \(sessions), opened in \(seconds(openSeconds))",
            "back            half \(seconds(back[0])), 90 % \(seconds(back[1])), 99 % \(seconds(back[2])), "
                + "all \(seconds(back[3]))",
            "put off         \(putOff) times, of \(failedDials) failed dials",
            "",
        ]
        func row(_ name: String, _ count: Int, _ latency: BenchReport.Latency) -> [String] {
            [name, String(count)]
                + [latency.p50, latency.p90, latency.p99, latency.p999, latency.max].map { BenchReport.number($0, 1) }
        }
        lines += Console.table(
            ["chat, ms", "messages", "p50", "p90", "p99", "p99.9", "max"],
            (phases + [kill]).flatMap { phase in
                [
                    row("\(phase.name): accepted", phase.messages, phase.accept),
                    row("\(phase.name): end to end", phase.messages, phase.delivery),
                ]
            })
        lines += [
            "",
            "accepted \(accepted): lost \(lost), duplicated \(duplicates), out of order \(outOfOrder), "
                + "unanswered \(unanswered)",
        ]
        if !drained { lines.append("NOT DRAINED: not all that was accepted had arrived when the time was up") }
        return lines + faults
    }
}
