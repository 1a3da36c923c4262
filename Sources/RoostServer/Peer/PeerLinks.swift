internal import Logging
internal import NIOCore
internal import RoostCluster
internal import RoostModel
internal import RoostNode
internal import RoostProtocol

/// The table of links, and what they share. Lives on the core event loop.
final class PeerLinks {
    static let recvAllocator = AdaptiveRecvByteBufferAllocator(minimum: 2_048, initial: 16_384, maximum: 262_144)

    let loop: any EventLoop
    let limits: PeerLimits
    let logger: Logger
    /// Nil where the cluster has none: then any node of its ids is believed.
    let secret: ClusterSecret?
    /// Nil where links are in plain text.
    let tls: PeerTLS?
    private(set) var events: (any LinkEvents)?
    private var links: [NodeID: PeerLink] = [:]
    private var generator: SeededGenerator
    private var logGate = LogGate()
    private var listener: (any Channel)?
    private var ticker: RepeatedTask?
    private var lastTick = NIODeadline.now()
    /// Accepted connections that have not shaken hands.
    private var handshakes = 0

    init(
        loop: any EventLoop, limits: PeerLimits, secret: ClusterSecret?, tls: PeerTLS?, seed: UInt64, logger: Logger
    ) {
        self.secret = secret
        self.tls = tls
        self.loop = loop
        self.limits = limits
        self.logger = logger
        generator = SeededGenerator(seed: seed)
    }

    func start(listener: any Channel, events: any LinkEvents) {
        self.listener = listener
        self.events = events
        peersChanged()
        lastTick = .now()
        let bound = NIOLoopBound(self, eventLoop: loop)
        ticker = loop.scheduleRepeatedTask(initialDelay: limits.heartbeat, delay: limits.heartbeat) { _ in
            bound.value.tick()
        }
    }

    /// Links to those that are new, none to those that are gone.
    func peersChanged() {
        guard let identity = events?.identity() else { return }
        for node in identity.peers.keys.sorted() where node != identity.node && links[node] == nil {
            let link = PeerLink(node: node, links: self, dials: identity.node < node)
            links[node] = link
            link.start()
        }
        for node in links.keys.sorted() where identity.peers[node] == nil {
            links.removeValue(forKey: node)?.stop()
        }
    }

    func stop() {
        ticker?.cancel()
        listener?.close(promise: nil)
        events = nil
        for link in links.values { link.stop() }
        links.removeAll()
    }

    private func tick() {
        let now = NIODeadline.now()
        // Where this very loop stood still, the others' bytes may be waiting in the kernel.
        let wasLate = now - lastTick > limits.heartbeat + limits.heartbeat
        lastTick = now
        for link in links.values { link.tick(now, judges: !wasLate) }
        for link in links.values { link.lookForIt(now) }
    }

    // MARK: Transport

    func send(_ frames: [PeerFrame], to node: NodeID, lane: PeerLane) -> Bool {
        links[node]?.send(frames, lane: lane) ?? false
    }

    func queuedBytes(to node: NodeID) -> Int { links[node]?.queuedBytes ?? 0 }
    func reset(_ node: NodeID, reason: String) { links[node]?.reset(reason) }
    func info() -> [LinkInfo] { links.keys.sorted().compactMap { links[$0]?.info } }

    // MARK: Handshakes

    /// False where too many are under way; otherwise `handshakeEnded` must follow.
    func beginHandshake() -> Bool {
        guard events != nil, handshakes < limits.maxHandshakes else { return false }
        handshakes += 1
        return true
    }

    func handshakeEnded() { handshakes -= 1 }

    /// Nil while this node is going down.
    var knowledge: PeerHandshake.Knowledge? {
        guard let identity = events?.identity() else { return nil }
        var rules = LinkRules(
            cluster: identity.cluster, clusterID: identity.clusterID, node: identity.node, store: identity.store,
            epoch: identity.epoch, minVersion: PeerFrameCodec.versions.lowerBound,
            maxVersion: PeerFrameCodec.versions.upperBound, address: identity.address,
            knownNodes: Array(identity.peers.keys))
        rules.removedNodes = identity.removed
        return PeerHandshake.Knowledge(rules: rules, hasMoved: identity.hasMoved) { [links] in
            links[$0]?.latestEpoch
        }
    }

    /// A lane has shaken hands.
    func adopt(_ handler: PeerLaneHandler, _ hello: HandshakeHello) {
        guard let link = links[hello.node] else { return handler.close() }
        link.adopt(handler, hello)
    }

    func address(of node: NodeID) -> String? { events?.identity().peers[node] }

    /// In turns where there are several.
    func address(of node: NodeID, attempt: Int) -> String? {
        guard let identity = events?.identity(), let first = identity.peers[node] else { return nil }
        let all = [first] + (identity.alternatives[node] ?? [])
        return all[attempt % all.count]
    }

    /// Whether the nodes that should dial this one do not know where it is.
    var hasMoved: Bool { events?.identity().hasMoved ?? false }

    /// A node that this one dials says where it listens now.
    func found(_ hello: HandshakeHello) {
        guard hello.epoch >= links[hello.node]?.latestEpoch ?? 0, PeerLink.split(hello.address) != nil else { return }
        events?.found(hello.node, at: hello.address)
    }

    // MARK: Helpers

    func jittered(_ amount: TimeAmount) -> TimeAmount {
        .nanoseconds(amount.nanoseconds / 2 + Int64.random(in: 0...max(1, amount.nanoseconds / 2), using: &generator))
    }

    /// At a bounded rate for each source and for all.
    func warn(_ source: String, _ text: String) {
        guard logGate.admits(source, at: .now()) else { return }
        logger.warning("\(text)", metadata: ["peer": "\(source)"])
    }
}

/// Lets one line of each source through in ten seconds, and remembers only so many sources.
struct LogGate {
    private static let interval = TimeAmount.seconds(10)
    private static let capacity = 256
    private var last: [String: NIODeadline] = [:]

    mutating func admits(_ source: String, at now: NIODeadline) -> Bool {
        if let before = last[source], now - before < Self.interval { return false }
        if last.count >= Self.capacity {
            last = last.filter { now - $0.value < Self.interval }
            // Full of fresh ones: a flood from everywhere is not worth a line each.
            if last.count >= Self.capacity { return false }
        }
        last[source] = now
        return true
    }
}
