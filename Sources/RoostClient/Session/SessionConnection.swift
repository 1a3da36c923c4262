internal import NIOCore

/// One connection of a session; a later one replaces it, and what this one says then is not heard. Lives on the event
/// loop of its session.
final class SessionConnection: WebSocketDelegate, @unchecked Sendable {
    private weak var session: RoostSession?
    var channel: (any Channel)?
    /// What came before the session learnt of the upgrade: at most what the socket brought with it.
    private var early: [ByteBuffer] = []
    private var earlyClose: (code: UInt16?, reason: String)?

    init(session: RoostSession) { self.session = session }

    func webSocketReceived(_ messages: [ByteBuffer]) {
        guard channel != nil else {
            early += messages
            return
        }
        session?.assumeIsolated { $0.received(messages, from: self) }
    }

    func webSocketClosed(code: UInt16?, reason: String) {
        guard channel != nil else {
            earlyClose = (code, reason)
            return
        }
        session?.assumeIsolated { $0.closed(self, code: code, reason: reason) }
    }

    func webSocketWritabilityChanged(_ writable: Bool) {}

    func deliverEarly() {
        let messages = early
        early = []
        if !messages.isEmpty { webSocketReceived(messages) }
        if let earlyClose { webSocketClosed(code: earlyClose.code, reason: earlyClose.reason) }
    }

    func write(_ frames: [ByteBuffer]) {
        guard let channel else { return }
        for frame in frames { channel.write(frame, promise: nil) }
        channel.flush()
    }

    func abandon(code: UInt16, reason: String) {
        guard let channel else { return }
        guard let handler = try? channel.pipeline.syncOperations.handler(type: WebSocketHandler.self) else {
            channel.close(promise: nil)
            return
        }
        handler.close(code: code, reason: reason)
    }
}
