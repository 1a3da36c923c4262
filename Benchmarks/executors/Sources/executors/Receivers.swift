import NIOCore

/// What is handed over: a number and a payload that is shared, as a frame's content is.
struct Message: Sendable {
    var number: UInt64
    var payload: ByteBuffer
}

/// The work at the other end: the same in every case, and small, so that the handing over is what is measured.
struct Tally {
    private(set) var sum: UInt64 = 0

    @inline(never)
    mutating func take(_ message: Message) {
        sum &+= message.number &+ UInt64(message.payload.readableBytes)
    }
}

final class PlainReceiver {
    private var tally = Tally()
    func take(_ message: Message) { tally.take(message) }
}

/// Lives on the executor it is given, as Roost's actors do.
actor LoopReceiver {
    private let executor: any SerialExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
    private var tally = Tally()

    init(executor: any SerialExecutor) { self.executor = executor }

    func take(_ message: Message) { tally.take(message) }
    func take(_ batch: [Message]) { for message in batch { tally.take(message) } }
    nonisolated func enter(_ message: Message) { assumeIsolated { $0.take(message) } }
}

/// Lives on the cooperative pool.
actor PoolReceiver {
    private var tally = Tally()
    func take(_ message: Message) { tally.take(message) }
}
