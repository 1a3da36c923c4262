import DequeModule
package import RoostModel

/// What one session has been given, and what it may be given next: never twice, never out of order, at most a window
/// unacknowledged. Pure; the Device actor feeds it and performs what it asks.
///
/// Messages come from two sides: by the stream, which is a hint, and by reads from the log, which are the truth. Per
/// conversation the window knows the last seq written or stepped over (`written`) and how far the conversation is known
/// to go (`head`). Between the two lies backlog, read from the log whenever there is room.
package struct DeliveryWindow: Sendable {
    package enum Decision: Sendable, Equatable {
        /// Write it now, as delivery number `n`.
        case write(n: UInt64)
        case drop
    }

    package enum Action: Sendable, Equatable {
        /// Read what follows `after` from the log, at most `limit` messages, then report it.
        case read(conversation: ConversationID, after: UInt64, limit: Int)
        /// The device needs nothing up to `seq` any more.
        case advance(conversation: ConversationID, seq: UInt64)
        /// All that was unread when the session opened is written.
        case caughtUp
    }

    private struct Progress {
        var written: UInt64
        var head: UInt64
        /// What `head` was when the session opened, until it is reached; 0 afterwards.
        var openingHead: UInt64 = 0
        var outstanding: Int = 0
        var reading = false
        /// A message of the read under way was refused for want of room: nothing after it may be taken.
        var refused = false
        var queued = false
    }

    /// Most messages a session may have unacknowledged.
    package let size: Int
    /// Reads under way at once, each of at most `readLimit` messages.
    package static let maxReads = 4
    package static let readLimit = 64

    private var conversations: [ConversationID: Progress] = [:]
    private var outstanding: Deque<(conversation: ConversationID, seq: UInt64)> = []
    private var backlog: Deque<ConversationID> = []
    private var reads = 0
    private var opening = 0
    private var openingComplete = false
    private var caughtUp = false
    private var isHeld = false
    /// The last delivery number given.
    package private(set) var lastNumber: UInt64 = 0

    private let planted: PlantedFaults

    package init(size: Int, planted: PlantedFaults = []) {
        self.size = max(1, size)
        self.planted = planted
    }

    package var unacknowledged: Int { outstanding.count }
    package var hasRoom: Bool { !isHeld && (outstanding.count < size || planted.contains(.windowIgnored)) }
    package var isCaughtUp: Bool { caughtUp }
    package var hasBacklog: Bool { !backlog.isEmpty || reads > 0 }

    // MARK: The socket

    /// The socket takes nothing: as if the window were full, whatever it is told.
    package mutating func hold() { isHeld = true }

    package mutating func release(into actions: inout [Action]) {
        guard isHeld else { return }
        isHeld = false
        pump(into: &actions)
    }

    // MARK: Stream

    /// A message from the stream. `cursor` is where the device stands as the leader knows it: it counts only for a
    /// conversation that this session has not met.
    package mutating func offer(
        conversation: ConversationID, seq: UInt64, cursor: UInt64, own: Bool, into actions: inout [Action]
    ) -> Decision {
        var progress = conversations[conversation] ?? Progress(written: cursor, head: cursor)
        progress.head = max(progress.head, seq)
        defer { conversations[conversation] = progress }
        if seq == progress.written, planted.contains(.writesTwice), !own, hasRoom {
            return accept(conversation, seq, own: own, &progress, into: &actions)
        }
        guard seq > progress.written else { return .drop }
        if !progress.reading && !progress.queued && seq == progress.written + 1 && (own || hasRoom) {
            return accept(conversation, seq, own: own, &progress, into: &actions)
        }
        enqueue(conversation, &progress, into: &actions)
        return .drop
    }

    /// The session's own send was accepted: nothing to write, but nothing to wait for either.
    package mutating func sent(conversation: ConversationID, seq: UInt64, into actions: inout [Action]) {
        guard var progress = conversations[conversation], seq == progress.written + 1, !progress.reading,
            !progress.queued
        else { return }
        progress.head = max(progress.head, seq)
        _ = accept(conversation, seq, own: true, &progress, into: &actions)
        conversations[conversation] = progress
    }

    // MARK: Opening

    /// From a leader's answer to an open: the conversation goes to `head`, the device stands at `cursor`.
    package mutating func unread(
        conversation: ConversationID, cursor: UInt64, head: UInt64, into actions: inout [Action]
    ) {
        var progress = conversations[conversation] ?? Progress(written: min(cursor, head), head: head)
        progress.head = max(progress.head, head)
        // The leader lost an acknowledgement: it is told again.
        if cursor < progress.written && progress.outstanding == 0 {
            actions.append(.advance(conversation: conversation, seq: progress.written))
        }
        if progress.head > progress.written {
            if !openingComplete {
                if progress.openingHead == 0 { opening += 1 }
                progress.openingHead = max(progress.openingHead, head)
            }
            enqueue(conversation, &progress, into: &actions)
        }
        conversations[conversation] = progress
    }

    /// Every partition has answered the open.
    package mutating func opened(into actions: inout [Action]) {
        openingComplete = true
        checkCaughtUp(into: &actions)
    }

    // MARK: Reads

    /// One message of a read that was asked for, in the order of seq.
    package mutating func readMessage(
        conversation: ConversationID, seq: UInt64, own: Bool, into actions: inout [Action]
    ) -> Decision {
        guard var progress = conversations[conversation], progress.reading, !progress.refused, seq > progress.written
        else { return .drop }
        guard own || hasRoom else {
            conversations[conversation]?.refused = true
            return .drop
        }
        let decision = accept(conversation, seq, own: own, &progress, into: &actions)
        conversations[conversation] = progress
        return decision
    }

    /// The read is over; nothing readable was left out up to `through`, of what was written through.
    package mutating func readEnded(
        conversation: ConversationID, through: UInt64?, last: UInt64, into actions: inout [Action]
    ) {
        guard var progress = conversations[conversation], progress.reading else { return }
        progress.reading = false
        reads -= 1
        // Only where all of the read was written: a message refused for want of room must be read again.
        let wasRefused = progress.refused
        progress.refused = false
        if let through, !wasRefused, progress.written >= last, through > progress.written {
            progress.written = through
            progress.head = max(progress.head, through)
            if progress.outstanding == 0 {
                actions.append(.advance(conversation: conversation, seq: through))
            }
        }
        reachedOpening(&progress)
        if progress.head > progress.written { enqueue(conversation, &progress, into: &actions) }
        conversations[conversation] = progress
        pump(into: &actions)
        checkCaughtUp(into: &actions)
    }

    // MARK: Acknowledgements

    /// Everything up to delivery `n`. False where `n` was never given.
    package mutating func acknowledge(_ n: UInt64, into actions: inout [Action]) -> Bool {
        guard n <= lastNumber else { return false }
        var first = lastNumber - UInt64(outstanding.count) + 1
        var touched: [ConversationID: UInt64] = [:]
        var order: [ConversationID] = []
        while first <= n, let item = outstanding.popFirst() {
            first += 1
            guard var progress = conversations[item.conversation] else { continue }
            progress.outstanding -= 1
            if touched[item.conversation] == nil { order.append(item.conversation) }
            touched[item.conversation] = progress.outstanding == 0 ? progress.written : item.seq
            conversations[item.conversation] = progress
        }
        for conversation in order {
            actions.append(.advance(conversation: conversation, seq: touched[conversation] ?? 0))
        }
        pump(into: &actions)
        return true
    }

    // MARK: Inside

    private mutating func accept(
        _ conversation: ConversationID, _ seq: UInt64, own: Bool, _ progress: inout Progress,
        into actions: inout [Action]
    ) -> Decision {
        progress.written = seq
        progress.head = max(progress.head, seq)
        defer {
            reachedOpening(&progress)
            checkCaughtUp(into: &actions)
        }
        if own {
            if progress.outstanding == 0 { actions.append(.advance(conversation: conversation, seq: seq)) }
            return .drop
        }
        if planted.contains(.cursorBeforeAck) { actions.append(.advance(conversation: conversation, seq: seq)) }
        progress.outstanding += 1
        outstanding.append((conversation, seq))
        lastNumber += 1
        return .write(n: lastNumber)
    }

    private mutating func enqueue(
        _ conversation: ConversationID, _ progress: inout Progress, into actions: inout [Action]
    ) {
        guard !progress.queued && !progress.reading else { return }
        if hasRoom && reads < Self.maxReads && backlog.isEmpty {
            startRead(conversation, &progress, into: &actions)
        } else {
            progress.queued = true
            backlog.append(conversation)
        }
    }

    private mutating func startRead(
        _ conversation: ConversationID, _ progress: inout Progress, into actions: inout [Action]
    ) {
        progress.reading = true
        reads += 1
        actions.append(
            .read(
                conversation: conversation, after: progress.written,
                limit: min(Self.readLimit, max(1, size - outstanding.count))))
    }

    private mutating func pump(into actions: inout [Action]) {
        while hasRoom, reads < Self.maxReads, let conversation = backlog.popFirst() {
            guard var progress = conversations[conversation] else { continue }
            progress.queued = false
            if progress.head > progress.written { startRead(conversation, &progress, into: &actions) }
            conversations[conversation] = progress
        }
    }

    private mutating func reachedOpening(_ progress: inout Progress) {
        guard progress.openingHead > 0, progress.written >= progress.openingHead else { return }
        progress.openingHead = 0
        opening -= 1
    }

    private mutating func checkCaughtUp(into actions: inout [Action]) {
        guard openingComplete, opening == 0, !caughtUp else { return }
        caughtUp = true
        actions.append(.caughtUp)
    }

    /// For reports of failed tests.
    package var summary: String {
        let late = conversations.filter { $0.value.head > $0.value.written || $0.value.openingHead > 0 }
        let list = late.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
        return "\(outstanding.count) outstanding, \(reads) reads, \(backlog.count) queued, \(opening) opening \(list)"
    }

    package func checkInvariants() -> [String] {
        var broken: [String] = []
        if outstanding.count > size { broken.append("window holds \(outstanding.count) of \(size)") }
        var count = 0
        for progress in conversations.values {
            count += progress.outstanding
            if progress.reading && progress.queued { broken.append("a conversation is both read and queued") }
        }
        if count != outstanding.count { broken.append("outstanding \(count) != \(outstanding.count)") }
        return broken
    }
}
