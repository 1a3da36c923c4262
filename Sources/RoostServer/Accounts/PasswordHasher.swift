internal import Foundation
internal import NIOConcurrencyHelpers
internal import NIOPosix

/// Makes and checks password hashes on threads of its own, with a bounded queue: a login costs tens of milliseconds of
/// processor, which must not stand in the way of messages.
package final class PasswordHasher: Sendable {
    /// The queue is full: 503, with a `Retry-After`.
    struct Busy: Error {}

    private let pool: NIOThreadPool
    private let logN: Int
    private let maxQueued: Int
    private let queued = NIOLockedValueBox(0)
    private let hasStoodBack = ThreadSpecificVariable<Mark>()
    private final class Mark: Sendable {}
    /// What an unknown user's password is compared with, so that both take the same time.
    private let decoy: PasswordHash

    package init(logN: Int, threads: Int, maxQueued: Int) {
        self.logN = logN
        self.maxQueued = maxQueued
        pool = NIOThreadPool(numberOfThreads: max(1, threads))
        decoy = PasswordHash(
            logN: logN, r: 8, p: 1, salt: PasswordHash.randomSalt(), hash: Array(repeating: 0, count: 32))
        pool.start()
    }

    /// The hash as text.
    func hash(_ password: String) async throws -> String {
        let logN = logN
        return try await run {
            try PasswordHash.make(password: password, logN: logN, salt: PasswordHash.randomSalt()).description
        }
    }

    /// False for a hash that is nil or cannot be read, after the same work.
    func verify(_ password: String, against text: String?) async throws -> Bool {
        let stored = text.flatMap { PasswordHash($0) }
        let decoy = decoy
        return try await run {
            guard let stored else {
                _ = try decoy.matches(password)
                return false
            }
            return try stored.matches(password)
        }
    }

    package func stop() async {
        try? await pool.shutdownGracefully()
    }

    private func run<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
        let admitted = queued.withLockedValue {
            guard $0 < maxQueued else { return false }
            $0 += 1
            return true
        }
        guard admitted else { throw Busy() }
        defer { queued.withLockedValue { $0 -= 1 } }
        return try await pool.runIfActive { [self] in
            standBack()
            return try work()
        }
    }

    /// Messages go first: a thread that checks passwords gets what is left of the processor.
    private func standBack() {
        guard hasStoodBack.currentValue == nil else { return }
        hasStoodBack.currentValue = Mark()
        #if os(Linux)
        // There it is of this thread alone.
        _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
        #endif
    }
}
