internal import RoostModel
internal import RoostProtocol

/// Rumours on their way: the newest per node, each sent a bounded number of times, those sent least often first, of
/// these the newest (SWIM §4.1). At most one per member.
struct RumourQueue: Sendable {
    private struct Item: Sendable {
        var rumour: MemberRumour
        var order: UInt64
    }
    /// By how often they were sent; within one the newest stand last. An item whose order is no more the current one of
    /// its node was replaced, and is dropped when it is met.
    private var levels: [[Item]] = []
    private var current: [NodeID: UInt64] = [:]
    private var counter: UInt64 = 0
    /// Items in all levels, those that were replaced among them.
    private var stored = 0

    var isEmpty: Bool { current.isEmpty }
    var count: Int { current.count }
    func contains(_ node: NodeID) -> Bool { current[node] != nil }

    /// Replaces what was queued of the same node.
    mutating func put(_ rumour: MemberRumour) {
        counter += 1
        current[rumour.node] = counter
        if levels.isEmpty { levels.append([]) }
        levels[0].append(Item(rumour: rumour, order: counter))
        stored += 1
        // What was replaced, and not yet met, is bounded too.
        if stored > 64 + 2 * current.count { sweep() }
    }

    /// Nothing is told of the node any more.
    mutating func remove(_ node: NodeID) { current[node] = nil }

    mutating func removeAll() {
        levels = []
        current = [:]
        stored = 0
    }

    /// What a message may carry within `budget` bytes; a rumour that was sent `limit` times is dropped. Those of
    /// `skipped` members stay, and do not count as sent.
    mutating func take(budget: Int, limit: Int, except skipped: Set<NodeID> = []) -> [MemberRumour] {
        guard !current.isEmpty else { return [] }
        var taken: [MemberRumour] = []
        var left = budget
        // Moved to their next level only afterwards, so that none is taken twice.
        var moved: [(level: Int, items: [Item])] = []
        for level in levels.indices where left >= MemberRumour.leastBytes {
            let items = take(level: level, left: &left, except: skipped)
            guard !items.isEmpty else { continue }
            taken += items.map(\.rumour)
            moved.append((level + 1, items))
        }
        for (level, items) in moved {
            guard level < max(1, limit) else {
                for item in items { current[item.rumour.node] = nil }
                stored -= items.count
                continue
            }
            if level == levels.count { levels.append([]) }
            levels[level] += items.reversed()
        }
        if current.isEmpty { removeAll() }
        return taken
    }

    /// Takes items off the end of a level while they fit; a few that do not fit are passed over.
    private mutating func take(level: Int, left: inout Int, except skipped: Set<NodeID>) -> [Item] {
        var taken: [Item] = []
        var kept: [Item] = []
        var misfits = 0
        while let item = levels[level].popLast() {
            guard current[item.rumour.node] == item.order else {
                stored -= 1
                continue
            }
            let size = item.rumour.estimatedBytes
            if skipped.contains(item.rumour.node) {
                kept.append(item)
            } else if size > left {
                kept.append(item)
                misfits += 1
                if misfits > 4 { break }
            } else {
                left -= size
                taken.append(item)
                if left < MemberRumour.leastBytes { break }
            }
        }
        levels[level] += kept.reversed()
        return taken
    }

    private mutating func sweep() {
        for level in levels.indices { levels[level].removeAll { current[$0.rumour.node] != $0.order } }
        stored = levels.reduce(0) { $0 + $1.count }
    }
}

extension MemberRumour {
    /// No rumour is smaller, in bytes.
    static let leastBytes = 26
    /// Bytes on the wire, rounded up: epoch, incarnation and status, and three texts with their lengths.
    var estimatedBytes: Int {
        24 + node.name.utf8.count + address.utf8.count + (accuser?.name.utf8.count ?? 0)
    }
}
