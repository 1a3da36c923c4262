internal import NIOCore
internal import RoostModel
internal import RoostProtocol

/// Received messages on their way to the consumer: filters what came before in another session, and acknowledges what
/// the consumer is done with. Bounded by the server's window: nothing is acknowledged that was not taken.
struct Inbox: Sendable {
    enum Outcome: Equatable {
        case new
        case duplicate
        /// More than four windows wait: the message was not taken in.
        case full
    }

    /// How far a conversation was received, and how far the consumer is done. Both only rise.
    private struct Progress {
        var received: UInt64
        var consumed: UInt64
        var touched: UInt64
    }

    private struct Delivery {
        var n: UInt64
        var conversation: ConversationID
        var seq: UInt64
    }

    private let ackDelay: UInt64
    private let ackBatch: UInt64
    private let maxConversations: Int
    private var window = 256
    private var messages = CircularBuffer<Message>()
    /// Taken by the consumer, who may not be done with it.
    private var handed: (conversation: ConversationID, seq: UInt64)?
    private var progress: [ConversationID: Progress] = [:]
    private var clock: UInt64 = 0
    /// This session's deliveries that can't be acknowledged yet, by rising number.
    private var open = CircularBuffer<Delivery>()
    private var acknowledgeable: UInt64 = 0
    private var acknowledged: UInt64 = 0
    private(set) var ackDue: UInt64?

    init(_ options: SessionOptions) {
        ackDelay = options.ackDelay
        ackBatch = options.ackBatch
        maxConversations = options.maxConversations
    }

    var count: Int { messages.count }
    var isDrained: Bool { messages.isEmpty && handed == nil }
    private var limit: Int { 4 * window }
    /// Below half of the bound: there is room for another session's window.
    var mayConnect: Bool { messages.count <= limit / 2 }
    var rememberedConversations: Int { progress.count }

    mutating func connected(window: Int) { self.window = max(1, min(window, 65_536)) }

    /// Numbers are a session's own; what was received stays known.
    mutating func disconnected() {
        open.removeAll()
        acknowledgeable = 0
        acknowledged = 0
        ackDue = nil
    }

    mutating func received(_ n: UInt64, _ message: Message) -> Outcome {
        clock += 1
        let before = progress[message.conversation]
        let isNew = message.seq > before?.received ?? 0
        guard !isNew || messages.count < limit else { return .full }
        if isNew { messages.append(message) }
        progress[message.conversation] = Progress(
            received: max(message.seq, before?.received ?? 0), consumed: before?.consumed ?? 0, touched: clock)
        if before == nil, progress.count > maxConversations { evict() }
        open.append(Delivery(n: n, conversation: message.conversation, seq: message.seq))
        return isNew ? .new : .duplicate
    }

    /// Hands out the next message. With that the consumer is done with the one before.
    mutating func take() -> Message? {
        if let handed { progress[handed.conversation]?.consumed = handed.seq }
        handed = nil
        guard let message = messages.popFirst() else { return nil }
        handed = (message.conversation, message.seq)
        return message
    }

    /// Works out how far may be acknowledged; writes it when it is much, else sets the timer.
    mutating func acknowledge(now: UInt64, into actions: inout [ConnectionMachine.Action]) {
        while let first = open.first, first.seq <= consumed(first.conversation) {
            acknowledgeable = first.n
            open.removeFirst()
        }
        guard acknowledgeable > acknowledged else { return }
        if acknowledgeable - acknowledged >= ackBatch {
            flushAcknowledgement(into: &actions)
        } else if ackDue == nil {
            ackDue = now + ackDelay
        }
    }

    mutating func flushAcknowledgement(into actions: inout [ConnectionMachine.Action]) {
        ackDue = nil
        guard acknowledgeable > acknowledged else { return }
        acknowledged = acknowledgeable
        var frame = ByteBuffer()
        ClientFrame.ack(acknowledged).write(into: &frame)
        actions.append(.write(frame))
    }

    /// A conversation not remembered has nothing waiting: it was forgotten when all of it was consumed.
    private func consumed(_ conversation: ConversationID) -> UInt64 { progress[conversation]?.consumed ?? .max }

    /// Forgets the quarter that was touched longest ago, but none that still waits for the consumer.
    private mutating func evict() {
        let idle = progress.filter { $0.value.received == $0.value.consumed }
        let oldest = idle.sorted { $0.value.touched < $1.value.touched }.prefix(max(1, maxConversations / 4))
        for (conversation, _) in oldest { progress[conversation] = nil }
    }
}
