import RoostCluster
import RoostModel

/// Conversations, a stream and a log around a `DeliveryWindow`, and a judge of what it lets through. Deliberately plain:
/// it keeps everything in lists and looks through them.
struct WindowModel {
    struct Item {
        var isReadable: Bool
        var isOwn: Bool
    }
    struct Conversation {
        /// Seq 1 is the first.
        var log: [Item] = []
        var cursor: UInt64 = 0
        var written: [UInt64] = []
        var acknowledged: Set<UInt64> = []
        var advanced: UInt64 = 0
        var head: UInt64 { UInt64(log.count) }
    }
    struct Read {
        var conversation: ConversationID
        var after: UInt64
        var limit: Int
    }

    var window: DeliveryWindow
    var conversations: [ConversationID: Conversation] = [:]
    var order: [ConversationID] = []
    /// Written and not acknowledged, by delivery number from `firstOutstanding` on.
    var outstanding: [(conversation: ConversationID, seq: UInt64)] = []
    var numbers: UInt64 = 0
    var reads: [Read] = []
    var caughtUp = 0
    /// What was unread at the opening: has to be written before `caughtUp`.
    var opening: [ConversationID: UInt64] = [:]
    var isOpened = false
    var isHeld = false
    var problems: [String] = []
    var generator: SeededGenerator

    init(size: Int, seed: UInt64) {
        window = DeliveryWindow(size: size)
        generator = SeededGenerator(seed: seed)
    }

    mutating func random(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }

    static func id(_ number: Int) -> ConversationID {
        ConversationID(UUID128(high: 0x4000, low: UInt64(number)))
    }

    // MARK: What the window is told

    mutating func append(_ id: ConversationID, readable: Bool = true, own: Bool = false) -> UInt64 {
        conversations[id]?.log.append(Item(isReadable: readable, isOwn: own))
        return conversations[id]?.head ?? 0
    }

    mutating func offer(_ id: ConversationID, _ seq: UInt64) {
        guard let conversation = conversations[id], conversation.log[Int(seq - 1)].isReadable else { return }
        var actions: [DeliveryWindow.Action] = []
        let own = conversation.log[Int(seq - 1)].isOwn
        let decision = window.offer(
            conversation: id, seq: seq, cursor: conversation.cursor, own: own, into: &actions)
        take(decision, id, seq, own: own)
        perform(actions)
    }

    /// A leader's answer to an open: what it would tell now.
    mutating func unread(_ id: ConversationID) {
        guard let conversation = conversations[id] else { return }
        let last = conversation.log.lastIndex { $0.isReadable }.map { UInt64($0 + 1) } ?? 0
        let cursor = max(conversation.cursor, conversation.advanced)
        guard cursor < last else { return }
        var actions: [DeliveryWindow.Action] = []
        window.unread(conversation: id, cursor: cursor, head: last, into: &actions)
        if !isOpened { opening[id] = max(opening[id] ?? 0, last) }
        perform(actions)
    }

    mutating func opened() {
        var actions: [DeliveryWindow.Action] = []
        isOpened = true
        window.opened(into: &actions)
        perform(actions)
    }

    /// Answers a read that is under way, with as much as some replica has.
    mutating func answerRead() {
        guard !reads.isEmpty else { return }
        let read = reads.remove(at: random(0...reads.count - 1))
        guard let conversation = conversations[read.conversation] else { return }
        var actions: [DeliveryWindow.Action] = []
        if random(0...9) == 0 {
            window.readEnded(conversation: read.conversation, through: nil, last: read.after, into: &actions)
            perform(actions)
            return
        }
        let known = UInt64(random(Int(read.after)...Int(max(conversation.head, read.after))))
        var found: [UInt64] = []
        var seq = read.after
        while seq < known && found.count < read.limit {
            seq += 1
            if conversation.log[Int(seq - 1)].isReadable { found.append(seq) }
        }
        for seq in found {
            let own = conversation.log[Int(seq - 1)].isOwn
            let decision = window.readMessage(conversation: read.conversation, seq: seq, own: own, into: &actions)
            take(decision, read.conversation, seq, own: own)
        }
        perform(actions)
        actions = []
        window.readEnded(
            conversation: read.conversation, through: seq, last: found.last ?? read.after, into: &actions)
        perform(actions)
    }

    /// The socket's buffer is full, or has room again.
    mutating func hold(_ held: Bool) {
        isHeld = held
        guard !held else { return window.hold() }
        var actions: [DeliveryWindow.Action] = []
        window.release(into: &actions)
        perform(actions)
    }

    mutating func acknowledge(_ count: Int) {
        guard !outstanding.isEmpty else { return }
        let count = min(count, outstanding.count)
        let n = numbers - UInt64(outstanding.count) + UInt64(count)
        for item in outstanding.prefix(count) {
            conversations[item.conversation]?.acknowledged.insert(item.seq)
        }
        outstanding.removeFirst(count)
        var actions: [DeliveryWindow.Action] = []
        if !window.acknowledge(n, into: &actions) { problems.append("\(n) was given and is not known") }
        perform(actions)
    }

    // MARK: What it says

    private mutating func take(_ decision: DeliveryWindow.Decision, _ id: ConversationID, _ seq: UInt64, own: Bool) {
        guard case .write(let n) = decision, let conversation = conversations[id] else { return }
        numbers += 1
        if n != numbers { problems.append("number \(n) instead of \(numbers)") }
        if own { problems.append("\(seq) is its own") }
        if isHeld { problems.append("\(seq) while it is held") }
        let before = conversation.written.last ?? conversation.cursor
        if seq <= before { problems.append("\(seq) after \(before)") }
        for skipped in min(before + 1, seq)..<seq {
            let item = conversation.log[Int(skipped - 1)]
            if item.isReadable && !item.isOwn { problems.append("\(seq) while \(skipped) is missing") }
        }
        conversations[id]?.written.append(seq)
        outstanding.append((id, seq))
        if outstanding.count > window.size { problems.append("\(outstanding.count) of \(window.size) outstanding") }
    }

    private mutating func perform(_ actions: [DeliveryWindow.Action]) {
        for action in actions {
            switch action {
            case .read(let id, let after, let limit):
                if reads.contains(where: { $0.conversation == id }) { problems.append("two reads of one conversation") }
                if limit < 1 || limit > DeliveryWindow.readLimit { problems.append("a read of \(limit)") }
                reads.append(Read(conversation: id, after: after, limit: limit))
                if reads.count > DeliveryWindow.maxReads { problems.append("\(reads.count) reads at once") }
            case .advance(let id, let seq): advance(id, seq)
            case .caughtUp:
                caughtUp += 1
                if !isOpened { problems.append("caught up before it was opened") }
                for (id, head) in opening.sorted(by: { $0.key < $1.key }) {
                    if let missing = missing(id, through: head).first {
                        problems.append("caught up without \(missing)")
                    }
                }
            }
        }
        problems += window.checkInvariants()
        if window.unacknowledged != outstanding.count { problems.append("counts \(window.unacknowledged) outstanding") }
    }

    /// A cursor says that the device needs nothing below it any more.
    private mutating func advance(_ id: ConversationID, _ seq: UInt64) {
        guard let conversation = conversations[id] else { return }
        if seq > conversation.head { problems.append("a cursor beyond the head") }
        for place in conversation.cursor..<max(seq, conversation.cursor) {
            let item = conversation.log[Int(place)]
            if item.isReadable, !item.isOwn, !conversation.acknowledged.contains(place + 1) {
                problems.append("the cursor \(seq) leaves out \(place + 1)")
            }
        }
        conversations[id]?.advanced = max(conversation.advanced, seq)
    }

    /// Of what has to be written up to `through`.
    func missing(_ id: ConversationID, through: UInt64) -> [UInt64] {
        guard let conversation = conversations[id], through > conversation.cursor else { return [] }
        return (conversation.cursor + 1...through).filter { seq in
            let item = conversation.log[Int(seq - 1)]
            return item.isReadable && !item.isOwn && !conversation.written.contains(seq)
        }
    }
}
