internal import NIOConcurrencyHelpers
internal import NIOCore

/// Counts connections up to a limit.
final class ConnectionGate: Sendable {
    private let limit: Int
    private let count = NIOLockedValueBox(0)

    init(limit: Int) { self.limit = limit }

    var open: Int { count.withLockedValue { $0 } }

    /// False at the limit; otherwise `leave` must follow.
    func enter() -> Bool {
        count.withLockedValue {
            guard $0 < limit else { return false }
            $0 += 1
            return true
        }
    }

    func leave() { count.withLockedValue { $0 -= 1 } }
}

/// Tells one client too many so, before it has said anything, and closes.
final class OverloadedHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Seconds: those who were refused together do not come back together.
    private static let retryAfter = 3...12

    func channelActive(context: ChannelHandlerContext) {
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        let seconds = Int.random(in: Self.retryAfter)
        let answer = ByteBuffer(
            string: "HTTP/1.1 503 Service Unavailable\r\nretry-after: \(seconds)\r\ncontent-length: 0\r\n"
                + "connection: close\r\n\r\n")
        context.writeAndFlush(wrapOutboundOut(answer)).whenComplete { _ in
            bound.value.close(promise: nil)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}
}
