import NIOCore
import NIOHTTP1
import NIOPosix
import NIOWebSocket
import RoostModel
import RoostProtocol

/// A WebSocket server that a test plays: it says what the test tells it to, and nothing by itself.
final class TestServer: Sendable {
    let port: Int
    private let channel: any Channel
    private let connections: AsyncStream<TestConnection>

    var url: String { "http://127.0.0.1:\(port)" }

    /// - Parameter status: of the answer to an upgrade that is refused; nil accepts.
    init(refusingWith status: HTTPResponseStatus? = nil) async throws {
        let (stream, sink) = AsyncStream.makeStream(of: TestConnection.self, bufferingPolicy: .bufferingOldest(64))
        connections = stream
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                let upgrader = NIOWebSocketServerUpgrader(
                    shouldUpgrade: { channel, head in
                        guard status == nil else { return channel.eventLoop.makeSucceededFuture(nil) }
                        return channel.eventLoop.makeSucceededFuture(["Sec-WebSocket-Protocol": "roost.v1"])
                    },
                    upgradePipelineHandler: { channel, head in
                        channel.eventLoop.makeCompletedFuture {
                            let connection = TestConnection(channel: channel, head: head)
                            try channel.pipeline.syncOperations.addHandler(TestConnectionHandler(connection))
                            sink.yield(connection)
                        }
                    })
                return channel.eventLoop.makeCompletedFuture {
                    let refusing = NIOLoopBound(
                        RefusingHandler(status: status ?? .badRequest), eventLoop: channel.eventLoop)
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(
                        withServerUpgrade: (
                            upgraders: [upgrader],
                            completionHandler: { context in
                                context.pipeline.syncOperations.removeHandler(refusing.value, promise: nil)
                            }
                        ))
                    try channel.pipeline.syncOperations.addHandler(refusing.value)
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = channel.localAddress?.port ?? 0
    }

    /// The next one that connects.
    func connection() async throws -> TestConnection {
        for await connection in connections { return connection }
        throw ChannelError.eof
    }

    func close() async { try? await channel.close() }
}

final class TestConnection: Sendable {
    let head: HTTPRequestHead
    private let channel: any Channel
    private let frames: AsyncStream<ClientFrame>
    fileprivate let sink: AsyncStream<ClientFrame>.Continuation

    fileprivate init(channel: any Channel, head: HTTPRequestHead) {
        self.channel = channel
        self.head = head
        (frames, sink) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(10_000))
    }

    /// The next frame from the client; nil when it is gone.
    func frame() async -> ClientFrame? {
        for await frame in frames { return frame }
        return nil
    }

    func nextSend() async -> ClientSend? {
        while let frame = await frame() { if case .send(let send) = frame { return send } }
        return nil
    }

    func nextAck() async -> UInt64? {
        while let frame = await frame() { if case .ack(let n) = frame { return n } }
        return nil
    }

    func welcome(window: Int = 4) {
        var text = ByteBuffer()
        WelcomeFrame(
            session: SessionID(1), node: "test", user: UserID(.zero), device: DeviceID(validated: "d"), heartbeat: 30,
            maxFrame: 65_536, window: window
        ).write(into: &text)
        write(text)
    }

    func message(_ n: UInt64, seq: UInt64) {
        var text = ByteBuffer()
        MessageFrame.write(n: n, tail: MessageFrame.encodeTail(MachineHarness.message(seq)), into: &text)
        write(text)
    }

    func accept(_ send: ClientSend, seq: UInt64) {
        guard let id = send.id, let conversation = send.conversation else { return }
        var text = ByteBuffer()
        AcceptedFrame(id: id, conversation: conversation, seq: seq, sentAt: 1).write(into: &text)
        write(text)
    }

    func write(_ text: ByteBuffer) {
        channel.writeAndFlush(WebSocketFrame(fin: true, opcode: .text, data: text), promise: nil)
    }

    func close(code: UInt16) {
        var payload = ByteBuffer()
        payload.writeInteger(code)
        channel.writeAndFlush(WebSocketFrame(fin: true, opcode: .connectionClose, data: payload), promise: nil)
    }

    /// Without a word.
    func drop() { channel.close(promise: nil) }
}

private final class TestConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = WebSocketFrame
    typealias OutboundOut = WebSocketFrame
    private let connection: TestConnection

    init(_ connection: TestConnection) { self.connection = connection }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = unwrapInboundIn(data)
        switch frame.opcode {
        case .text:
            if let parsed = try? ClientFrame(parsing: frame.unmaskedData, contentLimit: 65_536) {
                connection.sink.yield(parsed)
            }
        case .connectionClose: context.close(promise: nil)
        default: break
        }
    }

    func channelInactive(context: ChannelHandlerContext) { connection.sink.finish() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

private final class RefusingHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart
    private let status: HTTPResponseStatus

    init(status: HTTPResponseStatus) { self.status = status }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .end = unwrapInboundIn(data) else { return }
        let head = HTTPResponseHead(version: .http1_1, status: status, headers: ["content-length": "0"])
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }
}
