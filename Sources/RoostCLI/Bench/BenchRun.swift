internal import Foundation
internal import Histogram
internal import NIOCore
internal import NIOPosix

/// A run from the first connection to the report. Every wait is bounded.
struct BenchRun {
    static let loops = 2

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

    private let loops: [BenchLoop]
    private let group: MultiThreadedEventLoopGroup

    init(
        settings: BenchSettings, times: Times, processes: [ProcessMeters.Server], showsProgress: Bool
    ) {
        self.settings = settings
        self.times = times
        self.processes = processes
        self.showsProgress = showsProgress
        let group = MultiThreadedEventLoopGroup(numberOfThreads: Self.loops)
        self.group = group
        loops = (0..<Self.loops).map { _ in BenchLoop(eventLoop: group.next(), settings: settings) }
    }

    func run() async throws -> BenchReport {
        do {
            let report = try await phases()
            await shutDown()
            return report
        } catch {
            await shutDown()
            throw error
        }
    }

    private func shutDown() async {
        for loop in loops { try? await loop.eventLoop.submit { loop.close() }.get() }
        try? await group.shutdownGracefully()
    }

    private func phases() async throws -> BenchReport {
        for (index, loop) in loops.enumerated() {
            let endpoints = settings.plan.endpoints.enumerated().filter { $0.offset % Self.loops == index }.map(
                \.element)
            try await loop.eventLoop.submit { loop.open(endpoints) }.get()
        }
        try await waitForConnections()

        let start = BenchLoop.now
        let from = start + UInt64(times.warmup * 1e9)
        let until = from + UInt64(times.duration * 1e9)
        for loop in loops {
            try await loop.eventLoop.submit {
                loop.measure(from: from, until: until)
                loop.startSending(now: start)
            }.get()
        }
        await sleep(until: from)
        var meters = ProcessMeters(processes)
        meters.observe()
        let before = ProcessStats.read(getpid())?.cpuSeconds ?? 0
        let end = try await sendingEnds(until, &meters)
        meters.observe()
        let own = (ProcessStats.read(getpid())?.cpuSeconds ?? before) - before
        for loop in loops {
            try await loop.eventLoop.submit {
                loop.stopSending()
                loop.endMeasurement(at: end)
            }.get()
        }
        let drained = try await drain()
        return try await report(seconds: Double(end - from) / 1e9, meters: meters, ownCPU: own, drained: drained)
    }

    private func progress() async throws -> BenchProgress {
        var sum = BenchProgress()
        for loop in loops { sum = sum + (try await loop.eventLoop.submit { loop.snapshot() }.get()) }
        return sum
    }

    private func waitForConnections() async throws {
        let deadline = BenchLoop.now + UInt64(times.connectTimeout * 1e9)
        while true {
            let now = try await progress()
            if now.ready == now.endpoints { return }
            guard BenchLoop.now < deadline else {
                let reason = now.lastError.map { "; last error: \($0)" } ?? ""
                throw Failure("only \(now.ready) of \(now.endpoints) connections stand in time\(reason)", .unavailable)
            }
            show("connecting: \(now.ready) of \(now.endpoints)")
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// Until the time is up, or all messages are delivered; returns when that was.
    private func sendingEnds(_ until: UInt64, _ meters: inout ProcessMeters) async throws -> UInt64 {
        var last = try await progress()
        var shown = BenchLoop.now
        var looked = shown
        while BenchLoop.now < until {
            await sleep(until: min(until, BenchLoop.now + 100_000_000))
            let now = try await progress()
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

    /// Waits until all that was sent is answered and all that was accepted has arrived.
    private func drain() async throws -> Bool {
        let deadline = BenchLoop.now + UInt64(times.drainTimeout * 1e9)
        while BenchLoop.now < deadline {
            let now = try await progress()
            if now.openSends == 0, now.delivered >= now.expected { return true }
            show(
                "draining: \(now.openSends) unanswered, \(now.expected - min(now.delivered, now.expected)) on their way"
            )
            try await Task.sleep(for: .milliseconds(50))
        }
        return false
    }

    private func report(
        seconds: Double, meters: ProcessMeters, ownCPU: Double, drained: Bool
    ) async throws -> BenchReport {
        var delivery = Histogram<UInt64>(numberOfSignificantValueDigits: .three)
        var accept = Histogram<UInt64>(numberOfSignificantValueDigits: .three)
        var delivered: UInt64 = 0
        var accepted: UInt64 = 0
        var senders: [Int: (UInt64, BenchAccepted)] = [:]
        var flows: [Int: [BenchFlow]] = [:]
        for loop in loops {
            let part = try await loop.eventLoop.submit { LoopResult(loop) }.get()
            delivery.add(part.delivery)
            accept.add(part.accept)
            delivered += part.delivered
            accepted += part.accepted
            for (number, sender) in part.senders { senders[number] = sender }
            for (number, some) in part.flows { flows[number, default: []] += some }
        }
        let numbers = settings.plan.conversations.indices
        let tally = BenchTally(
            senders: numbers.map { senders[$0] ?? (0, BenchAccepted()) },
            flows: numbers.map { number in
                // A receiver that got nothing has no flow yet.
                let some = flows[number] ?? []
                let absent = max(0, settings.plan.conversations[number].receivers - some.count)
                return some + Array(repeating: BenchFlow(), count: absent)
            })
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
        let sum = try await progress()
        return BenchReport(
            connections: sum.endpoints, seconds: seconds, sent: tally.sent, accepted: tally.accepted,
            delivered: tally.delivered, acceptedPerSecond: Double(accepted) / seconds,
            deliveredPerSecond: Double(delivered) / seconds, delivery: .init(delivery), accept: .init(accept),
            lost: tally.lost, duplicates: tally.duplicates, outOfOrder: tally.outOfOrder, refused: sum.refused,
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

/// Copies of what a loop holds at the end.
private struct LoopResult: Sendable {
    var delivery: Histogram<UInt64>
    var accept: Histogram<UInt64>
    var delivered: UInt64
    var accepted: UInt64
    var senders: [Int: (UInt64, BenchAccepted)] = [:]
    var flows: [Int: [BenchFlow]] = [:]

    init(_ loop: BenchLoop) {
        delivery = loop.deliveryLatency
        accept = loop.acceptLatency
        delivered = loop.measuredDelivered
        accepted = loop.measuredAccepted
        for connection in loop.connections {
            if let sender = connection.sender { senders[sender.number] = (sender.lastCounter, sender.accepted) }
            for (number, flow) in connection.flows { flows[number, default: []].append(flow) }
        }
    }
}
