package import NIOCore
internal import NIOPosix
internal import NIOTLS
internal import RoostCluster
internal import RoostModel
package import RoostNode
package import RoostProtocol

/// A blank node asks a node of the cluster to be taken in: one connection to its peer port.
package enum JoinClient {
    /// For the answer, which may have to wait for an election.
    private static let patience = TimeAmount.seconds(20)

    /// - Returns: what the node is given, or why not.
    package static func ask(
        _ address: String, hello: JoinHello, secret: ClusterSecret?, tls: PeerTLS?,
        group: any EventLoopGroup
    ) async -> Result<JoinGrant, RingRefusal> {
        guard let (host, port) = PeerLink.split(address) else {
            return .failure(RingRefusal("\"\(address)\" is not host:port", retry: false))
        }
        let loop = group.any()
        let promise = loop.makePromise(of: JoinGrant.self)
        do {
            let channel = try await ClientBootstrap(group: loop)
                .connectTimeout(.seconds(5))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let pipeline = channel.pipeline.syncOperations
                        if let tls { try pipeline.addHandler(tls.dialling()) }
                        try pipeline.addHandler(
                            JoinHandler(hello: hello, secret: secret, isSecured: tls != nil, promise: promise))
                    }
                }
                .connect(host: host, port: port).get()
            loop.scheduleTask(in: patience) {
                promise.fail(RingRefusal("\(address) does not answer", retry: true))
                channel.close(promise: nil)
            }
        } catch {
            promise.fail(RingRefusal("\(address): \(ConnectionTrouble.text(error))", retry: true))
        }
        do {
            return .success(try await promise.futureResult.get())
        } catch let refusal as RingRefusal {
            return .failure(refusal)
        } catch {
            return .failure(RingRefusal("\(address): \(ConnectionTrouble.text(error))", retry: true))
        }
    }
}

/// The dialling end: says who wants to join, has the other end prove the secret, proves it, and takes the answer.
private final class JoinHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let hello: JoinHello
    private let promise: EventLoopPromise<JoinGrant>
    private var exchange: SecretExchange?
    /// With TLS, whose certificates prove it: nothing is said before.
    private let isSecured: Bool
    private var isProven: Bool
    private var buffer = ByteBuffer()

    init(hello: JoinHello, secret: ClusterSecret?, isSecured: Bool, promise: EventLoopPromise<JoinGrant>) {
        self.hello = hello
        self.promise = promise
        self.isSecured = isSecured
        exchange = secret?.exchange(dials: true)
        exchange?.ownWord = .join(hello)
        isProven = secret == nil
    }

    func channelActive(context: ChannelHandlerContext) {
        if !isSecured { ask(context) }
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted? = event as? TLSUserEvent { ask(context) }
        context.fireUserInboundEventTriggered(event)
    }

    private func ask(_ context: ChannelHandlerContext) {
        write([.join(hello)] + (exchange.map { [.challenge($0.challenge)] } ?? []), context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        buffer.writeImmutableBuffer(unwrapInboundIn(data))
        do {
            let limit = isProven ? HandshakeCodec.maxJoined : HandshakeCodec.maxFrame
            while let frame = try HandshakeCodec.nextFrame(from: &buffer, limit: limit) { take(frame, context) }
        } catch {
            end(RingRefusal("nonsense received: \(error)", retry: false), context)
        }
    }

    private func take(_ frame: HandshakeFrame, _ context: ChannelHandlerContext) {
        switch frame {
        case .challenge(let bytes): exchange?.theirChallenge = bytes
        case .proof(let bytes):
            guard let exchange, exchange.accepts(bytes), let proof = exchange.proof else {
                return end(RingRefusal("the node there has another cluster secret", retry: false), context)
            }
            isProven = true
            write([.proof(proof)], context)
        case .joined(let record, let ring) where isProven:
            promise.succeed(JoinGrant(record: record, ring: ring))
            context.close(promise: nil)
        case .refuse(let refusal) where isProven || isSecured:
            end(RingRefusal(refusal.text, retry: refusal.code == .notTakenInNow), context)
        case .refuse(let refusal):
            // Whoever answers there may say so: it is quoted, and not taken for the cluster's word.
            let reason = "what answers there proves no cluster secret; it says: \(refusal.text)"
            end(RingRefusal(reason, retry: false), context)
        default: end(RingRefusal("a handshake out of order", retry: false), context)
        }
    }

    private func write(_ frames: [HandshakeFrame], _ context: ChannelHandlerContext) {
        var buffer = ByteBuffer()
        for frame in frames { HandshakeCodec.encode(frame, into: &buffer) }
        context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }

    private func end(_ refusal: RingRefusal, _ context: ChannelHandlerContext) {
        promise.fail(refusal)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        promise.fail(RingRefusal("closed by the other end", retry: true))
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(RingRefusal(ConnectionTrouble.text(error), retry: true))
        context.close(promise: nil)
    }
}
