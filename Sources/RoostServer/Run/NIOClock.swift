internal import Foundation
internal import NIOConcurrencyHelpers
package import NIOCore
package import RoostNode

/// The machine's clocks and an event loop's timers.
package final class NIOClock: NodeClock {
    private let loop: any EventLoop

    package init(loop: any EventLoop) { self.loop = loop }

    /// `CLOCK_BOOTTIME`: counts the time in which the machine was suspended.
    package func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    package func wall() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000
    }

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
