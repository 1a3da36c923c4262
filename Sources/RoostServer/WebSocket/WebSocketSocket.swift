internal import NIOCore
internal import RoostNode

/// The socket as its session holds it.
final class WebSocketSocket: SessionSocket {
    private let channel: any Channel
    private let handler: NIOLoopBound<WebSocketSessionHandler>

    init(channel: any Channel, handler: NIOLoopBound<WebSocketSessionHandler>) {
        self.channel = channel
        self.handler = handler
    }

    var isWritable: Bool { channel.isWritable }

    func write(_ frames: [ByteBuffer]) {
        guard !frames.isEmpty else { return }
        run { $0.write(frames) }
    }
    func ping(_ payload: ByteBuffer) { run { $0.write(.ping, payload) } }
    func close(code: UInt16, reason: String) { run { $0.close(code: code, reason: reason) } }
    func setReading(_ reading: Bool) { run { $0.setReading(reading) } }

    private func run(_ body: @escaping @Sendable (WebSocketSessionHandler) -> Void) {
        let handler = handler
        channel.eventLoop.run { body(handler.value) }
    }
}
