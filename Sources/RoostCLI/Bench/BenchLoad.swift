internal import Histogram
internal import NIOCore
internal import NIOPosix

/// The connections of a load, on event loops of their own.
final class BenchLoad: Sendable {
    private static let loopCount = 2

    let settings: BenchSettings
    private let loops: [BenchLoop]
    private let group: MultiThreadedEventLoopGroup

    init(settings: BenchSettings) {
        self.settings = settings
        let group = MultiThreadedEventLoopGroup(numberOfThreads: Self.loopCount)
        self.group = group
        loops = (0..<Self.loopCount).map { _ in BenchLoop(eventLoop: group.next(), settings: settings) }
    }

    func shutDown() async {
        for loop in loops { try? await loop.eventLoop.submit { loop.close() }.get() }
        try? await group.shutdownGracefully()
    }

    private func onLoops(_ body: @escaping @Sendable (BenchLoop) -> Void) async throws {
        for loop in loops { try await loop.eventLoop.submit { body(loop) }.get() }
    }

    /// Beside those that are open already.
    func open(_ endpoints: [BenchPlan.Endpoint]) async throws {
        for (index, loop) in loops.enumerated() {
            let some = endpoints.enumerated().filter { $0.offset % Self.loopCount == index }.map(\.element)
            try await loop.eventLoop.submit { loop.open(some) }.get()
        }
    }

    /// Breaks a connection, by the number of its endpoint.
    func drop(_ number: Int) async throws {
        let loop = loops[number % Self.loopCount]
        try await loop.eventLoop.submit { loop.drop(number / Self.loopCount) }.get()
    }

    func measure(from: UInt64, until: UInt64) async throws {
        try await onLoops { $0.measure(from: from, until: until) }
    }
    func begin(phase: String, at time: UInt64) async throws { try await onLoops { $0.begin(phase: phase, at: time) } }
    func startSending(now: UInt64) async throws { try await onLoops { $0.startSending(now: now) } }
    func stopSending() async throws { try await onLoops { $0.stopSending() } }

    func progress() async throws -> BenchProgress {
        var sum = BenchProgress()
        for loop in loops { sum = sum + (try await loop.eventLoop.submit { loop.snapshot() }.get()) }
        return sum
    }

    /// - Parameter seconds: at most.
    func waitForConnections(within seconds: Double, show: (String) -> Void) async throws {
        let deadline = BenchLoop.now + UInt64(seconds * 1e9)
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

    /// Waits until all that was sent is answered, but no longer than that; how long it took, in seconds.
    func answered(within seconds: Double) async throws -> Double {
        let start = BenchLoop.now
        let deadline = start + UInt64(seconds * 1e9)
        while BenchLoop.now < deadline, try await progress().openSends > 0 {
            try await Task.sleep(for: .milliseconds(20))
        }
        return Double(BenchLoop.now - start) / 1e9
    }

    /// Waits until all that was sent is answered and all that was accepted has arrived. False when the time is up.
    func drain(within seconds: Double, show: (String) -> Void) async throws -> Bool {
        let deadline = BenchLoop.now + UInt64(seconds * 1e9)
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

    func outcome() async throws -> BenchOutcome {
        var outcome = BenchOutcome()
        for loop in loops { outcome.add(try await loop.eventLoop.submit { BenchOutcome(loop) }.get()) }
        return outcome
    }
}

/// Copies of what the loops hold.
struct BenchOutcome: Sendable {
    /// What a receiving device has, by sender.
    struct Receiver: Sendable {
        var endpoint: BenchPlan.Endpoint
        var flows: [Int: BenchFlow]
    }

    var delivery = Histogram<UInt64>(numberOfSignificantValueDigits: .three)
    var accept = Histogram<UInt64>(numberOfSignificantValueDigits: .three)
    var phases: [BenchPhase] = []
    var measuredDelivered: UInt64 = 0
    var measuredAccepted: UInt64 = 0
    var senders: [Int: (sent: UInt64, accepted: BenchAccepted)] = [:]
    var receivers: [Receiver] = []

    init() {}

    init(_ loop: BenchLoop) {
        delivery = loop.deliveryLatency
        accept = loop.acceptLatency
        phases = loop.phases
        measuredDelivered = loop.measuredDelivered
        measuredAccepted = loop.measuredAccepted
        for connection in loop.connections {
            if let sender = connection.sender { senders[sender.number] = (sender.lastCounter, sender.accepted) }
            guard case .receiver = connection.endpoint.role else { continue }
            receivers.append(Receiver(endpoint: connection.endpoint, flows: connection.flows))
        }
    }

    mutating func add(_ other: BenchOutcome) {
        delivery.add(other.delivery)
        accept.add(other.accept)
        // All loops have the same.
        let former = phases
        phases = other.phases
        for (index, phase) in former.enumerated() where index < phases.count { phases[index].add(phase) }
        measuredDelivered += other.measuredDelivered
        measuredAccepted += other.measuredAccepted
        senders.merge(other.senders) { $1 }
        receivers += other.receivers
    }

    /// What each device has, or should have, of each sender; one that got nothing has an empty flow.
    func flows(_ plan: BenchPlan) -> [(sender: Int, endpoint: BenchPlan.Endpoint, flow: BenchFlow)] {
        receivers.flatMap { receiver in
            plan.conversations.enumerated().filter { $0.element.users.dropFirst().contains(receiver.endpoint.user) }
                .map { ($0.offset, receiver.endpoint, receiver.flows[$0.offset] ?? BenchFlow()) }
        }
    }

    func tally(_ plan: BenchPlan) -> BenchTally {
        let numbers = plan.conversations.indices
        var flows: [[BenchFlow]] = numbers.map { _ in [] }
        for entry in self.flows(plan) { flows[entry.sender].append(entry.flow) }
        return BenchTally(senders: numbers.map { senders[$0] ?? (0, BenchAccepted()) }, flows: flows)
    }

    /// One line for each device that lacks or has too much of a sender.
    func faults(_ plan: BenchPlan) -> [String] {
        flows(plan).compactMap { number, endpoint, flow in
            let accepted = senders[number]?.accepted ?? BenchAccepted()
            var words: [String] = []
            let lost = flow.lost(accepted: accepted)
            if lost > 0 {
                let some = flow.firstLost(8, accepted: accepted).map(String.init).joined(separator: ", ")
                words.append("lost \(lost) (number \(some)\(lost > 8 ? ", …" : ""))")
            }
            if flow.duplicates > 0 { words.append("has \(flow.duplicates) twice") }
            if flow.outOfOrder > 0 { words.append("got \(flow.outOfOrder) out of order") }
            guard !words.isEmpty else { return nil }
            return "device \(endpoint.device) of user \(endpoint.user), sender \(number): "
                + words.joined(separator: ", ")
        }
    }
}
