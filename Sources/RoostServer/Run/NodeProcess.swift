internal import Foundation
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import RoostModel
internal import RoostNode
internal import RoostStorage

/// A node with everything around it: event loop, storage, links, listeners.
final class NodeProcess: Sendable {
    let node: Node
    private let own: ClusterConfig.Node
    private let config: ClusterConfig
    private let group: MultiThreadedEventLoopGroup
    private let storage: ThreadedStorage
    private let transport: NIOTransport
    private let passwords: PasswordHasher
    private let monitor: LoopMonitor
    private let certificates: NodeCertificates
    private let admin: HTTPListener
    private let client: HTTPListener

    private init(
        node: Node, own: ClusterConfig.Node, config: ClusterConfig, group: MultiThreadedEventLoopGroup,
        storage: ThreadedStorage, transport: NIOTransport, passwords: PasswordHasher, monitor: LoopMonitor,
        certificates: NodeCertificates, admin: HTTPListener, client: HTTPListener
    ) {
        self.node = node
        self.own = own
        self.config = config
        self.group = group
        self.storage = storage
        self.transport = transport
        self.passwords = passwords
        self.monitor = monitor
        self.certificates = certificates
        self.admin = admin
        self.client = client
    }

    /// Waits while the disk has no space to begin with.
    /// - Parameters:
    ///   - left: called once when the node has left its cluster.
    ///   - failed: called with one line when the node cannot go on.
    ///   - isStopping: asked while it waits.
    /// - Returns: nil where it was stopped first.
    static func start(
        config: ClusterConfig, own: ClusterConfig.Node, join: JoinOptions?, logger: Logger,
        left: @escaping @Sendable () -> Void, failed: @escaping @Sendable (String) -> Void,
        isStopping: @Sendable () -> Bool
    ) async throws(NodeRunError) -> NodeProcess? {
        var made: OpenedStore?
        var isSaid = false
        while made == nil {
            made = try OpenedStore.open(config: config, own: own, logger: logger, failed: failed) { reason in
                if !isSaid { logger.error("\(reason); this node starts when there is some") }
                isSaid = true
            }
            if made == nil { try? await Task.sleep(for: .seconds(1)) }
            if made == nil && isStopping() { return nil }
        }
        guard var opened = made else { return nil }
        let secret = try ClusterSecret.load(config.security.clusterSecretFile)
        let certificates: NodeCertificates
        do {
            certificates = try NodeCertificates(config: config, own: own, logger: logger)
        } catch {
            throw NodeRunError(message: error.description, exitCode: NodeRunError.configuration)
        }
        var config = config
        if let join {
            guard
                let facts = try await Joining.run(
                    opened, config: config, own: own, seed: join.seed, secret: secret,
                    tls: certificates.peer, logger: logger,
                    isStopping: isStopping)
            else { return nil }
            opened.facts = facts
        }
        if let record = opened.facts.founded {
            config = Joining.adapt(config, to: record, node: own.id)
        } else if config.nodes.count == 1, config.cluster.isEmpty {
            throw NodeRunError(
                message: "--join is needed: \(own.id) stands in no cluster.json, and its data directory is blank",
                exitCode: NodeRunError.configuration)
        }
        return try await start(
            opened, config: config, own: own, secret: secret, certificates: certificates, logger: logger,
            left: left, failed: failed)
    }

    private static func start(
        _ opened: OpenedStore, config: ClusterConfig, own: ClusterConfig.Node, secret: ClusterSecret?,
        certificates: NodeCertificates, logger: Logger, left: @escaping @Sendable () -> Void,
        failed: @escaping @Sendable (String) -> Void
    ) async throws(NodeRunError) -> NodeProcess {
        logger.info(
            "\(own.id) of cluster \(config.cluster) starts",
            metadata: [
                "data_dir": "\(own.dataDirectory)", "epoch": "\(opened.facts.epoch)", "pid": "\(getpid())",
                "store": "\(opened.facts.store)",
            ])
        if let warning = config.durabilityWarning { logger.warning("\(warning)") }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        var options = ThreadedStorage.Options()
        options.readers = config.durability.readerThreads
        options.gatherMicroseconds = config.durability.gatherMicroseconds
        let storage = ThreadedStorage(store: opened.store, options: options) { body in loop.execute(body) }

        var seeds = SystemRandomNumberGenerator()
        let transportSeed = seeds.next()
        let limits = PeerLimits(maxQueueBytes: config.limits.maxLinkQueueBytes)
        let made = try? await loop.submit {
            NIOTransport(
                loop: loop, limits: limits, secret: secret, tls: certificates.peer, seed: transportSeed, logger: logger)
        }.get()
        guard let transport = made else {
            throw NodeRunError(message: "the event loop did not start", exitCode: NodeRunError.software)
        }
        let context = NodeContext(
            configuration: config, id: own.id, clock: NIOClock(loop: loop), transport: transport, storage: storage,
            logger: logger, userID: UsernameRules.userID(of:), secretBytes: Self.secretBytes, executor: loop.executor)
        let node = Node(
            context: context, facts: opened.facts, seed: seeds.next(), onLeft: left, onFailure: failed)

        do {
            _ = try await transport.start(host: own.host, port: own.peerPort, events: node)
        } catch {
            throw .binding(own.host, own.peerPort, key: "peer_port", error)
        }
        let security = config.security
        let passwords = PasswordHasher(
            logN: security.scryptLogN, threads: security.scryptThreads, maxQueued: security.maxQueuedPasswordChecks)
        let monitor = LoopMonitor()
        monitor.start(on: loop)
        certificates.start(on: loop)
        let adminTokens = AdminTokens(security, isOpen: ConfigFile.isLoopback(security.adminHost))
        let admin = try await listen(
            security.adminHost, own.adminPort, key: "admin_port", loop, config, tls: certificates.admin,
            connections: ConnectionLimits(total: 256),
            // A drain is answered when it is over.
            extraMilliseconds: config.timing.drainMilliseconds,
            AdminAPI(
                node: node, passwords: passwords, tokens: adminTokens, loop: monitor, certificates: certificates,
                logger: logger))
        var connections = ConnectionLimits(config.limits)
        if connections.total > ProcessSetup.descriptorsForClients {
            connections.total = ProcessSetup.descriptorsForClients
            logger.info(
                """
                at most \(connections.total) client connections: more than that, up to limits.max_connections = \
                \(config.limits.maxConnections), needs a higher limit of open files (ulimit -Hn)
                """)
        }
        let client = try await listen(
            own.host, own.clientPort, key: "client_port", loop, config, tls: certificates.client,
            connections: connections,
            ClientAPI(
                node: node, tokens: TokenAuthority(node: node), passwords: passwords, core: loop, logger: logger))
        await node.start()
        return NodeProcess(
            node: node, own: own, config: config, group: group, storage: storage, transport: transport,
            passwords: passwords, monitor: monitor, certificates: certificates, admin: admin, client: client)
    }

    private static func listen(
        _ host: String, _ port: Int, key: String, _ loop: any EventLoop, _ config: ClusterConfig,
        tls: ListenerTLS?, connections: ConnectionLimits, extraMilliseconds: Int = 0, _ service: any HTTPService
    ) async throws(NodeRunError) -> HTTPListener {
        var limits = HTTPLimits(
            headMilliseconds: config.limits.handshakeMilliseconds, maxBody: config.limits.maxHTTPBody)
        limits.answerMilliseconds = config.timing.httpTimeoutMilliseconds + extraMilliseconds
        do {
            return try await HTTPListener.start(
                group: loop, host: host, port: port, limits: limits, connections: connections,
                tls: tls, service: service)
        } catch {
            throw .binding(host, port, key: key, error)
        }
    }

    /// The one line for programs that wait for the node.
    func announce() {
        let line =
            "ready \(own.id) client=\(Self.scheme(certificates.client))://\(own.host):\(client.port)"
            + " admin=\(Self.scheme(certificates.admin))://\(config.security.adminHost):\(admin.port)\n"
        ProcessSetup.write(line)
    }

    private static func scheme(_ tls: ListenerTLS?) -> String { tls == nil ? "http" : "https" }

    /// The same for one that has left the cluster.
    func announceLeft() { ProcessSetup.write("left \(own.id)\n") }

    /// The end of a node that can't go on.
    /// - Parameter isRemoved: of the node, as it says itself while its event loop runs.
    func failure(_ line: String, isRemoved: Bool) -> NodeRunError {
        if isRemoved { return NodeRunError(message: line, exitCode: NodeRunError.configuration) }
        let isDamage = DataDirectory.condemned(own.dataDirectory) != nil
        return NodeRunError(message: line, exitCode: isDamage ? NodeRunError.damaged : NodeRunError.inputOutput)
    }

    /// Drains, then lets go of everything in the order in which it depends on each other. Returns whether the node was
    /// removed meanwhile: nobody can ask it any more.
    func stop() async -> Bool {
        await node.drain()
        await client.stop()
        await node.stop()
        let isRemoved = await node.isRemoved
        await transport.stop()
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            storage.shutdown { continuation.resume() }
        }
        await admin.stop()
        monitor.stop()
        certificates.stop()
        await passwords.stop()
        try? await group.shutdownGracefully()
        return isRemoved
    }

    private static func secretBytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }
}
