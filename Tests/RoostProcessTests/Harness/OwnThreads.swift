import Foundation
import Testing

/// Threads for these tests alone. Others compute for minutes on the threads of the pool, and these wait for processes
/// and measure times: behind those they would measure them, too.
final class OwnThreads: TaskExecutor, @unchecked Sendable {
    // Unchecked: `jobs` is touched under `condition` only.
    static let shared = OwnThreads(count: 4)

    private let condition = NSCondition()
    private var jobs: [UnownedJob] = []

    private init(count: Int) {
        for _ in 0..<count { Thread.detachNewThread { self.work() } }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        condition.withLock {
            jobs.append(job)
            condition.signal()
        }
    }

    private func work() {
        while true {
            let job = condition.withLock {
                while jobs.isEmpty { condition.wait() }
                return jobs.removeFirst()
            }
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }

    /// A suite with this trait runs there, with all that is in it.
    struct Place: SuiteTrait, TestScoping {
        func provideScope(
            for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
        ) async throws {
            try await withTaskExecutorPreference(OwnThreads.shared) { try await function() }
        }
    }
}

extension Trait where Self == OwnThreads.Place {
    static var onOwnThreads: Self { OwnThreads.Place() }
}

/// The end of `Task.sleep` is announced by the pool, however busy it is; this one is not.
func pause(for duration: Duration) async throws {
    try Task.checkCancellation()
    let (seconds, attoseconds) = duration.components
    try await onThread { Thread.sleep(forTimeInterval: Double(seconds) + Double(attoseconds) / 1e18) }
}
