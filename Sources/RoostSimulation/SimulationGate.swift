/// Whether a simulated process gets the processor. While it does not (SIGSTOP), everything that would happen in it is
/// kept, and happens in its order when it goes on.
package final class SimulationGate: @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    private let executor: SimulationExecutor
    private var held: [@Sendable () -> Void] = []
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
        let bodies = held
        held.removeAll()
        executor.perform { for body in bodies { pass(body) } }
    }

    /// Runs `body` now, or when the process goes on; never once it is gone.
    package func pass(_ body: @escaping @Sendable () -> Void) {
        guard !isClosed else { return }
        if since == nil { body() } else { held.append(body) }
    }

    /// The process is gone.
    package func close() {
        isClosed = true
        held.removeAll()
    }
}
