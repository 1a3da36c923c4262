internal import RoostModel
internal import RoostProtocol

/// Where the sessions stand with their sends, by (session, conversation), and from the oldest send to the newest, so
/// that expiry by index costs nothing to find. What is in it depends on the log alone, not on when a node restarted.
struct SendOrderTable: Sendable {
    private struct Key: Hashable {
        var session: SessionID
        var conversation: ConversationID
    }

    /// A link of the list by age; `none` ends it.
    private struct Slot {
        var row: SendOrderRow
        var older: Int32
        var newer: Int32
    }

    private static let none: Int32 = -1
    private var positions: [Key: Int32] = [:]
    private var slots: [Slot] = []
    private var free: [Int32] = []
    private var oldest = SendOrderTable.none
    private var newest = SendOrderTable.none

    var count: Int { positions.count }

    /// From the oldest to the newest.
    var rows: [SendOrderRow] {
        var rows: [SendOrderRow] = []
        rows.reserveCapacity(count)
        var at = oldest
        while at != Self.none {
            rows.append(slots[Int(at)].row)
            at = slots[Int(at)].newer
        }
        return rows
    }

    enum Standing {
        /// The next of its session.
        case next
        /// Its turn is over, whatever else may come.
        case past
        /// It may come to be the next when others have been applied.
        case early
    }

    func standing(of order: SendOrder, in conversation: ConversationID) -> Standing {
        let position = positions[Key(session: order.session, conversation: conversation)]
        return standing(of: order, last: position.map { slots[Int($0)].row })
    }

    private func standing(of order: SendOrder, last: SendOrderRow?) -> Standing {
        let expected: UInt64
        if let last, order.run <= last.run {
            if order.run < last.run || order.counter <= last.counter { return .past }
            expected = max(last.counter &+ 1, order.base)
        } else {
            expected = order.base
        }
        if order.counter == expected { return .next }
        return order.counter < expected ? .past : .early
    }

    /// Takes the send as answered if it is the next of its session. Returns the new row, nil if it is not.
    mutating func advance(_ order: SendOrder, in conversation: ConversationID, index: UInt64) -> SendOrderRow? {
        let key = Key(session: order.session, conversation: conversation)
        let position = positions[key]
        guard case .next = standing(of: order, last: position.map({ slots[Int($0)].row })) else { return nil }
        let row = SendOrderRow(
            session: order.session, conversation: conversation, run: order.run, counter: order.counter, index: index)
        if let position {
            unlink(position)
            slots[Int(position)].row = row
            linkNewest(position)
        } else {
            insert(row, key)
        }
        return row
    }

    /// Drops the oldest row if its send was before `index`.
    mutating func expire(before index: UInt64) -> SendOrderRow? {
        guard oldest != Self.none, slots[Int(oldest)].row.index < index else { return nil }
        let position = oldest
        let row = slots[Int(position)].row
        unlink(position)
        positions[Key(session: row.session, conversation: row.conversation)] = nil
        free.append(position)
        return row
    }

    /// Rows come from the tables, in any order.
    mutating func restore(_ rows: [SendOrderRow]) {
        for row in rows.sorted(by: { $0.index < $1.index }) {
            let key = Key(session: row.session, conversation: row.conversation)
            if positions[key] == nil { insert(row, key) }
        }
    }

    private mutating func insert(_ row: SendOrderRow, _ key: Key) {
        let slot = Slot(row: row, older: Self.none, newer: Self.none)
        let position: Int32
        if let reused = free.popLast() {
            position = reused
            slots[Int(position)] = slot
        } else {
            position = Int32(slots.count)
            slots.append(slot)
        }
        positions[key] = position
        linkNewest(position)
    }

    private mutating func unlink(_ position: Int32) {
        let older = slots[Int(position)].older
        let newer = slots[Int(position)].newer
        if older == Self.none { oldest = newer } else { slots[Int(older)].newer = newer }
        if newer == Self.none { newest = older } else { slots[Int(newer)].older = older }
    }

    private mutating func linkNewest(_ position: Int32) {
        slots[Int(position)].older = newest
        slots[Int(position)].newer = Self.none
        if newest == Self.none { oldest = position } else { slots[Int(newest)].newer = position }
        newest = position
    }

    func checkInvariants() -> [String] {
        var problems: [String] = []
        let rows = self.rows
        if rows.count != positions.count {
            problems.append("send orders: \(rows.count) linked, \(positions.count) known")
        }
        for (a, b) in zip(rows, rows.dropFirst()) where a.index >= b.index {
            problems.append("send orders: index \(b.index) listed after \(a.index)")
        }
        if free.count + positions.count != slots.count { problems.append("send orders: slots leaked") }
        return problems
    }
}
