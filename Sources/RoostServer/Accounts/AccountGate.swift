internal import NIOConcurrencyHelpers
package import RoostModel
package import RoostNode
internal import RoostProtocol

/// Whether accounts are disabled, and which of their tokens are revoked, remembered for less than a second: a token
/// outlives its account, HTTP calls must not. Where it cannot be read, that is remembered too: a user whose partition has
/// no leader must not wait at every call.
package final class AccountGate: Sendable {
    /// Microseconds, from the moment it was asked for: with the call's own time it stays within a second.
    private static let lifetime: Int64 = 800_000
    private static let capacity = 4_096
    /// For the answer; the rest of the call's time is for what it is about.
    private static let patienceMilliseconds = 1_000

    private struct Entry {
        var disabled: Bool
        var revocations: TokenRevocations
        /// Microseconds since 1970.
        var readAt: Int64
    }

    private let node: any NodeService
    private let entries = NIOLockedValueBox<[UserID: Entry]>([:])

    package init(node: any NodeService) { self.node = node }

    /// - Throws: 401 for a disabled account or one that does not exist, and for a revoked token. While its partition has
    ///   no leader what was known before decides, or the token alone.
    package func check(_ caller: Caller) async throws(Problem) {
        let entry = await entry(of: caller.user)
        if entry.disabled { throw .unauthorized("the account is disabled") }
        guard entry.revocations.permits(caller.token, on: caller.device) else {
            throw .unauthorized("the token is revoked")
        }
    }

    /// The next call asks anew: here the user has just changed something.
    package func forget(_ user: UserID) { entries.withLockedValue { $0[user] = nil } }

    private func entry(of user: UserID) async -> Entry {
        let now = node.wall()
        let remembered = entries.withLockedValue { $0[user] }
        if let remembered, abs(now - remembered.readAt) < Self.lifetime { return remembered }
        var entry = remembered ?? Entry(disabled: false, revocations: TokenRevocations(), readAt: now)
        entry.readAt = now
        switch await node.within(milliseconds: Self.patienceMilliseconds, { await node.read(.account(user)) }) {
        case .account(let account):
            entry.disabled = account.disabled
            entry.revocations = account.revocations
        case .none: entry.disabled = true
        // From now, or every call would wait as long.
        default: entry.readAt = node.wall()
        }
        let fresh = entry
        entries.withLockedValue {
            if $0.count >= Self.capacity { $0.removeAll(keepingCapacity: true) }
            $0[user] = fresh
        }
        return fresh
    }
}
