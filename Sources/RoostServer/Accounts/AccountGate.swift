internal import NIOConcurrencyHelpers
package import RoostModel
package import RoostNode
internal import RoostProtocol

/// Whether accounts are disabled, remembered for a second: a token outlives its account, HTTP calls must not. Where it
/// cannot be read, that is remembered too: a user whose partition has no leader must not wait at every call.
package final class AccountGate: Sendable {
    private static let lifetime: Int64 = 1_000_000
    private static let capacity = 4_096
    /// For the answer; the rest of the call's time is for what it is about.
    private static let patienceMilliseconds = 1_000

    private struct Entry {
        var disabled: Bool
        /// Microseconds since 1970.
        var readAt: Int64
    }

    private let node: any NodeService
    private let entries = NIOLockedValueBox<[UserID: Entry]>([:])

    package init(node: any NodeService) { self.node = node }

    /// - Throws: 401 for a disabled account or one that does not exist. While its partition has no leader what
    ///   was known before decides, or the token alone.
    package func check(_ user: UserID) async throws(Problem) {
        let now = node.wall()
        let remembered = entries.withLockedValue { $0[user] }
        let disabled: Bool
        if let remembered, abs(now - remembered.readAt) < Self.lifetime {
            disabled = remembered.disabled
        } else {
            let answer = await node.within(milliseconds: Self.patienceMilliseconds) { await node.read(.account(user)) }
            switch answer {
            case .account(let account): disabled = account.disabled
            case .none: disabled = true
            default: disabled = remembered?.disabled ?? false
            }
            entries.withLockedValue {
                if $0.count >= Self.capacity { $0.removeAll(keepingCapacity: true) }
                $0[user] = Entry(disabled: disabled, readAt: node.wall())
            }
        }
        if disabled { throw .unauthorized("the account is disabled") }
    }
}
