/// Whether a simulated process gets the processor. While it does not (SIGSTOP), everything that would happen in it is
/// kept, and happens in its order when it goes on; its timers before or after what its clients and its disk have for it.
/// What other nodes sent comes before all that or behind it (`SimulationCluster.resume`).
package final class SimulationGate: @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    private let executor: SimulationExecutor
    private var held: [(isTimer: Bool, body: @Sendable () -> Void)] = []
    private var since: UInt64?
    private var total: UInt64 = 0
    private var isClosed = false

    package init(executor: SimulationExecutor) { self.executor = executor }

    package var isPaused: Bool { since != nil }

    /// Virtual nanoseconds for which the process stood still so far.
    package var paused: UInt64 { total + (since.map { executor.now - $0 } ?? 0) }

    package func pause() { if since == nil { since = executor.now } }

    package func resume() {
        guard let start = since else { return }
        total += executor.now - start
        since = nil
        let timersFirst = executor.random(0...1) == 0
        let bodies = held.filter { $0.isTimer == timersFirst } + held.filter { $0.isTimer != timersFirst }
        held.removeAll()
        executor.perform { for item in bodies { pass(isTimer: item.isTimer, item.body) } }
    }

    /// Runs `body` now, or when the process goes on; never once it is gone.
    package func pass(isTimer: Bool = false, _ body: @escaping @Sendable () -> Void) {
        guard !isClosed else { return }
        if since == nil { body() } else { held.append((isTimer, body)) }
    }

    /// The process is gone.
    package func close() {
        isClosed = true
        held.removeAll()
    }
}
