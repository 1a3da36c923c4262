/// The lowest of many values, each once: one pass over all of them, in memory for twice those that are wanted.
package struct Lowest<Value: Comparable & Sendable>: Sendable {
    private let limit: Int
    private var kept: [Value] = []
    /// Nothing from here on is among the lowest.
    private var ceiling: Value?

    package init(_ limit: Int) { self.limit = max(0, limit) }

    package mutating func insert(_ value: Value) {
        if let ceiling, value >= ceiling { return }
        kept.append(value)
        if kept.count >= 2 * limit + 16 { trim() }
    }

    /// Ascending.
    package mutating func take() -> [Value] {
        trim()
        return kept
    }

    private mutating func trim() {
        kept.sort()
        var lowest: [Value] = []
        lowest.reserveCapacity(min(limit, kept.count))
        for value in kept where lowest.count < limit && lowest.last != value { lowest.append(value) }
        kept = lowest
        if kept.count == limit { ceiling = kept.last ?? ceiling }
    }
}
