import RoostModel

/// Conversations in which a send was refused for now. What the client had sent by then is refused with it at least until
/// the pong of a ping that was written behind the refusal: accepted, it would overtake what the client is about to send
/// again. `SendHalt` says what else it waits for.
struct SendBarriers: Sendable {
    /// Of all pings, these carry the high bit.
    private static let firstPing: UInt64 = 1 << 63
    private var pings: [ConversationID: UInt64] = [:]
    private var nextPing = SendBarriers.firstPing
    private var needsPing = false

    func blocks(_ conversation: ConversationID) -> Bool { pings[conversation] != nil }

    /// A send was refused. Not for those that only a barrier refused: a client that goes on sending would never get
    /// through.
    mutating func raise(_ conversation: ConversationID) {
        pings[conversation] = nextPing
        needsPing = true
    }

    /// What the ping carries that is to be written now, behind the refusals; nil where none is.
    mutating func takePing() -> UInt64? {
        guard needsPing else { return nil }
        needsPing = false
        defer { nextPing += 1 }
        return nextPing
    }

    /// False where the pong is for something else.
    mutating func pong(_ payload: UInt64) -> Bool {
        guard payload >= Self.firstPing else { return false }
        // One for several pings, as RFC 6455, 5.5.3, allows, is for all before it.
        pings = pings.filter { $0.value > payload }
        return true
    }
}
