import RoostModel

/// What a session's sends to one conversation wait for after one of them was refused with an error that says "send it
/// again". Frames that the client wrote before it read that error are still in the socket; if they were taken, the
/// refused ones would land behind them when they are sent again. So all are refused, until
/// - one of the refused ids is sent again: the client knows, and sends in the order it wants,
/// - or nothing was sent to the conversation for `quiet`, or `longest` has passed: a client that never sends a refused id
///   again is not shut out. Neither counts before the pong of a ping written behind the refusal (`SendBarriers`).
///
/// Times are nanoseconds of the node's clock.
struct SendHalt: Sendable {
    /// Half of what the client is told to wait, so that one which waits is never refused for it.
    static let quiet: UInt64 = 250_000_000
    static let longest: UInt64 = 10_000_000_000
    /// Ids remembered; of a longer pipeline the first count, which are sent again first.
    static let maxIDs = 1_024

    /// What was refused, and so is what follows it.
    enum Reason: Sendable {
        case unavailable, rateLimited
    }

    let reason: Reason
    private let began: UInt64
    private var last: UInt64
    private var refused: Set<MessageID> = []

    init(_ reason: Reason, now: UInt64) {
        self.reason = reason
        began = now
        last = now
    }

    mutating func refuse(_ id: MessageID?) {
        if let id, refused.count < Self.maxIDs { refused.insert(id) }
    }

    /// Whether a send that has come ends the halt; if not, it is refused like the others.
    mutating func ends(with id: MessageID?, now: UInt64, isBehind: Bool = false) -> Bool {
        if let id, refused.contains(id) { return true }
        if isOver(now: now, isBehind: isBehind) { return true }
        last = now
        refuse(id)
        return false
    }

    /// Whether it has lasted long enough for a client that never sends a refused id again.
    func isOver(now: UInt64, isBehind: Bool) -> Bool {
        !isBehind && (now >= last + Self.quiet || now >= began + Self.longest)
    }
}
