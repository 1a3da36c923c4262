internal import Foundation
package import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOSSL
internal import NIOWebSocket

/// Why there is no WebSocket.
package enum DialError: Error, Sendable, Equatable {
    /// Nobody answered, or the connection broke.
    case unreachable(String)
    /// HTTP's answer instead of an upgrade.
    case refused(status: Int, body: String, retryAfterSeconds: Int?)
}

/// What a connection is opened with.
package struct DialRequest: Sendable {
    package var server: ServerAddress
    /// For a server that is secure.
    package var tls: ClientTLS?
    /// Path and query.
    package var target: String
    /// The value of Sec-WebSocket-Protocol.
    package var protocols: String
    package var maxMessage: Int
    /// False only for load generators.
    package var randomMask: Bool
    package var timeout: TimeAmount

    package init(
        server: ServerAddress, tls: ClientTLS? = nil, target: String, protocols: String, maxMessage: Int = 1_048_576,
        randomMask: Bool = true,
        timeout: TimeAmount = .seconds(10)
    ) {
        self.server = server
        self.tls = tls
        self.target = target
        self.protocols = protocols
        self.maxMessage = maxMessage
        self.randomMask = randomMask
        self.timeout = timeout
    }
}

/// Opens WebSocket connections: TCP, the HTTP upgrade, then a `WebSocketHandler`. Everything within one deadline.
package enum WebSocketDialer {
    /// On `eventLoop`, which the delegate is called on too. The future's value is the channel, upgraded.
    package static func dial(
        _ request: DialRequest, on eventLoop: any EventLoop, delegate: any WebSocketDelegate & Sendable
    ) -> EventLoopFuture<any Channel> {
        let upgraded = eventLoop.makePromise(of: (any Channel).self)
        ClientBootstrap(group: eventLoop)
            .connectTimeout(request.timeout)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try configure(channel, request, delegate, upgraded)
                }
            }
            .connect(host: request.server.host, port: request.server.port)
            .whenComplete { result in
                switch result {
                case .failure(let error): upgraded.fail(DialError.unreachable(describe(error)))
                case .success(let channel):
                    let timer = eventLoop.scheduleTask(in: request.timeout) {
                        upgraded.fail(DialError.unreachable("no answer to the upgrade in time"))
                        channel.close(promise: nil)
                    }
                    upgraded.futureResult.whenComplete { _ in timer.cancel() }
                }
            }
        return upgraded.futureResult
    }

    private static func configure(
        _ channel: any Channel, _ request: DialRequest, _ delegate: any WebSocketDelegate & Sendable,
        _ upgraded: EventLoopPromise<any Channel>
    ) throws {
        let upgrader = Upgrader { channel in
            channel.eventLoop.makeCompletedFuture {
                let handler = WebSocketHandler(
                    maxMessage: request.maxMessage, randomMask: request.randomMask, delegate: delegate)
                try channel.pipeline.syncOperations.addHandler(handler)
                upgraded.succeed(channel)
            }
        }
        let asking = UpgradeRequestHandler(request: request, upgraded: upgraded)
        let bound = NIOLoopBound(asking, eventLoop: channel.eventLoop)
        if request.server.isSecure {
            guard let tls = request.tls else { throw DialError.unreachable("\(request.server): no TLS is set up") }
            try channel.pipeline.syncOperations.addHandler(tls.handler(for: request.server))
        }
        try channel.pipeline.syncOperations.addHTTPClientHandlers(
            // The first frames often come in one packet with the answer to the upgrade.
            leftOverBytesStrategy: .forwardBytes,
            withClientUpgrade: (
                upgraders: [upgrader],
                completionHandler: { context in
                    context.pipeline.syncOperations.removeHandler(bound.value, promise: nil)
                }
            ))
        try channel.pipeline.syncOperations.addHandler(asking)
    }

    static func describe(_ error: any Error) -> String {
        if let error = error as? NIOConnectionError {
            return error.connectionErrors.first.map { describe($0.error) } ?? "unknown host \(error.host)"
        }
        if let error = error as? DialError, case .unreachable(let text) = error { return text }
        if error is ChannelError { return "connecting took too long" }
        if let error = error as? IOError {
            let text = String(cString: strerror(error.errnoCode))
            return text.prefix(1).lowercased() + text.dropFirst()
        }
        return String(describing: error)
    }
}

/// NIO's upgrader does the keys; the frames are ours.
private final class Upgrader: NIOHTTPClientProtocolUpgrader, Sendable {
    private let keys = NIOWebSocketClientUpgrader { channel, _ in channel.eventLoop.makeSucceededVoidFuture() }
    private let install: @Sendable (any Channel) -> EventLoopFuture<Void>

    init(install: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>) { self.install = install }

    var supportedProtocol: String { keys.supportedProtocol }
    var requiredUpgradeHeaders: [String] { keys.requiredUpgradeHeaders }
    func addCustom(upgradeRequestHeaders: inout HTTPHeaders) {
        keys.addCustom(upgradeRequestHeaders: &upgradeRequestHeaders)
    }
    func shouldAllowUpgrade(upgradeResponse: HTTPResponseHead) -> Bool {
        keys.shouldAllowUpgrade(upgradeResponse: upgradeResponse)
    }
    func upgrade(context: ChannelHandlerContext, upgradeResponse: HTTPResponseHead) -> EventLoopFuture<Void> {
        install(context.channel)
    }
}

/// Sends the request, and reads the answer where it is not an upgrade.
private final class UpgradeRequestHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private static let maxBody = 65_536

    private let request: DialRequest
    private let upgraded: EventLoopPromise<any Channel>
    private var head: HTTPResponseHead?
    private var body = ByteBuffer()

    init(request: DialRequest, upgraded: EventLoopPromise<any Channel>) {
        self.request = request
        self.upgraded = upgraded
    }

    func channelActive(context: ChannelHandlerContext) {
        var headers = HTTPHeaders()
        headers.add(name: "Host", value: request.server.authority)
        headers.add(name: "Sec-WebSocket-Protocol", value: request.protocols)
        let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: request.target, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): self.head = head
        case .body(var part):
            if body.readableBytes + part.readableBytes <= Self.maxBody { body.writeBuffer(&part) }
        case .end:
            finish()
            context.close(promise: nil)
        }
    }

    private func finish() {
        guard let head else {
            upgraded.fail(DialError.unreachable("the connection was closed before it was upgraded"))
            return
        }
        upgraded.fail(
            DialError.refused(
                status: Int(head.status.code), body: String(buffer: body),
                retryAfterSeconds: head.headers.first(name: "retry-after").flatMap { Int($0) }))
    }

    func channelInactive(context: ChannelHandlerContext) {
        finish()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if head == nil {
            let shown = try? context.pipeline.syncOperations.handler(type: NIOSSLHandler.self).peerCertificate
            let trouble = TLSTrouble.text(error, host: request.server.host, leaf: shown)
            upgraded.fail(DialError.unreachable(trouble ?? WebSocketDialer.describe(error)))
        }
        context.close(promise: nil)
    }
}
