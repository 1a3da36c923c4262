internal import NIOConcurrencyHelpers
internal import NIOHTTP1
internal import RoostCluster
internal import RoostModel
package import RoostNode

/// How often one may log in, register and call: by address, by user, and by both where a password was wrong. Each node counts
/// for itself.
package final class CallLimits: Sendable {
    private struct Guess: Hashable {
        var user: UserID?
        var address: ClientAddress
    }
    private struct Tables {
        var logins: BucketTable<ClientAddress>
        var registrations: BucketTable<ClientAddress>
        var failures: BucketTable<Guess>
        var calls: BucketTable<UserID>
    }

    private let node: any NodeService
    private let includesLoopback: Bool
    private let tables: NIOLockedValueBox<Tables>

    package init(node: any NodeService) {
        self.node = node
        let limits = node.configuration.limits
        includesLoopback = limits.limitLoopback != 0
        tables = NIOLockedValueBox(
            Tables(
                logins: BucketTable(RateLimit(limits.loginsPerMinuteAddress, perSeconds: 60)),
                registrations: BucketTable(RateLimit(limits.registrationsPerMinuteAddress, perSeconds: 60)),
                failures: BucketTable(RateLimit(limits.failedLoginsPerMinute, perSeconds: 60)),
                calls: BucketTable(RateLimit(limits.callsPerSecondUser, perSeconds: 1, atOnce: 10))))
    }

    /// - Parameter user: nil for a name that cannot be one.
    /// - Throws: 429, before anything has been worked out.
    func admitLogin(of user: UserID?, from address: ClientAddress) throws(Problem) {
        let now = node.now()
        let guess = Guess(user: user, address: address)
        let wait = tables.withLockedValue { tables in
            tables.failures.wait(guess, now: now)
                ?? (isLimited(address) ? tables.logins.take(address, now: now) : nil)
        }
        if let wait { throw .rateLimited("too many logins", wait) }
    }

    /// The password was wrong, or the account is not there or disabled.
    func loginFailed(of user: UserID?, from address: ClientAddress) {
        let now = node.now()
        _ = tables.withLockedValue { $0.failures.take(Guess(user: user, address: address), now: now) }
    }

    func admitRegistration(from address: ClientAddress) throws(Problem) {
        guard isLimited(address) else { return }
        let now = node.now()
        if let wait = tables.withLockedValue({ $0.registrations.take(address, now: now) }) {
            throw .rateLimited("too many registrations", wait)
        }
    }

    func admitCall(of user: UserID) throws(Problem) {
        let now = node.now()
        if let wait = tables.withLockedValue({ $0.calls.take(user, now: now) }) {
            throw .rateLimited("too many calls", wait)
        }
    }

    private func isLimited(_ address: ClientAddress) -> Bool { includesLoopback || !address.isLoopback }
}

extension Problem {
    /// - Parameter wait: nanoseconds.
    fileprivate static func rateLimited(_ detail: String, _ wait: UInt64) -> Problem {
        Problem(
            .tooManyRequests, "rate_limited", detail,
            retryAfterSeconds: Int(clamping: (wait + 999_999_999) / 1_000_000_000))
    }
}
