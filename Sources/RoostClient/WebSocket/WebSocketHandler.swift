package import NIOCore

/// Who listens to a WebSocket. Called on the channel's event loop.
package protocol WebSocketDelegate: AnyObject {
    /// All that one read of the socket brought; the payload of each is one text message. Empty where it was only a
    /// ping.
    func webSocketReceived(_ messages: [ByteBuffer])
    /// The connection is gone, and nothing more follows. `code` is nil where the peer said none (RFC 6455: 1006).
    func webSocketClosed(code: UInt16?, reason: String)
    func webSocketWritabilityChanged(_ writable: Bool)
}

/// The client's end of an upgraded connection: raw bytes below, batches of text messages above. Answers pings, and
/// keeps the close handshake with a deadline.
package final class WebSocketHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = Never
    /// One text message. Flushed as the caller says.
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    private static let closeTimeout = TimeAmount.seconds(2)

    private var reader: WebSocketFrameReader
    private let randomMask: Bool
    private weak var delegate: (any WebSocketDelegate)?
    private var batch: [ByteBuffer] = []
    /// Something was received since the delegate was last called.
    private var heard = false
    private var out = ByteBuffer()
    private var closeSent = false
    private var closeReceived: (code: UInt16?, reason: String)?
    private var context: ChannelHandlerContext?

    package init(maxMessage: Int, randomMask: Bool, delegate: any WebSocketDelegate) {
        reader = WebSocketFrameReader(maxMessage: maxMessage)
        self.randomMask = randomMask
        self.delegate = delegate
    }

    package func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    package func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    private var mask: UInt32 { randomMask ? UInt32.random(in: 1...UInt32.max) : 0 }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard closeReceived == nil else { return }
        var bytes = unwrapInboundIn(data)
        reader.feed(&bytes)
        do throws(WebSocketViolation) {
            while closeReceived == nil, let input = try reader.next() { take(input, context) }
        } catch {
            switch error {
            case .protocolError(let reason): close(context, code: 1002, reason: reason)
            case .tooLarge: close(context, code: 1009, reason: "too large")
            }
        }
    }

    private func take(_ input: WebSocketInput, _ context: ChannelHandlerContext) {
        heard = true
        switch input {
        case .text(let text): batch.append(text)
        case .binary: close(context, code: 1003, reason: "binary")
        case .ping(let payload):
            writeControl(.pong, payload, context)
        case .pong: break
        case .close(let code, let reason):
            closeReceived = (code, reason)
            close(context, code: code ?? 1000, reason: "")
            if closeReceived != nil { context.close(promise: nil) }
        }
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        guard heard else { return }
        heard = false
        let messages = batch
        batch.removeAll(keepingCapacity: true)
        delegate?.webSocketReceived(messages)
    }

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard !closeSent else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        WebSocketFrameWriter.write(.text, unwrapOutboundIn(data).readableBytesView, mask: mask, into: &out)
        // Many small frames go out as one buffer; a promise is fulfilled by the flush that follows.
        if promise != nil || out.readableBytes > 65_536 { drain(context, promise) }
    }

    package func flush(context: ChannelHandlerContext) {
        drain(context, nil)
        context.flush()
    }

    private func drain(_ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?) {
        guard out.readableBytes > 0 else {
            promise?.succeed()
            return
        }
        let capacity = min(out.writerIndex, 65_536)
        context.write(wrapOutboundOut(out), promise: promise)
        out = context.channel.allocator.buffer(capacity: capacity)
    }

    private func writeControl(
        _ opcode: WebSocketFrameWriter.Opcode, _ payload: ByteBuffer, _ context: ChannelHandlerContext
    ) {
        guard !closeSent else { return }
        WebSocketFrameWriter.write(opcode, payload.readableBytesView, mask: mask, into: &out)
        drain(context, nil)
        context.flush()
    }

    /// Begins the close handshake; the connection ends with it, or at the deadline. On the event loop.
    package func close(code: UInt16, reason: String) {
        guard let context else { return }
        close(context, code: code, reason: reason)
    }

    private func close(_ context: ChannelHandlerContext, code: UInt16, reason: String) {
        guard !closeSent else { return }
        let payload = WebSocketFrameWriter.closePayload(code: code, reason: reason)
        writeControl(.close, payload, context)
        closeSent = true
        let channel = context.channel
        context.eventLoop.scheduleTask(in: Self.closeTimeout) { channel.close(promise: nil) }
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        delegate?.webSocketWritabilityChanged(context.channel.isWritable)
        context.fireChannelWritabilityChanged()
    }

    package func channelInactive(context: ChannelHandlerContext) {
        channelReadComplete(context: context)
        delegate?.webSocketClosed(code: closeReceived?.code, reason: closeReceived?.reason ?? "")
        delegate = nil
        context.fireChannelInactive()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
