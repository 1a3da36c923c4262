import Foundation
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// A raw TCP client that sends what it is told, well-formed or not, and gathers what comes back.
final class TestConnection: Sendable {
    struct ConnectionClosed: Error {}

    private let channel: any Channel
    private let inbox: Inbox

    private init(channel: any Channel, inbox: Inbox) {
        self.channel = channel
        self.inbox = inbox
    }

    /// - Parameter prepare: adds what stands nearer to the socket, such as TLS.
    static func connect(
        port: Int, prepare: @escaping @Sendable (any Channel) throws -> Void = { _ in }
    ) async throws -> TestConnection {
        let inbox = Inbox()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try prepare(channel)
                    try channel.pipeline.syncOperations.addHandler(Gatherer(inbox: inbox))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        return TestConnection(channel: channel, inbox: inbox)
    }

    func send(_ bytes: ByteBuffer) async throws {
        try await channel.writeAndFlush(bytes)
    }
    func send(_ text: String) async throws { try await send(ByteBuffer(string: text)) }

    func close() async {
        try? await channel.close()
    }

    /// Sends no more, and goes on reading.
    func endOutput() async throws { try await channel.close(mode: .output).get() }

    /// Ends the connection as a process that dies does: the other end sees a reset, not an end.
    func reset() async throws {
        try await (channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
        try? await channel.close()
    }

    func stopReading() async throws { try await channel.setOption(.autoRead, value: false).get() }
    func startReading() async throws { try await channel.setOption(.autoRead, value: true).get() }

    /// Waits until `take` finds what it looks for at the front of what came, and takes it off.
    func read<T: Sendable>(_ take: @escaping @Sendable (inout ByteBuffer) -> T?) async throws -> T {
        try await inbox.read(take)
    }

    /// Everything up to the end of the connection.
    func readToEnd() async -> ByteBuffer {
        _ = try? await read { _ -> Bool? in nil }
        return inbox.rest
    }
}

private final class Inbox: Sendable {
    private struct State {
        var buffer = ByteBuffer()
        var isClosed = false
        /// Counts what happened, so that nothing is missed between a look and a wait.
        var changes = 0
        var waiter: CheckedContinuation<Void, Never>?

        mutating func changed() -> CheckedContinuation<Void, Never>? {
            changes += 1
            defer { waiter = nil }
            return waiter
        }
    }
    private let state = NIOLockedValueBox(State())

    var rest: ByteBuffer { state.withLockedValue { $0.buffer } }

    func append(_ bytes: ByteBuffer) {
        state.withLockedValue { state in
            state.buffer.writeImmutableBuffer(bytes)
            return state.changed()
        }?.resume()
    }

    func close() {
        state.withLockedValue { state in
            state.isClosed = true
            return state.changed()
        }?.resume()
    }

    func read<T: Sendable>(_ take: @Sendable (inout ByteBuffer) -> T?) async throws -> T {
        while true {
            let look = state.withLockedValue { (found: take(&$0.buffer), isClosed: $0.isClosed, changes: $0.changes) }
            if let found = look.found { return found }
            if look.isClosed { throw TestConnection.ConnectionClosed() }
            try Task.checkCancellation()
            await withTaskCancellationHandler {
                await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                    let resumesNow = state.withLockedValue { state in
                        guard state.changes == look.changes else { return true }
                        state.waiter = continuation
                        return false
                    }
                    if resumesNow { continuation.resume() }
                }
            } onCancel: {
                state.withLockedValue { $0.changed() }?.resume()
            }
        }
    }
}

private final class Gatherer: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    private let inbox: Inbox
    init(inbox: Inbox) { self.inbox = inbox }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) { inbox.append(unwrapInboundIn(data)) }
    func channelInactive(context: ChannelHandlerContext) { inbox.close() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
