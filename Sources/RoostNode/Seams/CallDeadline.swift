/// Until when a task waits for what it asks of its node: one deadline for all of it, however many questions there are.
package enum CallDeadline {
    /// On the node's clock, nanoseconds; nil where each question has a time of its own (`proposal_timeout_ms`).
    @TaskLocal package static var current: UInt64?
}

extension NodeService {
    /// All that `body` asks of the node ends within so long, and not after a deadline there is already.
    package func within<Answer>(milliseconds: Int, _ body: () async throws -> Answer) async rethrows -> Answer {
        let deadline = now() + UInt64(max(0, milliseconds)) * 1_000_000
        return try await CallDeadline.$current.withValue(min(deadline, CallDeadline.current ?? .max), operation: body)
    }
}
