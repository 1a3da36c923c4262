import NIOConcurrencyHelpers

/// What happened, in order, for a test that waits for it.
final class EventQueue<Event: Sendable>: Sendable {
    private struct State {
        var events: [Event] = []
        var waiter: CheckedContinuation<Event, any Error>?
    }
    private let state = NIOLockedValueBox(State())

    func push(_ event: Event) {
        let waiter = state.withLockedValue { state -> CheckedContinuation<Event, any Error>? in
            guard let waiter = state.waiter else {
                state.events.append(event)
                return nil
            }
            state.waiter = nil
            return waiter
        }
        waiter?.resume(returning: event)
    }

    /// One waits at a time.
    /// - Throws: `CancellationError` when the test's time is over.
    func next() async throws -> Event {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Event, any Error>) in
                let ready = state.withLockedValue { state -> Result<Event, any Error>? in
                    if Task.isCancelled { return .failure(CancellationError()) }
                    guard state.events.isEmpty else { return .success(state.events.removeFirst()) }
                    state.waiter = continuation
                    return nil
                }
                if let ready { continuation.resume(with: ready) }
            }
        } onCancel: {
            let waiter = state.withLockedValue { state in
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.resume(throwing: CancellationError())
        }
    }
}
