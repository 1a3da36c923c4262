import Foundation
import NIOCore
import NIOPosix
import Testing

/// All suites are within it, so that one test runs at a time: each starts processes and measures times.
@Suite("The real program", .serialized, .onOwnThreads)
struct ProcessSuite {}

struct HarnessError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// What the design promises as a time holds on a machine with room; a test machine is shared.
enum Patience {
    static let factor = ProcessInfo.processInfo.environment["ROOST_TEST_PATIENCE"].flatMap(Double.init) ?? 4

    static func times(_ promised: Duration) -> Duration { promised * factor }
}

/// Asks until it is so.
/// - Throws: what was waited for, when the limit is over.
func eventually(
    _ what: @autoclosure () -> String, within limit: Duration = .seconds(15),
    _ condition: () async throws -> Bool
) async throws {
    let clock = ContinuousClock()
    let deadline = clock.now + Patience.times(limit)
    // Beside tests that keep every thread busy, time passes without anything having been asked.
    var asked = 0
    while true {
        if try await condition() { return }
        asked += 1
        guard clock.now < deadline || asked < 50 else {
            throw HarnessError("not within \(Patience.times(limit)): \(what())")
        }
        try await pause(for: .milliseconds(10))
    }
}

/// Runs what blocks on a thread of its own, so that it keeps no thread of the tests' pool.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result(catching: body)) }
    }
}

extension Optional {
    func orThrow(_ what: String) throws -> Wrapped {
        guard let self else { throw HarnessError(what) }
        return self
    }
}

func newID() -> String { UUID().uuidString.lowercased() }

/// For what tests do with channels of their own.
var testLoop: any EventLoop { MultiThreadedEventLoopGroup.singleton.next() }
