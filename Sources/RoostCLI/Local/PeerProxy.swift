internal import NIOCore
internal import NIOPosix

/// A TCP proxy on loopback between two nodes, to part them without their doing.
final class PeerProxy: Sendable {
    enum Mode: Sendable {
        case open
        /// Connections end, and new ones do at once: a process or a switch that is gone.
        case closed
        /// Nothing passes, nobody is told: a cable that is cut. What was on its way arrives when it is mended.
        case stalled
    }

    let port: Int
    private let listener: any Channel
    private let state: NIOLoopBound<ProxyState>

    static func start(to target: Int, on loop: any EventLoop) async throws -> PeerProxy {
        let state = try await loop.submit { NIOLoopBound(ProxyState(loop: loop, target: target), eventLoop: loop) }
            .get()
        let listener = try await ServerBootstrap(group: loop)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try state.value.accepted(channel) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return PeerProxy(listener: listener, state: state)
    }

    private init(listener: any Channel, state: NIOLoopBound<ProxyState>) {
        self.listener = listener
        self.state = state
        port = listener.localAddress?.port ?? 0
    }

    func set(_ mode: Mode) {
        let state = state
        listener.eventLoop.execute { state.value.set(mode) }
    }

    func stop() {
        set(.closed)
        listener.close(promise: nil)
    }
}

/// The connections of a proxy. Lives on its loop.
private final class ProxyState {
    private let loop: any EventLoop
    private let target: Int
    private var mode = PeerProxy.Mode.open
    private var ends: [ObjectIdentifier: ProxyEnd] = [:]

    init(loop: any EventLoop, target: Int) {
        self.loop = loop
        self.target = target
    }

    var passes: Bool { mode == .open }

    func set(_ mode: PeerProxy.Mode) {
        self.mode = mode
        for end in ends.values {
            if mode == .closed || mode == .open && end.isAlone { end.close() } else { end.updateReading() }
        }
    }

    func accepted(_ channel: any Channel) throws {
        guard mode != .closed else { throw ChannelError.ioOnClosedChannel }
        let near = ProxyEnd(state: self, channel: channel)
        add(near)
        try channel.pipeline.syncOperations.addHandler(near)
        let bound = NIOLoopBound((state: self, near: near), eventLoop: loop)
        ClientBootstrap(group: loop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.autoRead, value: false)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let far = ProxyEnd(state: bound.value.state, channel: channel)
                    bound.value.state.add(far)
                    try channel.pipeline.syncOperations.addHandler(far)
                    far.join(bound.value.near)
                }
            }
            .connect(host: "127.0.0.1", port: target)
            .whenComplete { result in
                switch result {
                case .failure: bound.value.near.close()
                case .success: bound.value.near.connected()
                }
            }
    }

    func add(_ end: ProxyEnd) { ends[ObjectIdentifier(end)] = end }
    func remove(_ end: ProxyEnd) { ends[ObjectIdentifier(end)] = nil }
}

/// One of the two connections of a pair: what it reads, the other writes.
private final class ProxyEnd: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let state: ProxyState
    private let channel: any Channel
    private var other: ProxyEnd?
    private var isConnected = false

    init(state: ProxyState, channel: any Channel) {
        self.state = state
        self.channel = channel
    }

    func join(_ end: ProxyEnd) {
        other = end
        end.other = self
    }

    /// Both ends are there.
    func connected() {
        isConnected = true
        other?.isConnected = true
        updateReading()
        other?.updateReading()
    }

    /// Only as fast as the other end takes it.
    func updateReading() {
        let reads = isConnected && state.passes && other?.channel.isWritable ?? false
        channel.setOption(.autoRead, value: reads).whenFailure { _ in }
    }

    /// The other end is gone.
    var isAlone: Bool { isConnected && other == nil }

    func close() { channel.close(promise: nil) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        other?.channel.writeAndFlush(unwrapInboundIn(data), promise: nil)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) { other?.updateReading() }

    func channelInactive(context: ChannelHandlerContext) {
        state.remove(self)
        // Where a cable is cut, nobody hears that an end was closed either.
        other?.other = nil
        if state.passes { other?.close() }
        other = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
