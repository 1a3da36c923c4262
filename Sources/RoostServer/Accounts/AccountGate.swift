internal import NIOConcurrencyHelpers
package import RoostModel
package import RoostNode
internal import RoostProtocol

/// Whether accounts are disabled, remembered for a second: a token outlives its account, HTTP calls must not.
package final class AccountGate: Sendable {
    private static let lifetime: Int64 = 1_000_000
    private static let capacity = 4_096

    private struct Entry {
        var disabled: Bool
        /// Microseconds since 1970.
        var readAt: Int64
    }

    private let node: any NodeService
    private let entries = NIOLockedValueBox<[UserID: Entry]>([:])

    package init(node: any NodeService) { self.node = node }

    /// - Throws: 401 for a disabled account or one that does not exist. While its partition has no leader the token
    ///   alone decides.
    package func check(_ user: UserID) async throws(Problem) {
        let now = node.wall()
        let remembered = entries.withLockedValue { $0[user] }
        let disabled: Bool
        if let remembered, abs(now - remembered.readAt) < Self.lifetime {
            disabled = remembered.disabled
        } else {
            switch await node.read(.account(user)) {
            case .account(let account): disabled = account.disabled
            case .none: disabled = true
            default: return
            }
            entries.withLockedValue {
                if $0.count >= Self.capacity { $0.removeAll(keepingCapacity: true) }
                $0[user] = Entry(disabled: disabled, readAt: now)
            }
        }
        if disabled { throw .unauthorized("the account is disabled") }
    }
}
