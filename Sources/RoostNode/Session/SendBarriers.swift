import RoostModel

/// Conversations in which a send was refused for now. What the client had sent by then is refused with it at least until
/// the pong of a ping that was written behind the refusal: accepted, it would overtake what the client is about to send
/// again. `SendHalt` says what else it waits for.
struct SendBarriers: Sendable {
    /// The ping that a conversation waits for; the highest number until one is written.
    private var pings: [ConversationID: UInt64] = [:]
    private(set) var needsPing = false

    func blocks(_ conversation: ConversationID) -> Bool { pings[conversation] != nil }

    /// A send was refused. Not for those that only a barrier refused: a client that goes on sending would never get
    /// through.
    mutating func raise(_ conversation: ConversationID) {
        pings[conversation] = .max
        needsPing = true
    }

    /// The session's ping of this number is written, behind the refusals.
    mutating func wrote(ping: UInt64) {
        guard needsPing else { return }
        needsPing = false
        for (conversation, known) in pings where known == .max { pings[conversation] = ping }
    }

    /// One for several pings, as RFC 6455, 5.5.3, allows, is for all before it.
    mutating func pong(_ ping: UInt64) {
        if !pings.isEmpty { pings = pings.filter { $0.value > ping } }
    }
}
