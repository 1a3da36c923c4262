import RoostModel
package import RoostNode

/// A timer of the virtual clock.
package final class SimulationTimer: ScheduledTimer, @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    private(set) var isCancelled = false
    package func cancel() { isCancelled = true }
}

/// One node's clocks: virtual time, and a wall clock that may be off. Timers of a node that was killed never fire.
package final class SimulationClock: NodeClock, @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    private let executor: SimulationExecutor
    /// What the wall clock is off by, in microseconds.
    package var wallOffset: Int64 = 0
    private var stopped = false
    /// 2026-01-01, in microseconds since 1970.
    package static let begin: Int64 = 1_767_225_600_000_000

    package init(executor: SimulationExecutor) { self.executor = executor }

    package func now() -> UInt64 { executor.now + 1 }
    package func wall() -> Int64 { Self.begin + Int64(executor.now / 1_000) + wallOffset }
    package func stop() { stopped = true }

    package func schedule(after: UInt64, _ body: @escaping @Sendable () -> Void) -> any ScheduledTimer {
        executor.schedule(after: after) { [weak self] in
            guard let self, !self.stopped else { return }
            body()
        }
    }
}
