internal import NIOCore
internal import NIOHTTP1

/// The bounds of one HTTP connection.
package struct HTTPLimits: Sendable {
    /// From accepting the connection to the end of the first head, milliseconds.
    package var headMilliseconds: Int
    /// From a head to the end of its body, milliseconds.
    package var bodyMilliseconds = 30_000
    /// From the end of a body to its answer, milliseconds: then 503.
    package var answerMilliseconds = 5_000
    /// From an answer to the end of the next head, milliseconds.
    package var idleMilliseconds = 60_000
    /// From an answer to its last byte's being with the kernel, milliseconds, however slowly the client takes it.
    package var writeMilliseconds = 60_000
    /// A connection that is being closed waits no longer for the other end, milliseconds.
    package var lingerMilliseconds = 1_000
    /// Bytes of a body.
    package var maxBody: Int

    package init(headMilliseconds: Int, maxBody: Int) {
        self.headMilliseconds = headMilliseconds
        self.maxBody = maxBody
    }
}

/// One HTTP/1.1 connection: reads a call whole, has it answered, writes the answer; one call at a time, and until its
/// answer is written the socket is not read. Every wait for the client has a deadline.
final class HTTPExchangeHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private enum State {
        case waitingForHead
        case readingBody(HTTPCall)
        case answering(HTTPRequestHead)
        /// The answer is being written: a client that takes none is asked for no more.
        case writing
        /// The last answer is being written; what still comes is thrown away.
        case ending
        /// The last answer is written, and our direction ended.
        case lingering
        case upgraded
        case closed
    }

    private let service: any HTTPService
    private let limits: HTTPLimits
    private var state = State.waitingForHead
    /// Parts of pipelined calls that came with the one being answered: less than one read of the socket.
    private var waiting = CircularBuffer<HTTPServerRequestPart>()
    private var deadline: Scheduled<Void>?
    /// The client sends no more.
    private var inputEnded = false
    /// Answers of which something is not with the kernel yet.
    private var unwritten = 0

    init(service: any HTTPService, limits: HTTPLimits) {
        self.service = service
        self.limits = limits
    }

    func handlerAdded(context: ChannelHandlerContext) {
        arm(limits.headMilliseconds, context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        if case .upgraded = state {} else { state = .closed }
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        deadline?.cancel()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = unwrapInboundIn(data)
        switch state {
        case .answering, .writing: waiting.append(part)
        case .waitingForHead, .readingBody, .ending, .lingering, .upgraded, .closed: take(part, context)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed {
            inputEnded = true
            // An answer under way is still written.
            switch state {
            case .answering, .writing, .ending: break
            case .waitingForHead, .readingBody: end(context)
            case .lingering, .upgraded, .closed: context.close(promise: nil)
            }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch state {
        case .waitingForHead, .readingBody:
            guard error is HTTPParserError else { return context.close(promise: nil) }
            finish(with: Problem(.badRequest, "invalid_http", "this is not HTTP/1.1 as this server takes it"), context)
        case .writing: end(context)
        // What comes behind the last call is no call.
        case .ending: break
        case .answering, .lingering, .upgraded, .closed: context.close(promise: nil)
        }
    }

    // MARK: Reading

    private func take(_ part: HTTPServerRequestPart, _ context: ChannelHandlerContext) {
        switch (state, part) {
        case (.waitingForHead, .head(let head)): begin(head, context)
        case (.readingBody(var call), .body(var bytes)):
            guard call.body.readableBytes + bytes.readableBytes <= limits.maxBody else {
                return finish(with: .tooLarge, context)
            }
            // Dropped while the call changes, so that its buffer is not copied.
            state = .waitingForHead
            call.body.writeBuffer(&bytes)
            state = .readingBody(call)
        case (.readingBody(let call), .end): answer(call, context)
        default: break
        }
    }

    private func begin(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        // RFC 9112, section 3.2.
        guard head.version != .http1_1 || head.headers["host"].count == 1 else {
            return finish(with: Problem(.badRequest, "invalid_http", "exactly one Host header is needed"), context)
        }
        if let length = head.headers.first(name: "content-length").flatMap({ Int($0) }), length > limits.maxBody {
            return finish(with: .tooLarge, context)
        }
        if head.headers["expect"].contains(where: { $0.lowercased() == "100-continue" }) {
            let proceed = HTTPResponseHead(version: head.version, status: .continue)
            context.writeAndFlush(wrapOutboundOut(.head(proceed)), promise: nil)
        }
        arm(limits.bodyMilliseconds, context)
        state = .readingBody(HTTPCall(head: head, address: ClientAddress(context.remoteAddress)))
    }

    private func answer(_ call: HTTPCall, _ context: ChannelHandlerContext) {
        state = .answering(call.head)
        arm(limits.answerMilliseconds, context)
        _ = context.channel.setOption(.autoRead, value: false)
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        let service = service
        let eventLoop = context.eventLoop
        Task {
            let answer = await service.answer(call)
            eventLoop.execute {
                let (handler, context) = bound.value
                handler.deliver(answer, context)
            }
        }
    }

    // MARK: Answering

    private func deliver(_ answer: HTTPAnswer, _ context: ChannelHandlerContext) {
        guard case .answering(let head) = state else {
            // Too late, or the connection is gone.
            if case .upgrade(let upgrade) = answer { upgrade.abandon() }
            return
        }
        switch answer {
        case .upgrade(let upgrade):
            guard !inputEnded else {
                // Nothing would tell the new handlers that the other end is gone.
                upgrade.abandon()
                return context.close(promise: nil)
            }
            install(upgrade, head, context)
        case .reply(let reply):
            // A request that offers an upgrade stops the decoder, so nothing can follow it.
            let closes = reply.closes || !head.isKeepAlive || head.headers.contains(name: "upgrade")
            write(reply, to: head, closes: closes, context)
            if closes { end(context) } else { next(context) }
        }
    }

    private func write(
        _ reply: HTTPReply, to head: HTTPRequestHead?, closes: Bool, _ context: ChannelHandlerContext
    ) {
        var headers = reply.headers
        headers.replaceOrAdd(name: "content-length", value: String(reply.body.readableBytes))
        if closes { headers.replaceOrAdd(name: "connection", value: "close") }
        if !closes, head?.version == .http1_0 { headers.replaceOrAdd(name: "connection", value: "keep-alive") }
        let version = head?.version ?? .http1_1
        context.write(
            wrapOutboundOut(.head(HTTPResponseHead(version: version, status: reply.status, headers: headers))),
            promise: nil)
        if head?.method != .HEAD, reply.body.readableBytes > 0 {
            context.write(wrapOutboundOut(.body(.byteBuffer(reply.body))), promise: nil)
        }
        unwritten += 1
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.whenComplete { _ in
            let (handler, context) = bound.value
            handler.unwritten -= 1
            switch handler.state {
            case .writing: handler.next(context)
            case .ending: handler.end(context)
            case .waitingForHead, .readingBody, .answering, .lingering, .upgraded, .closed: break
            }
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: written)
    }

    private func next(_ context: ChannelHandlerContext) {
        guard unwritten == 0 else {
            state = .writing
            return arm(limits.writeMilliseconds, context)
        }
        state = .waitingForHead
        arm(limits.idleMilliseconds, context)
        while let part = waiting.popFirst() {
            take(part, context)
            if case .answering = state { return }
        }
        guard !inputEnded else { return end(context) }
        _ = context.channel.setOption(.autoRead, value: true)
    }

    private func install(_ upgrade: HTTPUpgrade, _ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        state = .upgraded
        let response = HTTPResponseHead(version: head.version, status: .switchingProtocols, headers: upgrade.headers)
        context.write(wrapOutboundOut(.head(response)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        let channel = context.channel
        let pipeline = context.pipeline.syncOperations
        guard let decoder = try? pipeline.context(handlerType: ByteToMessageHandler<HTTPRequestDecoder>.self),
            let encoder = try? pipeline.context(handlerType: HTTPResponseEncoder.self)
        else {
            upgrade.abandon()
            return context.close(promise: nil)
        }
        // The encoder goes first, since the new handlers may write while they are added; the decoder last, since it
        // hands on what was received behind the request.
        pipeline.removeHandler(context: encoder, promise: nil)
        do {
            try upgrade.install(channel)
        } catch {
            return context.close(promise: nil)
        }
        pipeline.removeHandler(context: context, promise: nil)
        let removed = channel.eventLoop.makePromise(of: Void.self)
        removed.futureResult.whenComplete { _ in
            channel.pipeline.fireChannelReadComplete()
            _ = channel.setOption(.autoRead, value: true)
        }
        pipeline.removeHandler(context: decoder, promise: removed)
    }

    // MARK: Ending

    private func finish(with problem: Problem, _ context: ChannelHandlerContext) {
        write(problem.reply, to: nil, closes: true, context)
        end(context)
    }

    /// Ends our direction once all is written: closing throws away what is queued. Then closes when the client has or the
    /// time is over: closing at once, with bytes unread, would reset the connection, and the client might lose the answer.
    private func end(_ context: ChannelHandlerContext) {
        if unwritten > 0 {
            if case .ending = state { return }
            state = .ending
            arm(limits.writeMilliseconds, context)
        } else if inputEnded {
            return context.close(promise: nil)
        } else {
            state = .lingering
            context.close(mode: .output, promise: nil)
            arm(limits.lingerMilliseconds, context)
        }
        waiting.removeAll()
        _ = context.channel.setOption(.autoRead, value: true)
    }

    private func arm(_ milliseconds: Int, _ context: ChannelHandlerContext) {
        deadline?.cancel()
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: .milliseconds(Int64(milliseconds))) {
            let (handler, context) = bound.value
            handler.expired(context)
        }
    }

    private func expired(_ context: ChannelHandlerContext) {
        switch state {
        case .readingBody:
            finish(with: Problem(.requestTimeout, "timeout", "the body did not arrive in time"), context)
        case .answering(let head):
            write(
                Problem.unavailable("no answer in time; the outcome is unknown").reply, to: head, closes: true, context)
            end(context)
        case .waitingForHead, .writing, .ending, .lingering: context.close(promise: nil)
        case .upgraded, .closed: break
        }
    }
}
