internal import NIOConcurrencyHelpers
internal import NIOCore
internal import RoostCluster
package import RoostNode

/// What a port takes of connections.
package struct ConnectionLimits: Sendable {
    package var total: Int
    /// Of one address at the same time; 0: no limit.
    package var perAddress = 0
    /// Of one address, new ones a second; 0: no limit.
    package var newPerSecond = 0
    /// Whether the two hold on loopback, where a proxy makes all connections.
    package var includesLoopback = false
    /// Of those beyond, where the port speaks TLS: so many at once, and so many a second, shake hands to be told so.
    package var refusals = 64

    package init(total: Int) { self.total = total }

    /// Those of the client port.
    package init(_ limits: ClusterConfig.Limits) {
        total = limits.maxConnections
        perAddress = limits.maxConnectionsPerAddress
        newPerSecond = limits.handshakesPerSecondAddress
        includesLoopback = limits.limitLoopback != 0
    }
}

/// Counts connections, all of them and by address, up to limits.
final class ConnectionGate: Sendable {
    enum Decision: Equatable {
        /// `leave` must follow.
        case entered
        /// Not before so many seconds.
        case refused(retryAfter: Int)
    }

    /// Seconds: those who were refused together do not come back together.
    private static let retryAfter = 3...12

    private struct State {
        var open = 0
        var byAddress: [ClientAddress: Int] = [:]
        var handshakes: BucketTable<ClientAddress>
        var refusing = 0
        var refusals = TokenBucket()
    }

    private let limits: ConnectionLimits
    private let state: NIOLockedValueBox<State>

    init(limits: ConnectionLimits) {
        self.limits = limits
        state = NIOLockedValueBox(
            State(handshakes: BucketTable(RateLimit(limits.newPerSecond, perSeconds: 1, atOnce: 5))))
    }

    var open: Int { state.withLockedValue { $0.open } }

    /// - Parameter now: nanoseconds of any clock that only goes forward.
    func enter(_ address: ClientAddress, now: UInt64) -> Decision {
        let isCounted = isCounted(address)
        return state.withLockedValue { state in
            guard state.open < limits.total else { return .refused(retryAfter: Int.random(in: Self.retryAfter)) }
            if isCounted {
                if limits.perAddress > 0, state.byAddress[address, default: 0] >= limits.perAddress {
                    return .refused(retryAfter: Int.random(in: Self.retryAfter))
                }
                if let wait = state.handshakes.take(address, now: now) {
                    return .refused(retryAfter: Int(clamping: wait / 1_000_000_000) + 1)
                }
                state.byAddress[address, default: 0] += 1
            }
            state.open += 1
            return .entered
        }
    }

    func leave(_ address: ClientAddress) {
        let isCounted = isCounted(address)
        state.withLockedValue { state in
            state.open -= 1
            guard isCounted, let count = state.byAddress[address] else { return }
            state.byAddress[address] = count > 1 ? count - 1 : nil
        }
    }

    /// Whether one that was refused shakes hands to hear it, which costs more than a plain answer; `endRefusal` must follow.
    func beginRefusal(now: UInt64) -> Bool {
        guard let rate = RateLimit(limits.refusals) else { return false }
        return state.withLockedValue { state in
            guard state.refusing < limits.refusals, state.refusals.take(rate, now: now) == nil else { return false }
            state.refusing += 1
            return true
        }
    }

    func endRefusal() { state.withLockedValue { $0.refusing -= 1 } }

    private func isCounted(_ address: ClientAddress) -> Bool {
        (limits.perAddress > 0 || limits.newPerSecond > 0) && (limits.includesLoopback || !address.isLoopback)
    }
}

/// Tells one client too many so, before it has said anything, and closes.
final class OverloadedHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let retryAfter: Int

    init(retryAfter: Int) { self.retryAfter = retryAfter }

    func channelActive(context: ChannelHandlerContext) {
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        let answer = ByteBuffer(
            string: "HTTP/1.1 503 Service Unavailable\r\nretry-after: \(retryAfter)\r\ncontent-length: 0\r\n"
                + "connection: close\r\n\r\n")
        context.writeAndFlush(wrapOutboundOut(answer)).whenComplete { _ in
            bound.value.close(promise: nil)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}
}

/// The same to one that has shaken hands over TLS: it is answered once it has asked.
struct OverloadedService: HTTPService {
    let retryAfter: Int

    func answer(_ call: HTTPCall) async -> HTTPAnswer {
        var problem = Problem.unavailable("too many connections")
        problem.retryAfterSeconds = retryAfter
        var reply = problem.reply
        reply.closes = true
        return .reply(reply)
    }
}
