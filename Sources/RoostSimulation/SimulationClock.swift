import RoostModel
package import RoostNode

/// A timer of the virtual clock.
package final class SimulationTimer: ScheduledTimer, @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    private(set) var isCancelled = false
    package func cancel() { isCancelled = true }
}

/// One node's clocks: a monotonic one that may run fast or slow, and a wall clock that may be off. Timers of a node that
/// was killed never fire; those of one that stands still fire when it goes on.
package final class SimulationClock: NodeClock, @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    private let executor: SimulationExecutor
    private let gate: SimulationGate
    /// Nanoseconds of this clock per virtual nanosecond.
    private let rate: Double
    /// What the wall clock is off by, in microseconds.
    package var wallOffset: Int64
    /// 2026-01-01, in microseconds since 1970.
    package static let begin: Int64 = 1_767_225_600_000_000

    /// `drift`: parts per million by which the monotonic clock runs fast.
    package init(executor: SimulationExecutor, gate: SimulationGate, drift: Int = 0, wallOffset: Int64 = 0) {
        self.executor = executor
        self.gate = gate
        self.wallOffset = wallOffset
        rate = 1 + Double(drift) / 1e6
    }

    // Exact for 104 days of nanoseconds, and the same on every machine.
    package func now() -> UInt64 { UInt64(Double(executor.now) * rate) + 1 }
    package func wall() -> Int64 { Self.begin + Int64(executor.now / 1_000) + wallOffset }

    package func schedule(after: UInt64, _ body: @escaping @Sendable () -> Void) -> any ScheduledTimer {
        let timer = SimulationTimer()
        let delay = after == 0 ? 0 : UInt64((Double(after) / rate).rounded(.up))
        executor.schedule(after: delay) { [gate] in
            guard !timer.isCancelled else { return }
            gate.pass(isTimer: true) { if !timer.isCancelled { body() } }
        }
        return timer
    }
}
