import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded
import RoostCluster
import RoostModel
import RoostNode
import RoostProtocol

@testable import RoostServer

/// Connections between a node and a stranger, without sockets, on a clock that stands unless the input moves it. The input
/// is a program: what the other end says, among it what only a node with the secret can say, and when.
final class FuzzedLane {
    private static let handshakes = 3

    private struct Connection {
        var channel: EmbeddedChannel
        /// The other end's part, where there is a secret.
        var exchange: SecretExchange?
        var handshake = ByteBuffer()
        var said = 0
    }

    private let loop = EmbeddedEventLoop()
    private let links: PeerLinks
    private let node: FuzzedNode
    private let secret: ClusterSecret?
    private var connections: [Connection] = []
    private var current = 0
    private var proofs = 0

    private init(secret: ClusterSecret?, isFounded: Bool) {
        self.secret = secret
        var limits = PeerLimits(maxQueueBytes: 1 << 20)
        limits.maxHandshakes = Self.handshakes
        node = FuzzedNode(isFounded: isFounded, nodes: FuzzedPeers.nodes)
        let silent = Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }
        links = PeerLinks(loop: loop, limits: limits, secret: secret, tls: nil, seed: 1, logger: silent)
    }

    static func flaw(in program: ByteBuffer) -> String? {
        var program = program
        guard let flags: UInt8 = program.readInteger() else { return nil }
        let lane = FuzzedLane(secret: flags & 1 == 0 ? FuzzedPeers.secret : nil, isFounded: flags & 2 == 0)
        let listener = EmbeddedChannel(loop: lane.loop)
        lane.links.start(listener: listener, events: lane.node)
        lane.connect(flags >> 2)
        while let step: UInt8 = program.readInteger() { lane.run(step, &program) }
        let flaw = lane.end()
        lane.links.stop()
        _ = try? listener.finish(acceptAlreadyClosed: true)
        return flaw
    }

    // MARK: The program

    private func run(_ step: UInt8, _ program: inout ByteBuffer) {
        let argument: UInt8 = program.readInteger() ?? 0
        switch step % 10 {
        case 0: say(program.readSlice(length: min(Int(argument), program.readableBytes)) ?? ByteBuffer())
        case 1:
            let body = program.readSlice(length: min(Int(argument), program.readableBytes)) ?? ByteBuffer()
            var framed = ByteBuffer(integer: UInt32(body.readableBytes))
            framed.writeImmutableBuffer(body)
            say(framed)
        case 2: open(with: FuzzedPeers.greeting(argument))
        case 3: if let exchange = connections[current].exchange { say(.challenge(exchange.challenge)) }
        case 4:
            proofs += 1
            if let proof = connections[current].exchange?.proof { say(.proof(proof)) }
        case 5: loop.advanceTime(by: .milliseconds(Int64(argument % 32) * 250))
        case 6: connect(argument)
        case 7: current = Int(argument) % connections.count
        case 8: open(with: FuzzedPeers.refusal(argument))
        default: _ = try? connections[current].channel.finish(acceptAlreadyClosed: true)
        }
        listen()
    }

    /// - Parameter kind: bits of who dials, and for which lane.
    private func connect(_ kind: UInt8) {
        guard connections.count < 6 else { return }
        let dialled = kind & 1 != 0
        let handler =
            dialled
            ? PeerLaneHandler(dialling: FuzzedPeers.nodes[2], lane: kind & 2 == 0 ? .control : .bulk, links: links) {
                _ in
            }
            : PeerLaneHandler(accepting: links)
        let channel = EmbeddedChannel(handler: handler, loop: loop)
        current = connections.count
        connections.append(Connection(channel: channel, exchange: secret?.exchange(dials: !dialled)))
        _ = try? channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 1)).wait()
        listen()
    }

    private func open(with word: HandshakeFrame) {
        connections[current].exchange?.ownWord = word
        say(word)
    }

    private func say(_ frame: HandshakeFrame) {
        var bytes = ByteBuffer()
        HandshakeCodec.encode(frame, into: &bytes)
        say(bytes)
    }

    private func say(_ bytes: ByteBuffer) {
        let channel = connections[current].channel
        guard channel.isActive else { return }
        _ = try? channel.writeInbound(bytes)
    }

    /// Takes what the node says; of its handshake the other end keeps what it needs to prove the secret.
    private func listen() {
        for index in connections.indices {
            while let bytes = try? connections[index].channel.readOutbound(as: ByteBuffer.self) {
                connections[index].said += bytes.readableBytes
                guard secret != nil, connections[index].said < 8_192 else { continue }
                connections[index].handshake.writeImmutableBuffer(bytes)
            }
            while let frame = try? HandshakeCodec.nextFrame(from: &connections[index].handshake) {
                switch frame {
                case .challenge(let bytes): connections[index].exchange?.theirChallenge = bytes
                case .hello, .accept, .refuse: connections[index].exchange?.theirWord = frame
                case .proof, .join, .joined: break
                }
            }
        }
    }

    // MARK: What must hold

    private func end() -> String? {
        let told = node.told
        if secret != nil, proofs < 2, told.links > 0 { return "a link without a proof of the secret" }
        if secret != nil, proofs == 0, told.others > 0 { return "something of a stranger was believed" }
        // There is no certificate either.
        if secret == nil || proofs == 0, told.joins > 0 { return "a stranger may join" }
        for connection in connections where secret != nil && proofs == 0 && connection.said > 4_096 {
            return "\(connection.said) bytes said to a stranger"
        }
        for connection in connections { _ = try? connection.channel.finish(acceptAlreadyClosed: true) }
        loop.run()
        for _ in 0..<Self.handshakes where !links.beginHandshake() { return "a handshake counts for ever" }
        if node.told.links > node.told.ends { return "a link outlives its connections" }
        return nil
    }
}

/// A node as its links see it.
private final class FuzzedNode: LinkEvents {
    struct Told {
        var links = 0
        var ends = 0
        var joins = 0
        /// News of an address, and of being removed.
        var others = 0
    }
    private let own: LinkIdentity
    private let counts = NIOLockedValueBox(Told())

    init(isFounded: Bool, nodes: [NodeID]) {
        // An address that nobody can dial.
        own = LinkIdentity(
            cluster: FuzzedPeers.cluster, clusterID: isFounded ? FuzzedPeers.founding : .zero, node: nodes[0],
            store: StoreID(5), epoch: 1, address: "192.0.2.5:7", peers: [nodes[1]: "", nodes[2]: ""],
            removed: ["node-7"])
    }

    var told: Told { counts.withLockedValue { $0 } }
    func identity() -> LinkIdentity { own }
    func linkUp(_ peer: LinkPeer) { counts.withLockedValue { $0.links += 1 } }
    func linkDown(_ node: NodeID, reason: String) { counts.withLockedValue { $0.ends += 1 } }
    func received(_ frames: [PeerFrame], from node: NodeID) {}
    func refusedAsRemoved() { counts.withLockedValue { $0.others += 1 } }
    func found(_ node: NodeID, at address: String) { counts.withLockedValue { $0.others += 1 } }
    func join(_ member: RingMember, _ done: @escaping @Sendable (Result<JoinGrant, RingRefusal>) -> Void) {
        counts.withLockedValue { $0.joins += 1 }
        done(.failure(RingRefusal("nobody joins here", retry: false)))
    }
}
