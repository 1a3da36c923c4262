internal import Logging
package import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// Listens on one address and has calls answered by a service.
package final class HTTPListener: Sendable {
    private let channel: any Channel
    private let gate: ConnectionGate

    /// The port really listened on, for those who asked for port 0.
    package var port: Int { channel.localAddress?.port ?? 0 }
    package var openConnections: Int { gate.open }

    private init(channel: any Channel, gate: ConnectionGate) {
        self.channel = channel
        self.gate = gate
    }

    /// - Throws: what binding throws, such as `IOError` with `EADDRINUSE`.
    package static func start(
        group: any EventLoopGroup, host: String, port: Int, limits: HTTPLimits, connections: ConnectionLimits,
        tls: ListenerTLS? = nil, service: any HTTPService
    ) async throws -> HTTPListener {
        let gate = ConnectionGate(limits: connections)
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(
                .writeBufferWaterMark, value: ChannelOptions.Types.WriteBufferWaterMark(low: 32_768, high: 65_536)
            )
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let address = ClientAddress(channel.remoteAddress)
                    let now = NIODeadline.now().uptimeNanoseconds
                    var (service, limits) = (service, limits)
                    switch gate.enter(address, now: now) {
                    case .entered: channel.closeFuture.whenComplete { _ in gate.leave(address) }
                    case .refused(let retryAfter) where tls == nil:
                        return try channel.pipeline.syncOperations.addHandler(
                            OverloadedHandler(retryAfter: retryAfter))
                    case .refused(let retryAfter):
                        guard gate.beginRefusal(now: now) else { throw ChannelError.operationUnsupported }
                        channel.closeFuture.whenComplete { _ in gate.endRefusal() }
                        service = OverloadedService(retryAfter: retryAfter)
                        limits.bodyMilliseconds = limits.headMilliseconds
                    }
                    var decoding = NIOHTTPDecoderLimitConfiguration()
                    decoding.maxHeaderFieldSize = 16_384
                    decoding.maxHeaderListSize = 32_768
                    decoding.maxHeaderFieldCount = 100
                    let decoder = HTTPRequestDecoder(
                        leftOverBytesStrategy: .forwardBytes, limitConfiguration: decoding)
                    let pipeline = channel.pipeline.syncOperations
                    if let tls { try pipeline.addHandler(tls.handler()) }
                    try pipeline.addHandler(HTTPResponseEncoder())
                    try pipeline.addHandler(ByteToMessageHandler(decoder))
                    try pipeline.addHandler(HTTPExchangeHandler(service: service, limits: limits))
                }
            }
        let channel = try await bootstrap.bind(host: host, port: port).get()
        return HTTPListener(channel: channel, gate: gate)
    }

    /// Accepts no more; the connections there are stay.
    package func stop() async {
        try? await channel.close().get()
    }
}
