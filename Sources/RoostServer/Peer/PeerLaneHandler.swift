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
        /// We sent a hello, and the other end's is due.
        case dialled(NodeID, PeerLane)
        /// The other end's hello is due.
        case accepted
        /// Both ends have said who they are; that the other knows the secret is to be proved.
        case proving(HandshakeHello)
        /// We refuse, and prove that it is we who do.
        case refusing(HandshakeRefusal)
        /// We were refused; that it was the other end is to be proved.
        case refused(HandshakeRefusal)
        /// A blank node wants to be taken in; its proof is due, and then the node's answer.
        case joining(JoinHello)
        /// Shaken hands; nothing is read until the other lane is there, too.
        case ready
        case open(PeerLink)
        case closed
    }

    private let links: PeerLinks
    private let failed: (String) -> Void
    /// Nil where this end was dialled.
    private let dialledNode: NodeID?
    /// To a node that should dial this one: no link comes of it.
    private let looks: Bool
    /// Told once it has proved who it is: it should wait to be dialled, at the address that it says.
    private var misdirected: HandshakeRefusal?
    private var phase: Phase
    private var counted = false
    private var context: ChannelHandlerContext?
    private var buffer = ByteBuffer()
    private var frames: [PeerFrame] = []
    private var readBytes = 0
    private var link: PeerLink?
    private var deadline: Scheduled<Void>?
    /// Where the cluster has a secret.
    private var exchange: SecretExchange?
    /// Whose certificate the other end has shown; nil without TLS.
    private var certified: [String]?
    /// When bytes came last.
    private(set) var lastHeard = NIODeadline.now()

    init(accepting links: PeerLinks) {
        self.links = links
        exchange = links.secret.map { SecretExchange($0, dials: false) }
        phase = .accepted
        dialledNode = nil
        looks = false
        failed = { _ in }
    }

    /// - Parameter failed: called at most once, where the lane ends before the handshake is over.
    init(
        dialling node: NodeID, lane: PeerLane, links: PeerLinks, looks: Bool = false,
        failed: @escaping (String) -> Void
    ) {
        self.looks = looks
        self.links = links
        exchange = links.secret.map { SecretExchange($0, dials: true) }
        phase = .dialled(node, lane)
        dialledNode = node
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
        if case .accepted = phase {
            guard links.beginHandshake() else { return end("too many handshakes are under way") }
            counted = true
        }
        if links.tls == nil { greet() }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: links.limits.handshake) {
            bound.value.tookTooLong()
        }
    }

    /// The dialling end's first word; with TLS once that has shaken hands.
    private func greet() {
        guard case .dialled(_, let lane) = phase else { return }
        guard let hello = links.hello(lane: lane, looks: looks) else { return end("this node is going down") }
        exchange?.ownWord = .hello(hello)
        write([.hello(hello)] + (exchange.map { [.challenge($0.challenge)] } ?? []))
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted? = event as? TLSUserEvent { secured(context) }
        context.fireUserInboundEventTriggered(event)
    }

    private func secured(_ context: ChannelHandlerContext) {
        do throws(CertificateError) {
            let names = try PeerTLS.names(of: context.channel)
            if let dialledNode, !names.contains(dialledNode.name) {
                throw CertificateError(
                    "the certificate there is of \(names.joined(separator: ", ")), not of \(dialledNode)")
            }
            certified = names
        } catch {
            links.warn(source, "connection closed: \(error)")
            return end(error.description)
        }
        greet()
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
        if case .accepted = phase, TLSTrouble.text(error) != nil {
            links.warn(source, "connection to the peer port closed: \(reason)")
        }
        end(reason)
    }

    func close() { end("closed by this node") }

    private func tookTooLong() {
        switch phase {
        case .proving where dialledNode != nil:
            end("the other end proves no cluster secret: see security.cluster_secret_file")
        case .proving, .joining:
            refuse(.secret, "this cluster has a secret, and this node proves none: see security.cluster_secret_file")
        case .refusing(let refusal): refuse(refusal.code, refusal.text)
        case .refused: end("refused, by one that proves no cluster secret")
        default: end("no handshake in time")
        }
    }

    private func end(_ reason: String) {
        let former = phase
        if case .closed = former { return }
        phase = .closed
        leaveHandshake()
        context?.close(promise: nil)
        buffer = ByteBuffer()
        switch former {
        case .dialled, .refused: failed(reason)
        case .ready, .open: link?.laneEnded(self, reason)
        case .proving where dialledNode != nil: failed(reason)
        case .accepted, .proving, .refusing, .joining, .closed: break
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
        guard certified == nil, let first = buffer.getBytes(at: buffer.readerIndex, length: 2) else { return false }
        return first == [0x16, 3] || first == [0x15, 3]
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        deliver()
        context.fireChannelReadComplete()
    }

    private func parse() throws(PeerCodecError) {
        switch phase {
        case .dialled, .accepted, .proving, .refusing, .refused, .joining:
            guard let frame = try HandshakeCodec.nextFrame(from: &buffer) else { return }
            take(frame)
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

    private func take(_ frame: HandshakeFrame) {
        switch (phase, frame) {
        case (.accepted, .hello(let hello)): judge(hello, .accepted, answering: true)
        case (.dialled(let node, let lane), .accept(let hello)):
            guard hello.lane == lane else { return end("the other end answered for another lane") }
            judge(hello, .dialled(node), answering: false)
        case (.accepted, .join(let hello)): begin(joining: hello)
        case (.proving, .challenge(let bytes)), (.joining, .challenge(let bytes)), (.refusing, .challenge(let bytes)),
            (.refused, .challenge(let bytes)):
            challenged(bytes)
        case (.proving(let hello), .proof(let bytes)): proved(hello, bytes)
        case (.joining(let hello), .proof(let bytes)): proved(hello, bytes)
        case (.refused(let refusal), .proof(let bytes)):
            guard let exchange, exchange.accepts(bytes) else { return tookTooLong() }
            wasRemoved(refusal)
        case (.dialled, .refuse(let refusal)) where refusal.code == .removedNode:
            // Only the one that was dialled is believed: whoever dials may be anybody. Nor may whoever answers there.
            guard exchange != nil else { return wasRemoved(refusal) }
            exchange?.theirWord = .refuse(refusal)
            phase = .refused(refusal)
        case (_, .refuse(let refusal)):
            // A node that looks for those it does not dial is told so.
            if refusal.code != .wrongDirection {
                links.warn(source, "the other end refused the link: \(refusal.text)")
            }
            end("refused: \(refusal.text)")
        default: end("a handshake out of order")
        }
    }

    private func wasRemoved(_ refusal: HandshakeRefusal) {
        links.warn(source, "the other end refused the link: \(refusal.text)")
        links.events?.refusedAsRemoved()
        end("refused: \(refusal.text)")
    }

    private func judge(_ hello: HandshakeHello, _ role: LinkRules.Role, answering: Bool) {
        switch links.judge(hello, role: role) {
        case .refuse(let refusal) where refusal.code == .removedNode && answering && exchange != nil:
            // It is believed what is proved; its challenge follows.
            exchange?.theirWord = .hello(hello)
            exchange?.ownWord = .refuse(refusal)
            phase = .refusing(refusal)
        case .refuse(let refusal) where refusal.code == .wrongDirection && answering && !hello.address.isEmpty:
            guard isCertified(hello.node) else { return }
            misdirected = refusal
            guard exchange != nil else { return redirect(hello, refusal) }
            exchange?.theirWord = .hello(hello)
            phase = .proving(hello)
        case .refuse(let refusal):
            if refusal.code != .wrongDirection {
                links.warn(source, "refused a link of \(hello.node): \(refusal.text)")
            }
            write([.refuse(refusal)])
            end("refused by this node: \(refusal.text)")
        case .accept:
            guard isCertified(hello.node) else { return }
            if exchange != nil {
                exchange?.theirWord = .hello(hello)
                phase = .proving(hello)
                return
            }
            if answering {
                if isChallenged {
                    return refuse(.secret, Self.noSecret)
                }
                guard let own = links.hello(lane: hello.lane) else { return end("this node is going down") }
                write([.accept(own)])
            }
            becomeReady(hello)
        }
    }

    /// Without TLS whoever says so; where it is another's certificate the connection is closed.
    private func isCertified(_ node: NodeID) -> Bool {
        guard let certified, !certified.contains(node.name) else { return true }
        refuse(.certificate, "the certificate is not \(node)'s")
        return false
    }

    /// It has moved, and is dialled where it is now.
    private func redirect(_ hello: HandshakeHello, _ refusal: HandshakeRefusal) {
        links.found(hello)
        write([.refuse(refusal)])
        end("refused by this node: \(refusal.text)")
    }

    private func becomeReady(_ hello: HandshakeHello) {
        leaveHandshake()
        phase = .ready
        // What follows waits in the kernel until the link is whole.
        setReading(false)
        links.adopt(self, hello)
    }

    private func refuse(_ code: HandshakeRefusal.Code, _ text: String) {
        links.warn(source, "refused a connection: \(text)")
        write([.refuse(HandshakeRefusal(code: code, text: text))])
        end("refused by this node: \(text)")
    }

    // MARK: The secret

    private func challenged(_ bytes: [UInt8]) {
        guard exchange != nil else { return refuse(.secret, Self.noSecret) }
        guard exchange?.theirChallenge == nil else { return end("a handshake out of order") }
        exchange?.theirChallenge = bytes
        switch phase {
        // The dialling end waits for the proof that follows.
        case .proving(let hello) where dialledNode == nil:
            guard let own = links.hello(lane: hello.lane) else { return end("this node is going down") }
            exchange?.ownWord = .accept(own)
            answer([.accept(own)])
        case .joining: answer([])
        case .refusing(let refusal):
            links.warn(source, "refused a link: \(refusal.text)")
            answer([.refuse(refusal)])
            end("refused by this node: \(refusal.text)")
        default: break
        }
    }

    private func answer(_ first: [HandshakeFrame]) {
        guard let exchange, let proof = exchange.proof else { return }
        write(first + [.challenge(exchange.challenge), .proof(proof)])
    }

    private func proved(_ hello: HandshakeHello, _ bytes: [UInt8]) {
        guard let exchange, exchange.accepts(bytes) else {
            return refuse(.secret, "\(hello.node) has another cluster secret, or none")
        }
        if let misdirected { return redirect(hello, misdirected) }
        if let node = dialledNode, let proof = exchange.proof {
            guard node == hello.node else { return end("a handshake out of order") }
            write([.proof(proof)])
            // The refusal follows.
            if looks { return }
        }
        becomeReady(hello)
    }

    // MARK: Joining

    private func begin(joining hello: JoinHello) {
        guard isCertified(hello.member.node) else { return }
        guard exchange == nil else {
            exchange?.theirWord = .join(hello)
            phase = .joining(hello)
            return
        }
        // Then the certificate is the proof.
        guard certified != nil else {
            return refuse(
                .secret, "this node has no cluster secret, without which nobody joins: see security.cluster_secret_file"
            )
        }
        guard !isChallenged else { return refuse(.secret, Self.noSecret) }
        phase = .joining(hello)
        takeIn(hello)
    }

    private static let noSecret = "this node has no cluster secret: see security.cluster_secret_file"

    /// Whether the dialling end has sent a challenge behind its first word.
    private var isChallenged: Bool {
        var rest = buffer
        if case .challenge? = try? HandshakeCodec.nextFrame(from: &rest) { return true }
        return false
    }

    private func proved(_ hello: JoinHello, _ bytes: [UInt8]) {
        guard let exchange, exchange.accepts(bytes) else {
            return refuse(.secret, "\(hello.member.node) has another cluster secret")
        }
        takeIn(hello)
    }

    /// The node decides, which takes as long as its leaders do.
    private func takeIn(_ hello: JoinHello) {
        deadline?.cancel()
        if let refusal = links.judge(hello) { return refuse(refusal.code, refusal.text) }
        guard let context, let events = links.events else { return end("this node is going down") }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        events.join(hello.member) { bound.value.answered($0) }
    }

    private func answered(_ result: Result<JoinGrant, RingRefusal>) {
        guard case .joining(let hello) = phase else { return }
        switch result {
        case .success(let grant):
            links.logger.notice("\(hello.member.node) was taken into the cluster")
            write([.joined(grant.record, grant.ring)])
            end("taken in")
        case .failure(let refusal):
            refuse(
                refusal.retry ? .notTakenInNow : .notTakenIn,
                "\(hello.member.node) is not taken in: \(refusal.reason)")
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
