import DequeModule
import RoostModel
import RoostProtocol

/// What a leader refused of late, by the call. A copy of a call that comes later, since the answer was slow, is refused as
/// the first was, whatever has changed since: its caller has been told, or will be, that it is not in the log.
struct RecentRefusals: Sendable {
    /// Of a leader's partition; the oldest go first. 4,096: what a node has under way for it, and copies come within seconds.
    private let limit: Int
    private var results: [Partition.ProposalOrigin: CommandResult] = [:]
    private var order: Deque<Partition.ProposalOrigin> = []

    init(limit: Int = 4_096) { self.limit = max(1, limit) }

    subscript(origin: Partition.ProposalOrigin) -> CommandResult? { results[origin] }

    /// An answer that says nothing of the state, or asks for another copy, is not kept.
    mutating func note(_ result: CommandResult, to origin: Partition.ProposalOrigin) {
        guard case .rejected(let rejection) = result, rejection != .outOfOrder, rejection != .unavailable,
            results.updateValue(result, forKey: origin) == nil
        else { return }
        order.append(origin)
        if order.count > limit { results[order.removeFirst()] = nil }
    }
}
