internal import RoostModel
package import RoostProtocol

/// What an identified call was answered, as a row. What it answered with a conversation is looked up when it is asked for
/// again.
package struct CallRow: Sendable, Equatable {
    package enum Answer: Sendable, Equatable {
        case done
        case conversation
        case rejected(Rejection)
    }
    package var caller: RaftPeer
    package var id: UInt64
    /// Below it the caller is answered nothing any more, as of this entry.
    package var oldest: UInt64
    package var answer: Answer
    package var index: UInt64
    package init(caller: RaftPeer, id: UInt64, oldest: UInt64, answer: Answer, index: UInt64) {
        self.caller = caller
        self.id = id
        self.oldest = oldest
        self.answer = answer
        self.index = index
    }
}

extension CallRow.Answer {
    /// Nil where a repetition needs no memory.
    init?(_ result: CommandResult) {
        switch result {
        case .done: self = .done
        case .conversation: self = .conversation
        case .rejected(let rejection): self = .rejected(rejection)
        case .sent, .created: return nil
        }
    }

    /// Stands in tables: a number is never given twice.
    package var code: Int64 {
        switch self {
        case .done: 1
        case .conversation: 2
        case .rejected(let rejection): 256 + Int64(rejection.rawValue)
        }
    }

    package init?(code: Int64) {
        switch code {
        case 1: self = .done
        case 2: self = .conversation
        case 256..<512:
            guard let rejection = Rejection(rawValue: UInt8(code - 256)) else { return nil }
            self = .rejected(rejection)
        default: return nil
        }
    }
}

/// What the calls of each node were answered that it may still send again: a call that reaches the log twice is applied
/// once. A caller says with each call from which on it waits for answers; below that, nothing is applied any more.
///
/// Bounded: of a caller the latest `limit` answers, and of a node the four stores that called last. Nothing of the kind
/// happens but to calls that nobody answers while a thousand others are; then they are `unavailable`, not applied.
struct AnsweredCalls: Sendable {
    private struct Caller {
        /// Calls below it are not applied.
        var floor: UInt64 = 0
        /// Ascending by id.
        var rows: [CallRow] = []
        /// Of its last call.
        var index: UInt64 = 0
    }

    private static let storesOfANode = 4
    private var callers: [RaftPeer: Caller] = [:]

    enum Standing: Equatable {
        case new
        case answered(CallRow.Answer)
        /// Its caller waits no longer, or its answer is forgotten.
        case past
    }

    func standing(of call: CallIdentity, limit: Int) -> Standing {
        guard let caller = callers[call.caller] else { return .new }
        if call.id < caller.floor { return .past }
        let place = caller.rows.lowerBound { $0.id < call.id }
        if place < caller.rows.count, caller.rows[place].id == call.id { return .answered(caller.rows[place].answer) }
        return place == 0 && caller.rows.count >= limit ? .past : .new
    }

    /// Of one that is new.
    mutating func note(
        _ call: CallIdentity, _ answer: CallRow.Answer, index: UInt64, limit: Int, into changes: inout [StateChange]
    ) {
        if callers[call.caller] == nil { makeRoom(for: call.caller.node, into: &changes) }
        var caller = callers[call.caller] ?? Caller()
        callers[call.caller] = nil
        caller.index = index
        caller.floor = max(caller.floor, call.oldest)
        var row = CallRow(caller: call.caller, id: call.id, oldest: 0, answer: answer, index: index)
        caller.rows.insert(row, at: caller.rows.lowerBound { $0.id < call.id })
        let past = caller.rows.lowerBound { $0.id < caller.floor }
        let forgotten = caller.rows.prefix(max(past, caller.rows.count - max(1, limit)))
        if let last = forgotten.last { caller.floor = max(caller.floor, last.id + 1) }
        for row in forgotten { changes.append(.callForgotten(row.caller, id: row.id)) }
        caller.rows.removeFirst(forgotten.count)
        row.oldest = caller.floor
        let place = caller.rows.lowerBound { $0.id < call.id }
        if place < caller.rows.count { caller.rows[place] = row }
        changes.append(.call(row))
        callers[call.caller] = caller
    }

    /// A node that loses its disk calls under another store from then on.
    private mutating func makeRoom(for node: NodeID, into changes: inout [StateChange]) {
        let stores = callers.filter { $0.key.node == node }.sorted { $0.value.index < $1.value.index }
        for (peer, caller) in stores.prefix(max(0, stores.count - Self.storesOfANode + 1)) {
            for row in caller.rows { changes.append(.callForgotten(peer, id: row.id)) }
            callers[peer] = nil
        }
    }

    /// By caller, then id.
    var rows: [CallRow] { callers.keys.sorted().flatMap { callers[$0]?.rows ?? [] } }

    /// Rows come from the tables, in any order.
    mutating func restore(_ rows: [CallRow]) {
        for row in rows {
            var caller = callers[row.caller] ?? Caller()
            callers[row.caller] = nil
            caller.floor = max(caller.floor, row.oldest)
            caller.index = max(caller.index, row.index)
            let place = caller.rows.lowerBound { $0.id < row.id }
            if place == caller.rows.count || caller.rows[place].id != row.id { caller.rows.insert(row, at: place) }
            callers[row.caller] = caller
        }
    }

    func checkInvariants(limit: Int) -> [String] {
        var problems: [String] = []
        var stores: [NodeID: Int] = [:]
        for (peer, caller) in callers.sorted(by: { $0.key < $1.key }) {
            stores[peer.node, default: 0] += 1
            if caller.rows.isEmpty { problems.append("calls of \(peer): none, and it is remembered") }
            if caller.rows.count > limit { problems.append("calls of \(peer): \(caller.rows.count) remembered") }
            for (a, b) in zip(caller.rows, caller.rows.dropFirst()) where a.id >= b.id {
                problems.append("calls of \(peer): \(b.id) listed after \(a.id)")
            }
            if let first = caller.rows.first, first.id < caller.floor {
                problems.append("calls of \(peer): \(first.id) is below \(caller.floor)")
            }
            if caller.rows.map(\.oldest).max() != caller.floor {
                problems.append("calls of \(peer): no row tells of the floor \(caller.floor)")
            }
        }
        for (node, count) in stores.sorted(by: { $0.key < $1.key }) where count > Self.storesOfANode {
            problems.append("calls of \(node): \(count) stores remembered")
        }
        return problems
    }
}
