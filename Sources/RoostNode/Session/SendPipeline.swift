import RoostModel
import RoostProtocol

/// A session's sends to one conversation, in order: the numbers that let a leader append them in that order only.
struct SendPipeline: Sendable {
    private(set) var run: UInt32
    private var next: UInt64 = 1
    /// Counters not yet answered, ascending, with the call that carries each.
    private(set) var unanswered: [(counter: UInt64, call: UInt64)] = []
    private var halt: SendHalt?

    /// Whether it may be forgotten, if what follows in the conversation is of a later run.
    func isForgettable(now: UInt64, isBehind: Bool) -> Bool {
        unanswered.isEmpty && halt?.isOver(now: now, isBehind: isBehind) ?? true
    }

    init(run: UInt32) { self.run = run }

    /// All counters below are answered.
    var base: UInt64 { unanswered.first?.counter ?? next }

    /// The order of the next send.
    mutating func take(session: SessionID) -> SendOrder {
        defer { next += 1 }
        return SendOrder(session: session, run: run, counter: next, base: base)
    }

    mutating func began(counter: UInt64, call: UInt64) { unanswered.append((counter, call)) }

    mutating func answered(counter: UInt64) { unanswered.removeAll { $0.counter == counter } }

    /// A send was refused, to be sent again: until it is, later ones are refused as well (see `SendHalt`).
    mutating func refused(_ id: MessageID?, _ reason: SendHalt.Reason, now: UInt64) {
        if halt == nil { halt = SendHalt(reason, now: now) }
        halt?.refuse(id)
    }

    /// Nil where a send that has come may go; else why it is refused.
    /// - Parameter isBehind: the client may have written it before it read of the refusal (see `SendBarriers`).
    mutating func refusal(of id: MessageID?, now: UInt64, isBehind: Bool = false) -> SendHalt.Reason? {
        guard let halted = halt else { return nil }
        if halt?.ends(with: id, now: now, isBehind: isBehind) ?? true {
            halt = nil
            return nil
        }
        return halted.reason
    }

    /// One send's outcome is unknown: all later ones are given up with it, and a new run shuts out their stragglers.
    /// Returns their calls.
    mutating func giveUp() -> [UInt64] {
        defer {
            unanswered.removeAll()
            run += 1
        }
        return unanswered.map(\.call)
    }
}

/// A send that waits for the answer whether the other user exists.
struct HeldSend: Sendable {
    var frame: ClientSend
    var peer: UserID?
}
