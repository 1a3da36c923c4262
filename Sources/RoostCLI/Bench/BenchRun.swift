internal import Foundation

/// A run from the first connection to the report. Every wait is bounded.
struct BenchRun {
    struct Times: Sendable {
        var warmup: Double
        /// Of the measurement, in seconds; with a number of messages only a bound.
        var duration: Double
        var drainTimeout: Double
        /// Until all connections stand.
        var connectTimeout: Double
    }

    let settings: BenchSettings
    let times: Times
    /// Of servers on this machine.
    let processes: [ProcessMeters.Server]
    let showsProgress: Bool

    private let load: BenchLoad

    init(
        settings: BenchSettings, times: Times, processes: [ProcessMeters.Server], showsProgress: Bool
    ) {
        self.settings = settings
        self.times = times
        self.processes = processes
        self.showsProgress = showsProgress
        load = BenchLoad(settings: settings)
    }

    func run() async throws -> BenchReport {
        do {
            let report = try await phases()
            await load.shutDown()
            return report
        } catch {
            await load.shutDown()
            throw error
        }
    }

    private func phases() async throws -> BenchReport {
        try await load.open(settings.plan.endpoints)
        try await load.waitForConnections(within: times.connectTimeout, show: show)

        let start = BenchLoop.now
        let from = start + UInt64(times.warmup * 1e9)
        let until = from + UInt64(times.duration * 1e9)
        try await load.measure(from: from, until: until)
        try await load.startSending(now: start)
        await sleep(until: from)
        var meters = ProcessMeters(processes)
        meters.observe()
        let before = ProcessStats.read(getpid())?.cpuSeconds ?? 0
        let end = try await sendingEnds(until, &meters)
        meters.observe()
        let own = (ProcessStats.read(getpid())?.cpuSeconds ?? before) - before
        try await load.stopSending()
        try await load.measure(from: from, until: end)
        let drained = try await load.drain(within: times.drainTimeout, show: show)
        return try await report(seconds: Double(end - from) / 1e9, meters: meters, ownCPU: own, drained: drained)
    }

    /// Until the time is up, or all messages are delivered; returns when that was.
    private func sendingEnds(_ until: UInt64, _ meters: inout ProcessMeters) async throws -> UInt64 {
        var last = try await load.progress()
        var shown = BenchLoop.now
        var looked = shown
        while BenchLoop.now < until {
            await sleep(until: min(until, BenchLoop.now + 100_000_000))
            let now = try await load.progress()
            let time = BenchLoop.now
            // What a process used between the last look and its end is not known.
            if time - looked >= 500_000_000 {
                meters.observe()
                looked = time
            }
            if let limit = settings.messagesPerSender {
                let total = limit * UInt64(settings.plan.senderCount)
                if now.accepted + now.refused >= total, now.delivered >= now.expected { return time }
            }
            guard time - shown >= 1_000_000_000 else { continue }
            let seconds = Double(time - shown) / 1e9
            let accepted = Double(now.accepted - last.accepted) / seconds
            let delivered = Double(now.delivered - last.delivered) / seconds
            show("\(Int(accepted)) accepted/s, \(Int(delivered)) delivered/s, \(now.openSends) in flight")
            last = now
            shown = time
        }
        return until
    }

    private func report(
        seconds: Double, meters: ProcessMeters, ownCPU: Double, drained: Bool
    ) async throws -> BenchReport {
        let outcome = try await load.outcome()
        let tally = outcome.tally(settings.plan)
        let delivered = outcome.measuredDelivered
        func perMessage(_ cpu: Double) -> Double {
            delivered > 0 ? BenchReport.rounded(cpu * 1e6 / Double(delivered)) : 0
        }
        let servers = meters.servers.compactMap { server, meter -> BenchReport.Server? in
            guard let latest = meter.latest else { return nil }
            return BenchReport.Server(
                server: server.name, pid: latest.pid, restarts: meter.restarts,
                cpuSeconds: BenchReport.rounded(meter.cpuSeconds),
                cpuMicrosecondsPerMessage: perMessage(meter.cpuSeconds), residentBytes: latest.residentBytes)
        }
        let sum = try await load.progress()
        return BenchReport(
            connections: sum.endpoints, seconds: seconds, sent: tally.sent, accepted: tally.accepted,
            delivered: tally.delivered, acceptedPerSecond: Double(outcome.measuredAccepted) / seconds,
            deliveredPerSecond: Double(delivered) / seconds, delivery: .init(outcome.delivery),
            accept: .init(outcome.accept),
            lost: tally.lost, duplicates: tally.duplicates, outOfOrder: tally.outOfOrder + sum.unordered,
            refused: sum.refused,
            retries: sum.retries, redelivered: sum.redelivered, reconnects: sum.reconnects, unanswered: sum.openSends,
            drained: drained, servers: servers,
            cpuMicrosecondsPerMessage: perMessage(servers.map(\.cpuSeconds).reduce(0, +)),
            ownCPUMicrosecondsPerMessage: perMessage(ownCPU))
    }

    private func sleep(until time: UInt64) async {
        let now = BenchLoop.now
        if time > now { try? await Task.sleep(for: .nanoseconds(Int64(time - now))) }
    }

    /// On a terminal, one line that is written over.
    private func show(_ text: String) {
        if showsProgress { Console.write("\r\u{1b}[K\(text)", to: 2) }
    }
}
