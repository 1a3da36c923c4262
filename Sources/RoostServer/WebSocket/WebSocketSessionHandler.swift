internal import NIOCore
internal import RoostNode

/// One session's socket after its upgrade. It lives on its channel's event loop, the session on the core's; in
/// production the two are one, and calls between them are direct.
final class WebSocketSessionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// The other end has so long to answer a close frame, milliseconds.
    static let closeDeadline = TimeAmount.milliseconds(2_000)
    /// The same for one that has broken the protocol: whatever it sends is not understood any more.
    static let brokenDeadline = TimeAmount.milliseconds(500)

    private enum State {
        /// Until the session has taken the socket: what arrives waits, and the socket is not read.
        case attaching
        case open(any SessionEvents)
        /// We sent a close frame: only the other end's is of interest.
        case closing(any SessionEvents)
        case closed
    }

    private let pending: any PendingSession
    private let core: any EventLoop
    private var reader: WebSocketReader
    private var state = State.attaching
    private var context: ChannelHandlerContext?
    /// What one read of the socket completed.
    private var events: [WebSocketReader.Event] = []
    private var isDelivering = false
    private var needsFlush = false
    private var deadline: Scheduled<Void>?

    init(pending: any PendingSession, core: any EventLoop, maxFrame: Int) {
        self.pending = pending
        self.core = core
        reader = WebSocketReader(maxFrame: maxFrame)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        let channel = context.channel
        let eventLoop = context.eventLoop
        let handler = NIOLoopBound(self, eventLoop: eventLoop)
        let pending = pending
        let socket = WebSocketSocket(channel: channel, handler: handler)
        core.run {
            let session = pending.attach(socket)
            eventLoop.run { handler.value.attached(session) }
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        ended()
        self.context = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        ended()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // No close frame can follow: the other end is gone.
        if let event = event as? ChannelEvent, event == .inputClosed { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if case .open(let session) = state { core.run { session.writabilityChanged() } }
        context.fireChannelWritabilityChanged()
    }

    // MARK: Reading

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        reader.read(unwrapInboundIn(data), into: &events)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        deliver(context)
        context.fireChannelReadComplete()
    }

    private func attached(_ session: any SessionEvents) {
        guard case .attaching = state, let context else {
            return core.run { session.closed() }
        }
        state = .open(session)
        deliver(context)
    }

    /// Hands over what was read, the text frames that stand together as one batch.
    private func deliver(_ context: ChannelHandlerContext) {
        if case .attaching = state { return }
        guard !events.isEmpty else { return }
        let batch = events
        events.removeAll(keepingCapacity: true)
        isDelivering = true
        var texts: [ByteBuffer] = []
        for event in batch {
            if case .text(let text) = event {
                texts.append(text)
                continue
            }
            hand(&texts)
            take(event, context)
        }
        hand(&texts)
        isDelivering = false
        if needsFlush {
            needsFlush = false
            context.flush()
        }
    }

    private func hand(_ texts: inout [ByteBuffer]) {
        guard !texts.isEmpty else { return }
        let batch = texts
        texts.removeAll()
        if case .open(let session) = state { core.run { session.received(batch) } }
    }

    private func take(_ event: WebSocketReader.Event, _ context: ChannelHandlerContext) {
        switch (event, state) {
        case (.ping(let payload), .open):
            // Who floods us with pings and does not read gets no pongs (one for the latest would do, section 5.5.3).
            if context.channel.isWritable { write(.pong, payload) }
        case (.pong(let payload), .open(let session)): core.run { session.pong(payload) }
        case (.close(let code), .open(let session)):
            state = .closing(session)
            sendClose(code: code, reason: "")
            finish(context)
        case (.close, .closing): finish(context)
        case (.failed(let code, let reason), .open): close(code: code, reason: reason, isBroken: true)
        case (.failed, .closing): finish(context)
        default: break
        }
    }

    // MARK: Writing

    func write(_ frames: [ByteBuffer]) {
        guard isOpen, let context else { return }
        let size = frames.reduce(0) { $0 + $1.readableBytes + WebSocketFrames.maxHeader }
        var buffer = context.channel.allocator.buffer(capacity: size)
        for frame in frames { WebSocketFrames.write(.text, frame, into: &buffer) }
        send(buffer, context)
    }

    func write(_ opcode: WebSocketOpcode, _ payload: ByteBuffer) {
        guard isOpen, let context else { return }
        var buffer = context.channel.allocator.buffer(
            capacity: payload.readableBytes + WebSocketFrames.maxHeader)
        WebSocketFrames.write(opcode, payload, into: &buffer)
        send(buffer, context)
    }

    /// A session may write while it takes the socket, too.
    private var isOpen: Bool {
        switch state {
        case .attaching, .open: true
        case .closing, .closed: false
        }
    }

    private func send(_ buffer: ByteBuffer, _ context: ChannelHandlerContext) {
        context.write(wrapOutboundOut(buffer), promise: nil)
        if isDelivering { needsFlush = true } else { context.flush() }
    }

    func setReading(_ reading: Bool) {
        guard case .open = state, let context else { return }
        _ = context.channel.setOption(.autoRead, value: reading)
    }

    // MARK: Closing

    /// Sends a close frame, and closes when the other end has answered or the time is over. Until then its bytes are
    /// read and thrown away: closing with bytes unread would reset the connection, and the code might be lost.
    /// - Parameter isBroken: its frames can't be read any more, so that its end of the connection must be the answer:
    ///   ours ends at once.
    func close(code: UInt16, reason: String, isBroken: Bool = false) {
        guard let context else { return }
        switch state {
        case .closing, .closed: return
        case .attaching:
            // The session refused itself while it took the socket: the rest follows in `attached`.
            events.append(.failed(code: code, reason: reason))
            return
        case .open(let session): state = .closing(session)
        }
        sendClose(code: code, reason: reason)
        _ = context.channel.setOption(.autoRead, value: true)
        if isBroken {
            context.flush()
            context.close(mode: .output, promise: nil)
        }
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: isBroken ? Self.brokenDeadline : Self.closeDeadline) {
            bound.value.close(promise: nil)
        }
    }

    private func sendClose(code: UInt16?, reason: String) {
        guard let context else { return }
        var buffer = context.channel.allocator.buffer(capacity: 128)
        WebSocketFrames.writeClose(code: code, reason: reason, into: &buffer)
        send(buffer, context)
    }

    /// Both close frames are on their way.
    private func finish(_ context: ChannelHandlerContext) {
        deadline?.cancel()
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in bound.value.close(promise: nil) }
        // A socket that takes nothing is not waited for.
        deadline = context.eventLoop.scheduleTask(in: Self.closeDeadline) { bound.value.close(promise: nil) }
    }

    private func ended() {
        deadline?.cancel()
        let former = state
        state = .closed
        switch former {
        case .open(let session), .closing(let session): core.run { session.closed() }
        case .attaching, .closed: break
        }
    }
}

extension EventLoop {
    /// At once where we are on the loop already, else later.
    func run(_ body: @escaping @Sendable () -> Void) {
        if inEventLoop { body() } else { execute(body) }
    }
}
