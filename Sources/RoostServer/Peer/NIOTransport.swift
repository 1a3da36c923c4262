package import Logging
package import NIOCore
internal import NIOPosix
package import RoostModel
package import RoostNode
package import RoostProtocol

/// The links to the other nodes over TCP, two connections ("lanes") to each. Everything happens on the core event
/// loop; calls from elsewhere are a programming error.
package final class NIOTransport: Transport {
    private let links: NIOLoopBound<PeerLinks>
    private let loop: any EventLoop

    /// Must be called on `loop`.
    package init(
        loop: any EventLoop, limits: PeerLimits, secret: ClusterSecret? = nil, tls: PeerTLS? = nil, seed: UInt64,
        logger: Logger
    ) {
        self.loop = loop
        links = NIOLoopBound(
            PeerLinks(loop: loop, limits: limits, secret: secret, tls: tls, seed: seed, logger: logger),
            eventLoop: loop)
    }

    /// Listens, and dials the nodes with a higher id.
    /// - Returns: the port listened on.
    /// - Throws: what binding throws.
    package func start(host: String, port: Int, events: any LinkEvents) async throws -> Int {
        let links = links
        let channel = try await ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.recvAllocator, value: PeerLinks.recvAllocator)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let tls = links.value.tls { try pipeline.addHandler(tls.accepting()) }
                    try pipeline.addHandler(PeerLaneHandler(accepting: links.value))
                }
            }
            .bind(host: host, port: port).get()
        try await loop.submit { links.value.start(listener: channel, events: events) }.get()
        return channel.localAddress?.port ?? port
    }

    /// Ends all links for good.
    package func stop() async {
        let links = links
        try? await loop.submit { links.value.stop() }.get()
    }

    @discardableResult
    package func send(_ frames: [PeerFrame], to node: NodeID, lane: PeerLane) -> Bool {
        links.value.send(frames, to: node, lane: lane)
    }
    package func queuedBytes(to node: NodeID) -> Int { links.value.queuedBytes(to: node) }
    package func reset(_ node: NodeID, reason: String) { links.value.reset(node, reason: reason) }
    package func linkInfo() -> [LinkInfo] { links.value.info() }
    package func peersChanged() { links.value.peersChanged() }
}

/// The bounds and times of links.
package struct PeerLimits: Sendable {
    /// Bytes of one lane handed over and not yet taken by the kernel; beyond it nothing more is taken.
    package var maxQueueBytes: Int
    /// Accepted connections that have not shaken hands.
    package var maxHandshakes = 64
    /// From the connection to the end of its handshake, and again until the other lane is there.
    package var handshake = TimeAmount.seconds(5)
    /// 1 s: where a cut swallows the first packet, the next attempt comes sooner than the kernel's.
    package var connect = TimeAmount.seconds(1)
    /// Between two pings on a lane.
    package var heartbeat = TimeAmount.seconds(1)
    /// A lane that hears nothing for so long is closed.
    package var silence = TimeAmount.seconds(5)
    package var minBackoff = TimeAmount.milliseconds(100)
    /// With `connect` the longest that the link may stay down once a cut is over: 1.5 s.
    package var maxBackoff = TimeAmount.milliseconds(500)
    /// A node that is not dialled for so long looks whether it is still known.
    package var lookAfter = TimeAmount.seconds(10)

    package init(maxQueueBytes: Int) { self.maxQueueBytes = maxQueueBytes }
}
