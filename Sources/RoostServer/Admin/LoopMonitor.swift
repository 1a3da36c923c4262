internal import NIOConcurrencyHelpers
package import NIOCore

/// How late the core event loop is: a task that should run every 100 ms tells.
package final class LoopMonitor: Sendable {
    private static let interval = TimeAmount.milliseconds(100)

    private struct Lag {
        var last: Int64 = 0
        /// The worst since it was asked for last.
        var worst: Int64 = 0
    }
    private let lag = NIOLockedValueBox(Lag())
    private let task = NIOLockedValueBox<RepeatedTask?>(nil)

    package init() {}

    package func start(on loop: any EventLoop) {
        let due = NIOLockedValueBox(NIODeadline.now() + Self.interval)
        let repeated = loop.scheduleRepeatedTask(initialDelay: Self.interval, delay: Self.interval) { [lag] _ in
            let now = NIODeadline.now()
            let late = due.withLockedValue { due in
                defer { due = now + Self.interval }
                return max(0, (now - due).nanoseconds)
            }
            lag.withLockedValue {
                $0.last = late
                $0.worst = max($0.worst, late)
            }
        }
        task.withLockedValue { $0 = repeated }
    }

    package func stop() {
        task.withLockedValue { $0?.cancel() }
    }

    /// Seconds; asking begins a new worst.
    func take() -> (last: Double, worst: Double) {
        lag.withLockedValue { lag in
            defer { lag.worst = lag.last }
            return (Double(lag.last) / 1e9, Double(lag.worst) / 1e9)
        }
    }
}
