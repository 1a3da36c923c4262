internal import Dispatch
internal import Histogram
internal import NIOCore
internal import RoostModel

/// The connections of one event loop, and what they measured. Entered only on that loop.
final class BenchLoop: @unchecked Sendable {
    static let maxDialsAtOnce = 64
    static let tickMilliseconds: Int64 = 2
    static let ackMilliseconds: UInt64 = 10

    let eventLoop: any EventLoop
    let settings: BenchSettings
    var connections: [BenchConnection] = []
    /// Those to which time brings something: idle ones hear nothing that is to be acknowledged.
    private var chatting: [BenchConnection] = []
    var progress = BenchProgress()
    private(set) var deliveryLatency = Histogram<UInt64>(numberOfSignificantValueDigits: .three)
    private(set) var acceptLatency = Histogram<UInt64>(numberOfSignificantValueDigits: .three)
    /// Of a storm, one after the other.
    private(set) var phases: [BenchPhase] = []
    /// Counted between the two times of the measurement.
    private(set) var measuredDelivered: UInt64 = 0
    private(set) var measuredAccepted: UInt64 = 0
    private(set) var isSending = false
    private(set) var isOver = false
    private(set) var sendingSince: UInt64 = 0
    private var measureFrom = UInt64.max
    private var measureUntil = UInt64.max
    private var waitingDials: [BenchConnection] = []
    private var dialling = 0
    private var ticker: RepeatedTask?

    init(eventLoop: any EventLoop, settings: BenchSettings) {
        self.eventLoop = eventLoop
        self.settings = settings
    }

    static var now: UInt64 { DispatchTime.now().uptimeNanoseconds }

    /// Beside those that are open already.
    func open(_ endpoints: [BenchPlan.Endpoint]) {
        let more = endpoints.map { BenchConnection(endpoint: $0, loop: self) }
        connections += more
        chatting += more.filter { $0.endpoint.role != .idle }
        progress.endpoints = connections.count
        for connection in more { requestDial(connection) }
        guard ticker == nil else { return }
        ticker = eventLoop.scheduleRepeatedTask(
            initialDelay: .milliseconds(Self.tickMilliseconds), delay: .milliseconds(Self.tickMilliseconds)
        ) { [weak self] _ in self?.tick() }
    }

    /// Dials now, or when others are done.
    func requestDial(_ connection: BenchConnection) {
        guard !isOver else { return }
        if dialling < Self.maxDialsAtOnce {
            dialling += 1
            connection.dial()
        } else {
            waitingDials.append(connection)
        }
    }

    /// Breaks a connection, as a network would.
    func drop(_ index: Int) { if connections.indices.contains(index) { connections[index].drop() } }

    func dialEnded() {
        dialling -= 1
        if let next = waitingDials.popLast() { requestDial(next) }
    }

    private func tick() {
        let now = Self.now
        for connection in chatting { connection.tick(now: now) }
    }

    func startSending(now: UInt64) {
        isSending = true
        sendingSince = now
        for connection in connections { connection.startSending(now: now) }
    }

    func stopSending() { isSending = false }

    func measure(from: UInt64, until: UInt64) {
        measureFrom = from
        measureUntil = until
    }

    func begin(phase name: String, at time: UInt64) { phases.append(BenchPhase(name: name, from: time)) }

    /// Where a message belongs, by when it was due.
    private func phase(of dueAt: UInt64) -> Int? { phases.lastIndex { $0.from <= dueAt } }

    func close() {
        isOver = true
        isSending = false
        ticker?.cancel()
        for connection in connections { connection.close() }
    }

    // MARK: Measuring

    func delivered(dueAt: UInt64, now: UInt64) {
        progress.delivered += 1
        if now >= measureFrom, now < measureUntil { measuredDelivered += 1 }
        if dueAt >= measureFrom, dueAt < measureUntil { _ = deliveryLatency.record((now &- dueAt) / 1_000) }
        if let phase = phase(of: dueAt) { _ = phases[phase].delivery.record((now &- dueAt) / 1_000) }
    }

    func broke(_ fault: String) {
        progress.unordered += 1
        if progress.faults.count < BenchProgress.maxFaults { progress.faults.append(fault) }
    }

    func accepted(dueAt: UInt64, now: UInt64, receivers: Int) {
        progress.accepted += 1
        progress.expected += UInt64(receivers)
        if now >= measureFrom, now < measureUntil { measuredAccepted += 1 }
        if dueAt >= measureFrom, dueAt < measureUntil { _ = acceptLatency.record((now &- dueAt) / 1_000) }
        if let phase = phase(of: dueAt) { _ = phases[phase].accept.record((now &- dueAt) / 1_000) }
    }

    func snapshot() -> BenchProgress {
        var progress = progress
        progress.ready = connections.count { $0.isReady }
        progress.openSends = connections.reduce(0) { $0 + $1.openSends }
        return progress
    }
}
