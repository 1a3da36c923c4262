import NIOCore
import RoostCluster
package import RoostModel
package import RoostNode
package import RoostProtocol

/// The links between simulated nodes: frames go through the real codec, in order on each lane, with a delay drawn for
/// each batch. A link can break, be cut, fall silent in one direction or both, or be slow; a killed node's links break
/// after a while, as a kernel's would.
package final class SimulationNetwork: @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    fileprivate struct Pair: Hashable {
        var a: NodeID
        var b: NodeID
        init(_ x: NodeID, _ y: NodeID) {
            a = min(x, y)
            b = max(x, y)
        }
        var sides: [Side] { [Side(node: a, other: b), Side(node: b, other: a)] }
    }
    /// One end of a pair; or a direction, from `node` to `other`.
    fileprivate struct Side: Hashable {
        var node: NodeID
        var other: NodeID
    }
    fileprivate struct Lane: Hashable {
        var side: Side
        var lane: PeerLane
    }
    private struct Batch {
        var wire: ByteBuffer
        var side: Side
        var lane: PeerLane
        var life: UInt64
    }

    fileprivate let executor: SimulationExecutor
    private var ends: [NodeID: any LinkEvents] = [:]
    /// Which life of a link it is: what was sent on an older one never arrives.
    private var lives: [Pair: UInt64] = [:]
    private var up: Set<Pair> = []
    private var cut: Set<Pair> = []
    /// Directions in which nothing arrives, and nobody is told.
    private var silent: Set<Side> = []
    /// Processes that stand still.
    private var frozen: Set<NodeID> = []
    /// What was sent in silence, until that or the link ends.
    private var held: [Pair: [Batch]] = [:]
    /// Which silence of a pair it is.
    private var silences: [Pair: UInt64] = [:]
    /// Ends that were told of a link and not of its end.
    private var told: Set<Side> = []
    private var untold: [NodeID: [(other: NodeID, reason: String)]] = [:]
    private var arrival: [Lane: UInt64] = [:]
    private var slow: [Side: ClosedRange<UInt64>] = [:]
    /// Directions whose next delivery is lost within the sender.
    private var losing: Set<Side> = []
    /// The last batches that arrived on a link, to come again when it is made anew.
    private var recent: [Side: [ByteBuffer]] = [:]

    /// Nanoseconds from sending to arriving, where the link is not slow.
    package var latency: ClosedRange<UInt64> = 50_000...1_000_000
    /// In a thousand: how often what was last sent on a link is sent again on the next.
    package var duplicates: UInt64 = 0
    /// A line of everything that arrives, where it is wanted.
    package var trace: ((String) -> Void)?
    /// Everything handed over, when it is.
    package var onSend: ((_ from: NodeID, _ to: NodeID, _ frames: [PeerFrame]) -> Void)?
    package private(set) var undecodable = 0
    package private(set) var frames: UInt64 = 0

    /// After this a link on which nothing arrives is given up, in nanoseconds.
    package static let silence: UInt64 = 5_000_000_000

    package init(executor: SimulationExecutor) { self.executor = executor }

    package func transport(of node: NodeID) -> any Transport { SimulationTransport(node: node, network: self) }

    // MARK: Nodes

    /// The node lives: links to all others are made.
    package func attach(_ node: NodeID, _ events: any LinkEvents) {
        ends[node] = events
        for other in ends.keys.sorted() where other != node { connect(Pair(node, other)) }
    }

    /// The node is gone: the others notice a broken link, or silence where nothing arrives.
    package func detach(_ node: NodeID) {
        ends[node] = nil
        untold[node] = nil
        frozen.remove(node)
        told = told.filter { $0.node != node }
        for pair in up.sorted(by: { ($0.a, $0.b) < ($1.a, $1.b) }) where pair.a == node || pair.b == node {
            end(pair, reason: "connection reset by peer")
        }
    }

    /// The process stands still: it takes nothing in, and the others notice only by silence.
    package func freeze(_ node: NodeID) {
        guard ends[node] != nil, frozen.insert(node).inserted else { return }
        for other in ends.keys.sorted() where other != node { blockageChanged(Pair(node, other)) }
    }

    package func thaw(_ node: NodeID) {
        guard frozen.remove(node) != nil else { return }
        executor.perform {
            for (other, reason) in untold.removeValue(forKey: node) ?? [] {
                ends[node]?.linkDown(other, reason: reason)
            }
        }
        for other in ends.keys.sorted() where other != node { blockageChanged(Pair(node, other)) }
    }

    // MARK: Links

    /// The connection is lost, and made anew.
    package func drop(_ a: NodeID, _ b: NodeID) { end(Pair(a, b), reason: "connection reset") }

    /// The link breaks, and both ends notice.
    package func cut(_ a: NodeID, _ b: NodeID) {
        cut.insert(Pair(a, b))
        end(Pair(a, b), reason: "connection reset")
    }

    /// A cable is pulled: both ends notice only by silence.
    package func stall(_ a: NodeID, _ b: NodeID) {
        silent.formUnion(Pair(a, b).sides)
        blockageChanged(Pair(a, b))
    }

    /// Nothing arrives in one direction.
    package func mute(from: NodeID, to: NodeID) {
        silent.insert(Side(node: from, other: to))
        blockageChanged(Pair(from, to))
    }

    package func slow(from: NodeID, to: NodeID, _ delay: ClosedRange<UInt64>?) {
        slow[Side(node: from, other: to)] = delay
    }

    /// The next delivery is lost, and nobody is told: no link breaks.
    package func loseDelivery(from: NodeID, to: NodeID) { losing.insert(Side(node: from, other: to)) }
    package func loseNone() { losing.removeAll() }

    /// Ends a cut, a stall and a muting, whichever there is.
    package func heal(_ a: NodeID, _ b: NodeID) {
        let pair = Pair(a, b)
        cut.remove(pair)
        silent.subtract(pair.sides)
        blockageChanged(pair)
    }

    private func isBlocked(_ side: Side) -> Bool {
        silent.contains(side) || frozen.contains(side.node) || frozen.contains(side.other)
    }

    private func blockageChanged(_ pair: Pair) {
        guard pair.sides.contains(where: { isBlocked($0) }) else {
            silences[pair, default: 0] += 1
            release(pair)
            connect(pair)
            return
        }
        let silence = silences[pair, default: 0]
        let life = lives[pair]
        executor.schedule(after: Self.silence) { [self] in
            guard silences[pair, default: 0] == silence, lives[pair] == life else { return }
            end(pair, reason: "silence")
        }
        release(pair)
    }

    /// What may arrive by now.
    private func release(_ pair: Pair) {
        guard let batches = held.removeValue(forKey: pair) else { return }
        held[pair] = batches.filter { isBlocked($0.side) }
        executor.perform { for batch in batches where !isBlocked(batch.side) { arrive(batch) } }
    }

    private func connect(_ pair: Pair) {
        executor.schedule(after: executor.random(1_000_000...20_000_000)) { [self] in
            guard !up.contains(pair), !cut.contains(pair), !pair.sides.contains(where: { isBlocked($0) }),
                let first = ends[pair.a], let second = ends[pair.b]
            else { return }
            let (one, two) = (first.identity(), second.identity())
            let refusals = [
                Self.refusal(of: two, at: one, .dialled(pair.b)), Self.refusal(of: one, at: two, .accepted),
            ]
            guard refusals == [nil, nil] else {
                trace?("refused \(pair.a) \(pair.b)")
                if refusals[0]?.code == .removedNode { second.refusedAsRemoved() }
                if refusals[1]?.code == .removedNode { first.refusedAsRemoved() }
                executor.schedule(after: 1_000_000_000) { [self] in connect(pair) }
                return
            }
            // A transport tells the end of a link before the next begins.
            for side in pair.sides { tellEnd(side, reason: "replaced") }
            up.insert(pair)
            lives[pair, default: 0] += 1
            for lane in PeerLane.allCases { for side in pair.sides { arrival[Lane(side: side, lane: lane)] = nil } }
            trace?("link \(pair.a) \(pair.b)")
            told.formUnion(pair.sides)
            first.linkUp(Self.peer(two))
            second.linkUp(Self.peer(one))
            repeatRecent(pair)
        }
    }

    /// What was sent last on the former link may come again: a sender can't know that it arrived.
    private func repeatRecent(_ pair: Pair) {
        for side in pair.sides {
            let batches = recent.removeValue(forKey: side) ?? []
            guard duplicates > 0, executor.random(0...999) < duplicates else { continue }
            let life = lives[pair] ?? 0
            for wire in batches { deliver(Batch(wire: wire, side: side, lane: .bulk, life: life)) }
        }
    }

    /// By the rules that hold between real nodes.
    private static func refusal(
        of guest: LinkIdentity, at host: LinkIdentity, _ role: LinkRules.Role
    ) -> HandshakeRefusal? {
        var rules = LinkRules(
            cluster: host.cluster, clusterID: host.clusterID, node: host.node, store: host.store, epoch: host.epoch,
            minVersion: 1, maxVersion: 1, address: host.address, knownNodes: Array(host.peers.keys))
        rules.removedNodes = host.removed
        let hello = HandshakeHello(
            minVersion: 1, maxVersion: 1, cluster: guest.cluster, clusterID: guest.clusterID, node: guest.node,
            store: guest.store, epoch: guest.epoch, lane: .bulk, address: guest.address)
        if case .refuse(let refusal) = rules.decide(hello, role: role, latestEpoch: nil) { return refusal }
        return nil
    }

    private func tellEnd(_ side: Side, reason: String) {
        guard told.remove(side) != nil else { return }
        if frozen.contains(side.node) {
            untold[side.node, default: []].append((side.other, reason))
        } else {
            ends[side.node]?.linkDown(side.other, reason: reason)
        }
    }

    private static func peer(_ identity: LinkIdentity) -> LinkPeer {
        LinkPeer(
            node: identity.node, store: identity.store, epoch: identity.epoch, clusterID: identity.clusterID,
            address: identity.address)
    }

    fileprivate func reset(_ a: NodeID, _ b: NodeID, reason: String) {
        executor.schedule(after: 0) { [self] in
            let pair = Pair(a, b)
            // The other end may be gone without this one's having heard it.
            if up.contains(pair) { end(pair, reason: reason) } else { tellEnd(Side(node: a, other: b), reason: reason) }
        }
    }

    /// Links to nodes that are none of the cluster's any more end.
    fileprivate func peersChanged(of node: NodeID) {
        guard let known = ends[node]?.identity().peers else { return }
        for pair in up.sorted(by: { ($0.a, $0.b) < ($1.a, $1.b) }) where pair.a == node || pair.b == node {
            let other = pair.a == node ? pair.b : pair.a
            if known[other] == nil { reset(node, other, reason: "not of the cluster any more") }
        }
    }

    private func end(_ pair: Pair, reason: String) {
        held[pair] = nil
        guard up.remove(pair) != nil else { return }
        lives[pair, default: 0] += 1
        trace?("unlink \(pair.a) \(pair.b): \(reason)")
        let life = lives[pair]
        for side in pair.sides {
            // The kernel of one that is gone says so, where that arrives.
            let isMute = ends[side.other] == nil && silent.contains(Side(node: side.other, other: side.node))
            executor.schedule(after: isMute ? Self.silence : executor.random(0...5_000_000)) { [self] in
                if lives[pair] == life { tellEnd(side, reason: reason) }
            }
        }
        if ends[pair.a] != nil, ends[pair.b] != nil {
            executor.schedule(after: 100_000_000) { [self] in connect(pair) }
        }
    }

    // MARK: Frames

    fileprivate func send(_ list: [PeerFrame], from: NodeID, to: NodeID, lane: PeerLane) -> Bool {
        let pair = Pair(from, to)
        // Who has not heard of a link's end sends into nothing.
        guard up.contains(pair) else { return told.contains(Side(node: from, other: to)) }
        onSend?(from, to, list)
        let list = withoutLost(list, Side(node: from, other: to))
        var wire = ByteBuffer()
        for frame in list { PeerFrameCodec.encode(frame, into: &wire) }
        deliver(Batch(wire: wire, side: Side(node: from, other: to), lane: lane, life: lives[pair] ?? 0))
        if duplicates > 0 {
            var again = ByteBuffer()
            for frame in list where Self.mayComeTwice(frame) { PeerFrameCodec.encode(frame, into: &again) }
            if again.readableBytes > 0 {
                recent[Side(node: from, other: to), default: []].append(again)
                if recent[Side(node: from, other: to), default: []].count > 8 {
                    recent[Side(node: from, other: to)]?.removeFirst()
                }
            }
        }
        return true
    }

    private func withoutLost(_ list: [PeerFrame], _ side: Side) -> [PeerFrame] {
        guard losing.contains(side),
            let place = list.firstIndex(where: { if case .deliver = $0 { true } else { false } })
        else { return list }
        losing.remove(side)
        trace?("\(side.node) > \(side.other): a delivery is lost")
        var list = list
        list.remove(at: place)
        return list
    }

    /// Of the frames that a sender repeats when it has lost a link.
    private static func mayComeTwice(_ frame: PeerFrame) -> Bool {
        switch frame {
        case .raft, .propose, .proposalResults, .read, .readReplies, .acks: true
        default: false
        }
    }

    private func deliver(_ batch: Batch) {
        let key = Lane(side: batch.side, lane: batch.lane)
        // Later than all before it: events of one instant have no order.
        let delay = executor.random(slow[batch.side] ?? latency)
        let time = max(executor.now + delay, (arrival[key] ?? 0) + 1)
        arrival[key] = time
        executor.schedule(after: time - executor.now) { [self] in
            let pair = Pair(batch.side.node, batch.side.other)
            guard up.contains(pair), lives[pair] == batch.life else { return }
            // Behind what is held, so that a lane keeps its order.
            if isBlocked(batch.side) || held[pair]?.contains(where: { $0.side == batch.side }) == true {
                held[pair, default: []].append(batch)
            } else {
                arrive(batch)
            }
        }
    }

    private func arrive(_ batch: Batch) {
        let pair = Pair(batch.side.node, batch.side.other)
        guard up.contains(pair), lives[pair] == batch.life, let end = ends[batch.side.other] else { return }
        var bytes = batch.wire
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
        trace?(
            "\(batch.side.node) > \(batch.side.other) \(batch.lane.rawValue) \(batch.wire.readableBytes) bytes "
                + "\(Self.digest(batch.wire)):\(decoded.map { " " + $0.traceName }.joined())")
        end.received(decoded, from: batch.side.node)
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
    func reset(_ other: NodeID, reason: String) { network.reset(node, other, reason: reason) }
    func linkInfo() -> [LinkInfo] { [] }
    func peersChanged() { network.peersChanged(of: node) }
}
