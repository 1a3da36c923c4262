internal import DequeModule
internal import RoostProtocol

/// Orders what is written and what may be said: stages writes until the end of an event, and holds back messages until
/// the writes they speak of are synced.
struct RaftOutbox: Sendable {
    enum Held: Sendable {
        case message(RaftMessage, to: RaftPeer)
        /// This peer's vote for itself.
        case selfVote(term: UInt64)
    }

    private var stagedHardState: RaftHardState?
    private var stagedTruncation: UInt64?
    private var stagedEntries: [RaftEntry] = []
    /// Issued and not yet synced, with the log's end at that time.
    private var outstanding: Deque<(ticket: UInt64, lastIndex: UInt64)> = []
    private var held: Deque<(ticket: UInt64, item: Held)> = []
    private(set) var lastTicket: UInt64 = 0
    /// All tickets up to this are synced.
    private(set) var syncedTicket: UInt64 = 0
    /// The ticket that holds the newest term and vote.
    private(set) var hardStateTicket: UInt64 = 0

    var isIdle: Bool { outstanding.isEmpty && !isStaged }
    private var isStaged: Bool { stagedHardState != nil || stagedTruncation != nil || !stagedEntries.isEmpty }

    mutating func stage(_ hardState: RaftHardState) {
        stagedHardState = hardState
        hardStateTicket = lastTicket + 1
    }

    mutating func stage(_ entries: [RaftEntry]) {
        if stagedEntries.isEmpty { stagedEntries = entries } else { stagedEntries += entries }
    }

    /// Comes before `stage(entries)` within one event: entries issued earlier may be among the removed.
    mutating func stageTruncation(from index: UInt64) {
        stagedTruncation = min(stagedTruncation ?? index, index)
        for position in outstanding.indices {
            outstanding[position].lastIndex = min(outstanding[position].lastIndex, index - 1)
        }
    }

    /// After which ticket the log is synced through `index`, given that it is through `persisted`.
    func ticket(covering index: UInt64, persisted: UInt64) -> UInt64 {
        guard index > persisted else { return hardStateTicket }
        let first = outstanding.first { $0.lastIndex >= index }
        return max(hardStateTicket, first?.ticket ?? lastTicket + 1)
    }

    /// At once if `ticket` is synced, else then.
    mutating func send(
        _ message: RaftMessage, to peer: RaftPeer, after ticket: UInt64, into actions: inout [RaftGroup.Action]
    ) {
        guard ticket > syncedTicket else {
            actions.append(.send(message, to: peer))
            return
        }
        // A later answer to the same peer says more: repeated messages must not grow the queue.
        let position = held.firstIndex {
            guard $0.ticket == ticket, case .message(let old, peer) = $0.item else { return false }
            return Self.supersedes(message, old)
        }
        if let position {
            held[position].item = .message(message, to: peer)
            return
        }
        hold(.message(message, to: peer), after: ticket)
    }

    mutating func hold(_ item: Held, after ticket: UInt64) {
        // Ascending, so that the front is what can go first.
        var position = held.endIndex
        while position > held.startIndex, held[position - 1].ticket > ticket { position -= 1 }
        held.insert((ticket, item), at: position)
    }

    private static func supersedes(_ new: RaftMessage, _ old: RaftMessage) -> Bool {
        switch (new, old) {
        case (.appendReply(let a, true, let index, _), .appendReply(let b, true, let before, _)):
            a == b && index >= before
        case (.heartbeatReply(let a, let round, _), .heartbeatReply(let b, let before, _)): a == b && round >= before
        default: false
        }
    }

    /// A new term: nobody waits for answers of the old one.
    mutating func dropHeld() { held.removeAll(keepingCapacity: true) }

    /// Returns how far the log is synced by this ticket, or nil if that is known.
    mutating func persisted(ticket: UInt64) -> UInt64? {
        guard ticket > syncedTicket, ticket <= lastTicket else { return nil }
        syncedTicket = ticket
        var through: UInt64 = 0
        while let first = outstanding.first, first.ticket <= ticket {
            through = max(through, first.lastIndex)
            outstanding.removeFirst()
        }
        return through
    }

    /// What may be said now, one after the other. An answer that the next one includes is left out.
    mutating func nextReleased() -> Held? {
        while let first = held.popFirst(where: { $0.ticket <= syncedTicket }) {
            if let next = held.first, next.ticket <= syncedTicket, case .message(let old, let peer) = first.item,
                case .message(let new, peer) = next.item, Self.supersedes(new, old)
            {
                continue
            }
            return first.item
        }
        return nil
    }

    /// Turns what was staged during an event into one action.
    mutating func flush(lastIndex: UInt64, into actions: inout [RaftGroup.Action]) {
        guard isStaged else { return }
        lastTicket += 1
        outstanding.append((lastTicket, lastIndex))
        actions.append(
            .persist(
                ticket: lastTicket, hardState: stagedHardState, truncateFrom: stagedTruncation, entries: stagedEntries))
        stagedHardState = nil
        stagedTruncation = nil
        stagedEntries = []
    }
}

extension Deque {
    fileprivate mutating func popFirst(where predicate: (Element) -> Bool) -> Element? {
        guard let first, predicate(first) else { return nil }
        return removeFirst()
    }
}
