internal import Foundation
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import RoostModel
internal import RoostNode
internal import RoostProtocol

/// The link to one node: two lanes that stand and fall together. It is up when both are, to the same life of the
/// other node.
final class PeerLink {
    let node: NodeID
    private let links: PeerLinks
    /// This end dials.
    private let dials: Bool
    private var lanes: [PeerLane: PeerLaneHandler] = [:]
    /// Whom the lanes reach.
    private var hello: HandshakeHello?
    private(set) var isUp = false
    private(set) var latestEpoch: Epoch?
    private var isStopped = false

    // Dialling.
    private var attempts = 0
    /// Once for each time without a link.
    private var saidUnreached = false
    /// Failures in a row before that is said: a node that starts at the same time has had its time by then.
    private static let quietAttempts = 8
    /// Counts dialling rounds: what belongs to a former one is void.
    private var round = 0
    /// Since when it waits to be dialled, or has looked last.
    private var waitingSince: NIODeadline?
    private var looks = 0
    /// Connections of this round that have not shaken hands.
    private var dialling: [PeerLaneHandler] = []
    private var redial: Scheduled<Void>?
    /// While only one lane is there.
    private var halfDeadline: Scheduled<Void>?

    // Counters over all connections.
    private var bytesIn: UInt64 = 0
    private var bytesOut: UInt64 = 0
    private var framesIn: UInt64 = 0
    private var framesOut: UInt64 = 0
    private var roundTripMicroseconds: UInt64?
    private var lastError: String?

    init(node: NodeID, links: PeerLinks, dials: Bool) {
        self.node = node
        self.links = links
        self.dials = dials
    }

    func start() {
        if dials { dial() }
    }

    func stop() {
        isStopped = true
        redial?.cancel()
        end("this node is going down")
    }

    var info: LinkInfo {
        LinkInfo(
            node: node, connected: isUp, store: hello?.store, epoch: hello?.epoch, bytesIn: bytesIn,
            bytesOut: bytesOut, framesIn: framesIn, framesOut: framesOut, queuedBytes: queuedBytes,
            roundTripMicroseconds: roundTripMicroseconds, lastError: lastError)
    }

    var queuedBytes: Int { lanes.values.reduce(0) { $0 + $1.queuedBytes } }

    // MARK: Frames

    func send(_ frames: [PeerFrame], lane: PeerLane) -> Bool {
        guard isUp, let handler = lanes[lane] else { return false }
        var buffer = ByteBuffer()
        for frame in frames {
            guard PeerFrameCodec.encode(frame, into: &buffer) else {
                // Left out, as if it had got lost: sent again and again, it would end every link.
                links.warn(node.name, "a frame above \(PeerFrameCodec.maxFrame) bytes was not sent")
                continue
            }
        }
        guard handler.queuedBytes + buffer.readableBytes <= links.limits.maxQueueBytes else { return false }
        framesOut += UInt64(frames.count)
        bytesOut += UInt64(buffer.readableBytes)
        handler.send(buffer)
        return true
    }

    func received(_ frames: [PeerFrame], bytes: Int) {
        framesIn += UInt64(frames.count)
        bytesIn += UInt64(bytes)
        if isUp, !frames.isEmpty { links.events?.received(frames, from: node) }
    }

    func measured(roundTrip: TimeAmount) {
        roundTripMicroseconds = UInt64(max(0, roundTrip.nanoseconds / 1_000))
    }

    /// While only one lane is there nothing is heard on it: that has a deadline of its own.
    func tick(_ now: NIODeadline, judges: Bool) {
        guard isUp else { return }
        for lane in PeerLane.allCases {
            guard let handler = lanes[lane] else { continue }
            if judges, now - handler.lastHeard > links.limits.silence {
                return end("nothing heard for \(links.limits.silence.nanoseconds / 1_000_000_000) s")
            }
            handler.ping(now)
        }
    }

    /// A node that waits to be dialled, and is not, asks whether it is still known: one that was removed hears so.
    func lookForIt(_ now: NIODeadline) {
        guard !dials, !isUp, !isStopped else {
            waitingSince = nil
            return
        }
        let since = waitingSince ?? now
        waitingSince = since
        let usual = links.limits.lookAfter
        let patience = links.hasMoved ? .nanoseconds(usual.nanoseconds / 10) : usual
        guard now - since >= patience,
            let (host, port) = links.address(of: node, attempt: looks).flatMap(Self.split)
        else { return }
        waitingSince = now
        looks += 1
        dial(.control, host, port, round: nil)
    }

    // MARK: Lanes

    func adopt(_ handler: PeerLaneHandler, _ hello: HandshakeHello) {
        guard !isStopped else { return handler.close() }
        latestEpoch = max(latestEpoch ?? 0, hello.epoch)
        let sameLife = self.hello.map { $0.store == hello.store && $0.epoch == hello.epoch } ?? true
        if !sameLife || lanes[hello.lane] != nil {
            // Another life, or the other end has lost this lane before we noticed.
            end("replaced by a newer connection", redialling: false)
        }
        self.hello = hello
        lanes[hello.lane] = handler
        handler.join(self)
        guard lanes.count == PeerLane.allCases.count else { return awaitOtherLane() }
        halfDeadline?.cancel()
        dialling.removeAll()
        isUp = true
        attempts = 0
        saidUnreached = false
        lastError = nil
        links.events?.linkUp(
            LinkPeer(
                node: node, store: hello.store, epoch: hello.epoch, clusterID: hello.clusterID, address: hello.address))
        // The callback may have ended it.
        for lane in PeerLane.allCases { lanes[lane]?.open(self) }
    }

    /// A connection of this link has ended, whoever ended it.
    func laneEnded(_ handler: PeerLaneHandler, _ reason: String) {
        guard lanes.values.contains(where: { $0 === handler }) else { return }
        end(reason)
    }

    /// Ends the link where it stands; one that is being made goes on.
    func reset(_ reason: String) {
        if isUp { end(reason) }
    }

    /// Ends what there is of the link, and dials anew if this end dials.
    func end(_ reason: String, redialling: Bool = true) {
        halfDeadline?.cancel()
        round += 1
        let former = lanes
        lanes.removeAll()
        for handler in dialling { handler.close() }
        dialling.removeAll()
        hello = nil
        let wasUp = isUp
        isUp = false
        roundTripMicroseconds = nil
        lastError = reason
        for lane in PeerLane.allCases { former[lane]?.close() }
        if wasUp { links.events?.linkDown(node, reason: reason) }
        if redialling { dialLater() }
    }

    private func awaitOtherLane() {
        let bound = NIOLoopBound(self, eventLoop: links.loop)
        halfDeadline = links.loop.scheduleTask(in: links.limits.handshake + links.limits.connect) {
            bound.value.end("only one lane was made in time")
        }
    }

    // MARK: Dialling

    private var address: String { links.address(of: node) ?? "none" }

    private func dialLater() {
        guard dials, !isStopped else { return }
        redial?.cancel()
        let shift = min(attempts, 10)
        attempts += 1
        let delay = min(links.limits.minBackoff * (1 << shift), links.limits.maxBackoff)
        let bound = NIOLoopBound(self, eventLoop: links.loop)
        redial = links.loop.scheduleTask(in: links.jittered(delay)) { bound.value.dial() }
    }

    private func dial() {
        guard !isStopped else { return }
        guard let (host, port) = links.address(of: node, attempt: max(0, attempts - 1)).flatMap(Self.split) else {
            lastError = "no address is known"
            return dialLater()
        }
        round += 1
        for lane in PeerLane.allCases { dial(lane, host, port, round: round) }
    }

    /// - Parameter round: nil where what becomes of it is of no interest.
    private func dial(_ lane: PeerLane, _ host: String, _ port: Int, round: Int?) {
        let bound = NIOLoopBound((link: self, links: links), eventLoop: links.loop)
        let node = node
        ClientBootstrap(group: links.loop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.recvAllocator, value: PeerLinks.recvAllocator)
            .connectTimeout(links.limits.connect)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let (link, links) = bound.value
                    let handler = PeerLaneHandler(
                        dialling: node, lane: lane, links: links, looks: round == nil
                    ) { reason in
                        link.failed(reason, round: round)
                    }
                    guard round == nil || link.register(handler, round: round) else {
                        throw ChannelError.connectPending
                    }
                    let pipeline = channel.pipeline.syncOperations
                    if let tls = links.tls { try pipeline.addHandler(tls.dialling()) }
                    try pipeline.addHandler(handler)
                }
            }
            .connect(host: host, port: port)
            .whenFailure { error in bound.value.link.failed(ConnectionTrouble.text(error), round: round) }
    }

    /// False where the round is over.
    private func register(_ handler: PeerLaneHandler, round: Int?) -> Bool {
        guard round == self.round, !isStopped else { return false }
        dialling.append(handler)
        return true
    }

    /// A lane could not be made: one retry for both, whatever became of the other.
    private func failed(_ reason: String, round: Int?) {
        guard round == self.round, !isUp else { return }
        if attempts >= Self.quietAttempts, !saidUnreached, !isStopped {
            saidUnreached = true
            links.logger.warning("\(node): not reached: \(reason); trying on", metadata: ["address": "\(address)"])
        }
        end(reason)
    }

    /// `host:port` or `[host]:port`.
    static func split(_ address: String) -> (host: String, port: Int)? {
        guard let colon = address.lastIndex(of: ":"), let port = Int(address[address.index(after: colon)...]),
            (1...65_535).contains(port)
        else { return nil }
        var host = address[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        return host.isEmpty ? nil : (String(host), port)
    }
}
