internal import RoostModel
internal import RoostProtocol

/// Rumours on their way: the newest per node, each sent a bounded number of times, those sent least often first
/// (SWIM §4.1).
struct RumourQueue: Sendable {
    private struct Item: Sendable {
        var rumour: MemberRumour
        var sent: Int
        var order: UInt64
    }
    private var items: [Item] = []
    private var counter: UInt64 = 0

    var isEmpty: Bool { items.isEmpty }
    var count: Int { items.count }
    var nodes: [NodeID] { items.map(\.rumour.node) }

    /// Replaces what was queued of the same node.
    mutating func put(_ rumour: MemberRumour) {
        counter += 1
        let item = Item(rumour: rumour, sent: 0, order: counter)
        if let index = items.firstIndex(where: { $0.rumour.node == rumour.node }) {
            items[index] = item
        } else {
            items.append(item)
        }
    }

    mutating func remove(_ node: NodeID) { items.removeAll { $0.rumour.node == node } }

    /// What a message may carry within `budget` bytes; a rumour that was sent `limit` times is dropped.
    mutating func take(budget: Int, limit: Int, except skipped: NodeID?) -> [MemberRumour] {
        guard !items.isEmpty else { return [] }
        items.sort { $0.sent != $1.sent ? $0.sent < $1.sent : $0.order > $1.order }
        var taken: [MemberRumour] = []
        var left = budget
        for index in items.indices where items[index].rumour.node != skipped {
            let size = items[index].rumour.estimatedBytes
            guard size <= left else { continue }
            left -= size
            items[index].sent += 1
            taken.append(items[index].rumour)
        }
        items.removeAll { $0.sent >= limit }
        return taken
    }
}

extension MemberRumour {
    /// Bytes on the wire, rounded up: epoch, incarnation and status, and three texts with their lengths.
    var estimatedBytes: Int {
        24 + node.name.utf8.count + address.utf8.count + (accuser?.name.utf8.count ?? 0)
    }
}
