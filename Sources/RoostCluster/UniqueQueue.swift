internal import DequeModule

/// First in, first out, each element once. What is removed from its middle leaves its place only when that is reached.
struct UniqueQueue<Element: Hashable & Sendable>: Sendable {
    private var order: Deque<Element> = []
    private var members: Set<Element> = []

    var count: Int { members.count }
    var isEmpty: Bool { members.isEmpty }

    func contains(_ element: Element) -> Bool { members.contains(element) }

    mutating func append(_ element: Element) {
        guard members.insert(element).inserted else { return }
        order.append(element)
        // Places of what was removed do not pile up.
        guard order.count > 2 * members.count + 16 else { return }
        var seen: Set<Element> = []
        order = Deque(order.filter { members.contains($0) && seen.insert($0).inserted })
    }

    mutating func remove(_ element: Element) { members.remove(element) }

    mutating func popFirst() -> Element? {
        while let element = order.popFirst() {
            if members.remove(element) != nil { return element }
        }
        return nil
    }
}
