import NIOConcurrencyHelpers
import NIOCore
import RoostNode

/// A session that records what its socket tells it.
final class FakeSession: PendingSession, SessionEvents {
    enum Event: Equatable, Sendable {
        case attached
        case abandoned
        case received([String])
        case pong(String)
        case writabilityChanged
        case closed
    }

    let request: SessionRequest
    private let events = EventQueue<Event>()
    private let held = NIOLockedValueBox<(any SessionSocket)?>(nil)

    init(request: SessionRequest) { self.request = request }

    /// The next event, waiting for it.
    func next() async throws -> Event { try await events.next() }

    var socket: (any SessionSocket)? { held.withLockedValue { $0 } }

    func attach(_ socket: any SessionSocket) -> any SessionEvents {
        held.withLockedValue { $0 = socket }
        // A session may write while it takes the socket.
        socket.write([ByteBuffer(string: "{\"op\":\"welcome\"}")])
        events.push(.attached)
        return self
    }

    func abandon() { events.push(.abandoned) }
    func received(_ frames: [ByteBuffer]) { events.push(.received(frames.map { String(buffer: $0) })) }
    func pong(_ payload: ByteBuffer) { events.push(.pong(String(buffer: payload))) }
    func writabilityChanged() { events.push(.writabilityChanged) }
    func closed() { events.push(.closed) }
}
