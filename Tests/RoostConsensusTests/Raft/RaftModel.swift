import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol

/// What Raft promises, told by a list: deliberately dumb, and apart from the code it judges (Ongaro 2014, figure 3.2).
struct RaftModel {
    /// All that anybody was ever told is committed.
    private(set) var committed: [RaftEntry] = []
    private(set) var configuration: RaftConfiguration
    private var leaders: [UInt64: RaftPeer] = [:]
    private(set) var broken: [String] = []

    init(_ configuration: RaftConfiguration) { self.configuration = configuration }

    mutating func fail(_ text: String) { broken.append(text) }

    /// State machine safety.
    mutating func applied(_ entry: RaftEntry, by peer: RaftPeer) {
        let position = Int(entry.index) - 1
        if position < committed.count {
            if committed[position] != entry { fail("\(peer.node) applied another entry \(entry.index)") }
        } else if position == committed.count {
            committed.append(entry)
            var payload = entry.payload
            if entry.kind == .configuration, let next = RaftConfiguration(decoding: &payload) { configuration = next }
        } else {
            fail("\(peer.node) applied \(entry.index) after \(committed.count)")
        }
    }

    /// Election safety, and leader completeness.
    mutating func leads(_ peer: RaftPeer, term: UInt64, log view: @autoclosure () -> [RaftEntry]) {
        if let other = leaders[term] {
            if other != peer { fail("two leaders in term \(term)") }
            return
        }
        leaders[term] = peer
        let log = view()
        for (position, entry) in committed.enumerated() where entry.term < term {
            if position >= log.count || log[position] != entry {
                fail("leader \(peer.node) of term \(term) lacks the committed entry \(entry.index)")
                return
            }
        }
    }

    /// Log matching.
    mutating func compare(_ a: [RaftEntry], _ b: [RaftEntry]) {
        var last = min(a.count, b.count) - 1
        while last >= 0, a[last].term != b[last].term { last -= 1 }
        guard last >= 0 else { return }
        if a[0...last] != b[0...last] { fail("logs agree at \(last + 1) but not before") }
    }
}

/// Things to come, ordered by time and then by when they were planned.
struct Schedule<Item> {
    private var heap: [(time: UInt64, order: UInt64, item: Item)] = []
    private var planned: UInt64 = 0

    mutating func plan(_ item: Item, at time: UInt64) {
        planned += 1
        heap.append((time, planned, item))
        var child = heap.count - 1
        while child > 0, precedes(child, (child - 1) / 2) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func next() -> (time: UInt64, item: Item)? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        if !heap.isEmpty {
            heap[0] = last
            var parent = 0
            while true {
                var least = parent
                for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && precedes(child, least) {
                    least = child
                }
                if least == parent { break }
                heap.swapAt(parent, least)
                parent = least
            }
        }
        return (first.time, first.item)
    }

    private func precedes(_ a: Int, _ b: Int) -> Bool {
        (heap[a].time, heap[a].order) < (heap[b].time, heap[b].order)
    }
}
