import RoostProtocol

/// What is to happen, by time and, at one time, in the order in which it was asked for.
struct GossipQueue {
    enum Event {
        /// A message arrives; `slot` is its place among the messages under way.
        case arrival(from: Int32, to: Int32, slot: Int32)
        case timer(Int32)
        case link(Int32, Int32, isUp: Bool)
        /// A node stops or goes on taking things in.
        case stall(Int32)
        /// The scenario's own.
        case call(Int32)
    }

    struct Item {
        var at: UInt64
        var order: UInt64
        var event: Event
    }

    /// A heap with four children to a node: shallow, and siblings lie together.
    private var items: [Item] = []

    var first: Item? { items.first }
    var count: Int { items.count }

    @inline(__always)
    private static func precedes(_ a: Item, _ b: Item) -> Bool { a.at != b.at ? a.at < b.at : a.order < b.order }

    mutating func push(_ item: Item) {
        items.append(item)
        var child = items.count - 1
        while child > 0 {
            let parent = (child - 1) / 4
            guard Self.precedes(item, items[parent]) else { break }
            items[child] = items[parent]
            child = parent
        }
        items[child] = item
    }

    mutating func pop() -> Item? {
        guard let top = items.first, let last = items.popLast() else { return nil }
        guard !items.isEmpty else { return top }
        var parent = 0
        while true {
            let start = 4 * parent + 1
            guard start < items.count else { break }
            var least = start
            for child in (start + 1)..<max(start + 1, min(start + 4, items.count))
            where Self.precedes(items[child], items[least]) {
                least = child
            }
            guard Self.precedes(items[least], last) else { break }
            items[parent] = items[least]
            parent = least
        }
        items[parent] = last
        return top
    }
}

/// Messages under way, each kept once, however many nodes it is on its way to.
struct GossipMessages {
    enum Message {
        case swim(SwimMessage)
        case presence(PresenceMessage)
    }
    private struct Slot {
        var message: Message?
        var receivers: Int
    }
    private var slots: [Slot] = []
    private var free: [Int32] = []

    mutating func put(_ message: Message) -> Int32 {
        if let slot = free.popLast() {
            slots[Int(slot)] = Slot(message: message, receivers: 0)
            return slot
        }
        slots.append(Slot(message: message, receivers: 0))
        return Int32(slots.count - 1)
    }

    mutating func addReceiver(_ slot: Int32) { slots[Int(slot)].receivers += 1 }

    /// Frees the slot of a message that goes to nobody.
    mutating func dropIfUnsent(_ slot: Int32) {
        guard slots[Int(slot)].receivers == 0 else { return }
        slots[Int(slot)].message = nil
        free.append(slot)
    }

    /// For one receiver; the last one frees the slot.
    mutating func take(_ slot: Int32) -> Message? {
        let message = slots[Int(slot)].message
        slots[Int(slot)].receivers -= 1
        dropIfUnsent(slot)
        return message
    }
}
