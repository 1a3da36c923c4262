internal import Foundation
internal import NIOConcurrencyHelpers
package import NIOCore
package import RoostNode

/// The machine's clocks and an event loop's timers.
package final class NIOClock: NodeClock {
    private let loop: any EventLoop
    private let origin = ContinuousClock.now

    package init(loop: any EventLoop) { self.loop = loop }

    /// Since this one was made, by the clock that counts suspended time, too (`CLOCK_BOOTTIME`).
    package func now() -> UInt64 {
        let (seconds, attoseconds) = origin.duration(to: .now).components
        return UInt64(max(0, seconds)) * 1_000_000_000 + UInt64(max(0, attoseconds / 1_000_000_000)) + 1
    }

    package func wall() -> Int64 { Int64(Date().timeIntervalSince1970 * 1e6) }

    @discardableResult
    package func schedule(after: UInt64, _ body: @escaping @Sendable () -> Void) -> any ScheduledTimer {
        guard after > 0 else {
            let timer = ImmediateTimer()
            loop.execute { if !timer.isCancelled { body() } }
            return timer
        }
        let bounded = Int64(min(after, UInt64(Int64.max / 2)))
        return LoopTimer(task: loop.scheduleTask(in: .nanoseconds(bounded), body))
    }
}

private struct LoopTimer: ScheduledTimer {
    let task: Scheduled<Void>
    func cancel() { task.cancel() }
}

/// Runs in the loop's next round: the common case, at the end of every turn, and cheaper than a timer.
private final class ImmediateTimer: ScheduledTimer {
    private let cancelled = NIOLockedValueBox(false)
    var isCancelled: Bool { cancelled.withLockedValue { $0 } }
    func cancel() { cancelled.withLockedValue { $0 = true } }
}
