internal import DequeModule
internal import RoostModel

/// Messages applied whose rows are not in the tables yet, so that a second send of one is known at once. Its size is
/// bounded by how far the caller lets applying run ahead of writing.
struct PendingMessages: Sendable {
    struct Identity: Hashable {
        var conversation: ConversationID
        var sender: UserID
        var id: MessageID
    }

    struct Answer {
        var index: UInt64
        var seq: UInt64
        var sentAt: Int64
        var contentHash: UInt64
    }

    private var answers: [Identity: Answer] = [:]
    /// Ascending by index.
    private var order: Deque<(index: UInt64, identity: Identity)> = []

    var count: Int { order.count }

    func contains(where condition: (ConversationID) -> Bool) -> Bool {
        order.contains { condition($0.identity.conversation) }
    }

    subscript(_ identity: Identity) -> Answer? { answers[identity] }

    /// The highest seq among these messages of the conversation that was sent before `stamp`; nil where none was.
    func lastSeq(of conversation: ConversationID, sentBefore stamp: Int64) -> UInt64? {
        for item in order.reversed() where item.identity.conversation == conversation {
            if let answer = answers[item.identity], answer.sentAt < stamp { return answer.seq }
        }
        return nil
    }

    mutating func insert(_ identity: Identity, _ answer: Answer) {
        answers[identity] = answer
        order.append((answer.index, identity))
    }

    mutating func forget(through index: UInt64) {
        while let first = order.first, first.index <= index {
            order.removeFirst()
            // An id that was forgotten meanwhile may be that of a later message.
            if answers[first.identity]?.index == first.index { answers[first.identity] = nil }
        }
    }
}
