internal import Logging
internal import NIOCore
internal import NIOTLS
internal import RoostCluster
internal import RoostModel
internal import RoostNode
internal import RoostProtocol

/// One connection between two nodes: first the handshake, within a deadline and a few hundred bytes, then frames.
final class PeerLaneHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase {
        case shaking(PeerHandshake)
        /// Shaken hands; nothing is read until the other lane is there, too.
        case ready
        case open(PeerLink)
        case closed
    }

    private let links: PeerLinks
    private let failed: (String) -> Void
    private let isAccepted: Bool
    private var phase: Phase
    private var counted = false
    private var context: ChannelHandlerContext?
    private var buffer = ByteBuffer()
    private var frames: [PeerFrame] = []
    private var readBytes = 0
    private var link: PeerLink?
    private var deadline: Scheduled<Void>?
    /// When bytes came last.
    private(set) var lastHeard = NIODeadline.now()

    init(accepting links: PeerLinks) {
        self.links = links
        phase = .shaking(PeerHandshake(accepting: links.secret?.exchange(dials: false)))
        isAccepted = true
        failed = { _ in }
    }

    /// - Parameter failed: called at most once, where the lane ends before the handshake is over.
    init(
        dialling node: NodeID, lane: PeerLane, links: PeerLinks, looks: Bool = false,
        failed: @escaping (String) -> Void
    ) {
        self.links = links
        let exchange = links.secret?.exchange(dials: true)
        phase = .shaking(PeerHandshake(dialling: node, lane: lane, looks: looks, exchange))
        isAccepted = false
        self.failed = failed
    }

    var queuedBytes: Int {
        (try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    // MARK: The connection

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { began(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        began(context)
        context.fireChannelActive()
    }

    private func began(_ context: ChannelHandlerContext) {
        lastHeard = .now()
        if isAccepted {
            guard links.beginHandshake() else { return end("too many handshakes are under way") }
            counted = true
        }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: links.limits.handshake) {
            bound.value.shake { handshake, _ in handshake.tookTooLong() }
        }
        if links.tls == nil { shake { $0.begin($1) } }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted? = event as? TLSUserEvent { secured(context) }
        context.fireUserInboundEventTriggered(event)
    }

    private func secured(_ context: ChannelHandlerContext) {
        do throws(CertificateError) {
            let names = try PeerTLS.names(of: context.channel)
            shake { $0.begin(certified: names, $1) }
        } catch {
            shake { handshake, _ in handshake.distrust(error.description) }
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        end("closed by the other end")
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end("closed by the other end")
        self.context = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let reason = ConnectionTrouble.text(error)
        // Who dials a wrong port, or tries, is not told why; the operator is.
        if case .shaking = phase, isAccepted, TLSTrouble.text(error) != nil {
            links.warn(source, "connection to the peer port closed: \(reason)")
        }
        end(reason)
    }

    func close() { end("closed by this node") }

    private func end(_ reason: String) {
        let former = phase
        if case .closed = former { return }
        phase = .closed
        leaveHandshake()
        context?.close(promise: nil)
        buffer = ByteBuffer()
        switch former {
        case .shaking: failed(reason)
        case .ready, .open: link?.laneEnded(self, reason)
        case .closed: break
        }
        link = nil
    }

    private func leaveHandshake() {
        deadline?.cancel()
        if counted { links.handshakeEnded() }
        counted = false
    }

    // MARK: Reading

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .closed = phase { return }
        let bytes = unwrapInboundIn(data)
        lastHeard = .now()
        readBytes += bytes.readableBytes
        if buffer.readableBytes == 0 { buffer = bytes } else { buffer.writeImmutableBuffer(bytes) }
        do throws(PeerCodecError) {
            try parse()
        } catch {
            guard !isTLS else {
                let reason = "the other end speaks TLS, and this node does not: see security.peer_tls"
                links.warn(source, "connection closed: \(reason)")
                return end(reason)
            }
            links.warn(source, "nonsense on the peer port, connection closed: \(error)")
            end("nonsense received: \(error)")
        }
    }

    /// What came begins like a handshake or an alert of TLS.
    private var isTLS: Bool {
        guard links.tls == nil, let first = buffer.getBytes(at: buffer.readerIndex, length: 2) else { return false }
        return first == [0x16, 3] || first == [0x15, 3]
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        deliver()
        context.fireChannelReadComplete()
    }

    private func parse() throws(PeerCodecError) {
        switch phase {
        case .shaking:
            guard let frame = try HandshakeCodec.nextFrame(from: &buffer) else { return }
            let challenged = isChallenged
            shake { $0.received(frame, challenged: challenged, $1) }
            try parse()
        case .ready, .closed: break
        case .open(let link):
            while var body = try PeerFrameCodec.nextFrame(from: &buffer) {
                take(try PeerFrameCodec.decode(&body), link)
            }
            if buffer.readableBytes == 0 { buffer = ByteBuffer() } else { buffer.discardReadBytes() }
        }
    }

    private func deliver() {
        guard case .open(let link) = phase else { return }
        let batch = frames
        let bytes = readBytes
        frames.removeAll(keepingCapacity: true)
        readBytes = 0
        link.received(batch, bytes: bytes)
    }

    private func take(_ frame: PeerFrame, _ link: PeerLink) {
        switch frame {
        case .linkPing(let token):
            var answer = ByteBuffer()
            PeerFrameCodec.encode(.linkPong(token: token), into: &answer)
            send(answer)
        case .linkPong(let token):
            let sent = NIODeadline.uptimeNanoseconds(token)
            if sent <= .now() { link.measured(roundTrip: .now() - sent) }
        default: frames.append(frame)
        }
    }

    // MARK: Handshake

    /// Whether a challenge is there already.
    private var isChallenged: Bool {
        var rest = buffer
        if case .challenge? = try? HandshakeCodec.nextFrame(from: &rest) { return true }
        return false
    }

    private func shake(_ event: (inout PeerHandshake, PeerHandshake.Knowledge?) -> [PeerHandshake.Step]) {
        guard case .shaking(var handshake) = phase else { return }
        let steps = event(&handshake, links.knowledge)
        phase = .shaking(handshake)
        for step in steps { perform(step) }
    }

    private func perform(_ step: PeerHandshake.Step) {
        switch step {
        case .say(let frames): write(frames)
        case .warn(let text): links.warn(source, text)
        case .ready(let hello):
            leaveHandshake()
            phase = .ready
            // What follows waits in the kernel until the link is whole.
            setReading(false)
            links.adopt(self, hello)
        case .takeIn(let hello): takeIn(hello)
        case .found(let hello): links.found(hello)
        case .removed: links.events?.refusedAsRemoved()
        case .end(let reason): end(reason)
        }
    }

    /// The node decides, which takes as long as its leaders do.
    private func takeIn(_ hello: JoinHello) {
        deadline?.cancel()
        guard let context, let events = links.events else { return end("this node is going down") }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        events.join(hello.member) { bound.value.answer(hello.member.node, $0) }
    }

    private func answer(_ node: NodeID, _ result: Result<JoinGrant, RingRefusal>) {
        shake { handshake, _ in
            switch result {
            case .success(let grant):
                links.logger.notice("\(node) was taken into the cluster")
                return handshake.answer(.joined(grant.record, grant.ring))
            case .failure(let refusal):
                return handshake.answer(
                    .refuse(
                        HandshakeRefusal(
                            code: refusal.retry ? .notTakenInNow : .notTakenIn,
                            text: "\(node) is not taken in: \(refusal.reason)")))
            }
        }
    }

    /// Both lanes are there.
    func open(_ link: PeerLink) {
        guard case .ready = phase else { return }
        phase = .open(link)
        lastHeard = .now()
        setReading(true)
        do throws(PeerCodecError) {
            try parse()
            deliver()
        } catch {
            end("nonsense received: \(error)")
        }
    }

    /// The link this lane belongs to, from its adoption on.
    func join(_ link: PeerLink) { self.link = link }

    // MARK: Writing

    func send(_ buffer: ByteBuffer) {
        context?.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }

    func ping(_ now: NIODeadline) {
        var buffer = ByteBuffer()
        PeerFrameCodec.encode(.linkPing(token: now.uptimeNanoseconds), into: &buffer)
        send(buffer)
    }

    private func write(_ frames: [HandshakeFrame]) {
        var buffer = ByteBuffer()
        for frame in frames { HandshakeCodec.encode(frame, into: &buffer) }
        send(buffer)
    }

    private func setReading(_ reading: Bool) {
        _ = context?.channel.setOption(.autoRead, value: reading)
    }

    /// For the log: the other end's address without its port, which changes with every connection.
    private var source: String { context?.channel.remoteAddress?.ipAddress ?? "unknown" }
}
