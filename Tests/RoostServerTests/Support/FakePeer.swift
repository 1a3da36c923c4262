import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import RoostModel
import RoostNode
import RoostProtocol

@testable import RoostServer

/// A node as its transport sees it: an identity, and what it was told.
final class FakePeer: LinkEvents {
    enum Event: Equatable, Sendable {
        case up(LinkPeer)
        case down(NodeID)
        case received([PeerFrame], NodeID)
        case removed
        case found(NodeID, String)
    }

    let events = EventQueue<Event>()
    private let own: NIOLockedValueBox<LinkIdentity>
    /// What becomes of those that want to join.
    let joining = NIOLockedValueBox<@Sendable (RingMember) -> Result<JoinGrant, RingRefusal>>({ _ in
        .failure(RingRefusal("nobody joins here", retry: false))
    })

    init(_ identity: LinkIdentity) { own = NIOLockedValueBox(identity) }

    func change(_ body: (inout LinkIdentity) -> Void) { own.withLockedValue { body(&$0) } }

    func identity() -> LinkIdentity { own.withLockedValue { $0 } }
    func linkUp(_ peer: LinkPeer) { events.push(.up(peer)) }
    func linkDown(_ node: NodeID, reason: String) { events.push(.down(node)) }
    func received(_ frames: [PeerFrame], from node: NodeID) { events.push(.received(frames, node)) }
    func refusedAsRemoved() { events.push(.removed) }
    func found(_ node: NodeID, at address: String) { events.push(.found(node, address)) }
    func join(_ member: RingMember, _ done: @escaping @Sendable (Result<JoinGrant, RingRefusal>) -> Void) {
        done(joining.withLockedValue { $0(member) })
    }
}

/// A transport on an event loop of its own.
struct TestLink {
    let loop: any EventLoop
    let transport: NIOTransport
    let peer: FakePeer
    let port: Int

    static func start(
        _ node: NodeID, on group: any EventLoopGroup, peers: [NodeID: String], store: UInt64 = 1, epoch: Epoch = 1,
        cluster: String = "test", clusterID: UUID128 = .zero, limits: PeerLimits = .test, port: Int = 0,
        secret: String? = nil, tls: PeerTLS? = nil, removed: [NodeID] = []
    ) async throws -> TestLink {
        TestProcess.prepare()
        let loop = group.next()
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let transport = try await loop.submit {
            NIOTransport(
                loop: loop, limits: limits, secret: secret.flatMap { ClusterSecret($0) }, tls: tls, seed: 1,
                logger: logger)
        }.get()
        let peer = FakePeer(
            LinkIdentity(
                cluster: cluster, clusterID: clusterID, node: node, store: StoreID(store), epoch: epoch,
                address: "127.0.0.1:1", peers: peers, removed: removed))
        let bound = try await transport.start(host: "127.0.0.1", port: port, events: peer)
        return TestLink(loop: loop, transport: transport, peer: peer, port: bound)
    }

    var address: String { "127.0.0.1:\(port)" }

    func send(_ frames: [PeerFrame], to node: NodeID, lane: PeerLane) async throws -> Bool {
        try await loop.submit { transport.send(frames, to: node, lane: lane) }.get()
    }

    func info() async throws -> [LinkInfo] { try await loop.submit { transport.linkInfo() }.get() }
    func reset(_ node: NodeID) async throws {
        try await loop.submit { transport.reset(node, reason: "reset by the test") }.get()
    }
}

extension PeerLimits {
    static var test: PeerLimits {
        var limits = PeerLimits(maxQueueBytes: 1 << 20)
        limits.minBackoff = .milliseconds(2)
        limits.maxBackoff = .milliseconds(10)
        return limits
    }
}
