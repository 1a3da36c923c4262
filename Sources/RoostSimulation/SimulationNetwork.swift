import NIOCore
package import RoostModel
package import RoostNode
import RoostProtocol

/// The links between simulated nodes: frames go through the real codec, in order on each lane, with a delay drawn for
/// each batch. A pair can be cut, with or without notice; a killed node's links break after a while, as a kernel's would.
package final class SimulationNetwork: @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    fileprivate struct Pair: Hashable {
        var a: NodeID
        var b: NodeID
        init(_ x: NodeID, _ y: NodeID) {
            a = min(x, y)
            b = max(x, y)
        }
    }
    /// One end of a pair.
    fileprivate struct Side: Hashable {
        var node: NodeID
        var other: NodeID
    }
    fileprivate struct Lane: Hashable {
        var from: NodeID
        var to: NodeID
        var lane: PeerLane
    }

    fileprivate let executor: SimulationExecutor
    private var ends: [NodeID: any LinkEvents] = [:]
    /// Which life of a link it is: what was sent on an older one never arrives.
    private var lives: [Pair: UInt64] = [:]
    private var up: Set<Pair> = []
    private var cut: Set<Pair> = []
    /// Nothing arrives, nobody is told; what was sent is kept until the stall or the link ends.
    private var stalled: [Pair: [@Sendable () -> Void]] = [:]
    /// Ends that were told of a link and not of its end.
    private var told: Set<Side> = []
    private var arrival: [Lane: UInt64] = [:]
    /// A line of everything that arrives, where it is wanted.
    package var trace: ((String) -> Void)?
    package private(set) var undecodable = 0
    package private(set) var frames: UInt64 = 0

    /// After this a link on which nothing arrives is given up, in nanoseconds.
    package static let silence: UInt64 = 5_000_000_000

    package init(executor: SimulationExecutor) { self.executor = executor }

    package func transport(of node: NodeID) -> any Transport { SimulationTransport(node: node, network: self) }

    /// The node lives: links to all others are made.
    package func attach(_ node: NodeID, _ events: any LinkEvents) {
        ends[node] = events
        for other in ends.keys.sorted() where other != node { connect(node, other) }
    }

    /// The node is gone: the others notice a broken link.
    package func detach(_ node: NodeID) {
        ends[node] = nil
        told = told.filter { $0.node != node }
        for pair in up.sorted(by: { ($0.a, $0.b) < ($1.a, $1.b) }) where pair.a == node || pair.b == node {
            end(pair, reason: "connection reset by peer")
        }
    }

    /// The link breaks, and both ends notice.
    package func cut(_ a: NodeID, _ b: NodeID) {
        cut.insert(Pair(a, b))
        end(Pair(a, b), reason: "connection reset")
    }

    package func heal(_ a: NodeID, _ b: NodeID) {
        let pair = Pair(a, b)
        cut.remove(pair)
        let held = stalled.removeValue(forKey: pair) ?? []
        executor.perform { for deliver in held { deliver() } }
        connect(a, b)
    }

    /// A cable is pulled: both ends notice only by silence.
    package func stall(_ a: NodeID, _ b: NodeID) {
        let pair = Pair(a, b)
        guard stalled[pair] == nil, !cut.contains(pair) else { return }
        stalled[pair] = []
        let life = lives[pair]
        executor.schedule(after: Self.silence) { [self] in
            guard stalled[pair] != nil, lives[pair] == life else { return }
            end(pair, reason: "silence")
        }
    }

    private func connect(_ a: NodeID, _ b: NodeID) {
        let pair = Pair(a, b)
        executor.schedule(after: executor.random(1_000_000...20_000_000)) { [self] in
            guard !up.contains(pair), !cut.contains(pair), stalled[pair] == nil, let first = ends[pair.a],
                let second = ends[pair.b]
            else { return }
            // A transport tells the end of a link before the next begins.
            tellEnd(Side(node: pair.a, other: pair.b), reason: "replaced")
            tellEnd(Side(node: pair.b, other: pair.a), reason: "replaced")
            up.insert(pair)
            lives[pair, default: 0] += 1
            let (one, two) = (first.identity(), second.identity())
            trace?("\(executor.now) link \(pair.a) \(pair.b)")
            told.formUnion([Side(node: pair.a, other: pair.b), Side(node: pair.b, other: pair.a)])
            first.linkUp(Self.peer(two))
            second.linkUp(Self.peer(one))
        }
    }

    private func tellEnd(_ side: Side, reason: String) {
        guard told.remove(side) != nil else { return }
        ends[side.node]?.linkDown(side.other, reason: reason)
    }

    private static func peer(_ identity: LinkIdentity) -> LinkPeer {
        LinkPeer(
            node: identity.node, store: identity.store, epoch: identity.epoch, clusterID: identity.clusterID,
            address: identity.address)
    }

    fileprivate func end(_ pair: Pair, reason: String) {
        if stalled[pair] != nil { stalled[pair] = [] }
        guard up.remove(pair) != nil else { return }
        lives[pair, default: 0] += 1
        trace?("\(executor.now) unlink \(pair.a) \(pair.b)")
        let life = lives[pair]
        for side in [Side(node: pair.a, other: pair.b), Side(node: pair.b, other: pair.a)] {
            executor.schedule(after: executor.random(0...5_000_000)) { [self] in
                if lives[pair] == life { tellEnd(side, reason: reason) }
            }
        }
        if ends[pair.a] != nil, ends[pair.b] != nil {
            executor.schedule(after: 100_000_000) { [self] in connect(pair.a, pair.b) }
        }
    }

    fileprivate func send(_ list: [PeerFrame], from: NodeID, to: NodeID, lane: PeerLane) -> Bool {
        let pair = Pair(from, to)
        guard up.contains(pair) else { return false }
        var wire = ByteBuffer()
        for frame in list { PeerFrameCodec.encode(frame, into: &wire) }
        let key = Lane(from: from, to: to, lane: lane)
        // Later than all before it: events of one instant have no order.
        let time = max(executor.now + executor.random(50_000...1_000_000), (arrival[key] ?? 0) + 1)
        arrival[key] = time
        let life = lives[pair] ?? 0
        let sent = wire
        executor.schedule(after: time - executor.now) { [self] in
            if stalled[pair] != nil {
                stalled[pair]?.append { [self] in arrive(sent, from: from, to: to, lane: lane, life: life) }
            } else {
                arrive(sent, from: from, to: to, lane: lane, life: life)
            }
        }
        return true
    }

    private func arrive(_ wire: ByteBuffer, from: NodeID, to: NodeID, lane: PeerLane, life: UInt64) {
        let pair = Pair(from, to)
        guard up.contains(pair), lives[pair] == life, let end = ends[to] else { return }
        var bytes = wire
        var decoded: [PeerFrame] = []
        do {
            while var body = try PeerFrameCodec.nextFrame(from: &bytes) {
                decoded.append(try PeerFrameCodec.decode(&body))
            }
        } catch {
            undecodable += 1
            return
        }
        frames += UInt64(decoded.count)
        trace?("\(executor.now) \(from)>\(to) \(lane.rawValue) \(wire.readableBytes) \(Self.digest(wire))")
        end.received(decoded, from: from)
    }

    private static func digest(_ buffer: ByteBuffer) -> String {
        String(StableHash.of(buffer.readableBytesView), radix: 16)
    }
}

private final class SimulationTransport: Transport {
    private let node: NodeID
    private let network: SimulationNetwork

    init(node: NodeID, network: SimulationNetwork) {
        self.node = node
        self.network = network
    }

    func send(_ frames: [PeerFrame], to other: NodeID, lane: PeerLane) -> Bool {
        network.send(frames, from: node, to: other, lane: lane)
    }
    func queuedBytes(to node: NodeID) -> Int { 0 }
    func reset(_ other: NodeID, reason: String) {
        network.executor.schedule(after: 0) { [network, node] in
            network.end(SimulationNetwork.Pair(node, other), reason: reason)
        }
    }
    func linkInfo() -> [LinkInfo] { [] }
}
