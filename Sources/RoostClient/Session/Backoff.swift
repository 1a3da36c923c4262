/// How long to wait before connecting again, in milliseconds: drawn at random below a ceiling that doubles with each
/// failure in a row; where the server says when, then.
package struct Backoff: Sendable {
    private let min: UInt64
    private let max: UInt64
    private(set) var failures = 0

    package init(min: UInt64, max: UInt64) {
        self.min = Swift.max(1, min)
        self.max = max
    }

    /// The row of failures is over.
    package mutating func succeeded() { failures = 0 }

    package mutating func failed() { failures += 1 }

    /// One more failure.
    /// - Parameter atLeast: what the server said, in milliseconds.
    package mutating func next(
        atLeast: Int? = nil, using random: inout any RandomNumberGenerator & Sendable
    ) -> UInt64 {
        let ceiling = Swift.min(max, min << UInt64(Swift.min(failures, 16)))
        failed()
        let delay = UInt64.random(in: min / 4...Swift.max(min / 4, ceiling), using: &random)
        // Who says when to come back knows whose turn it is then.
        let told = Self.spread(atLeast, using: &random)
        return told > 0 ? told : delay
    }

    /// Up to half as much later than the server said: others were told the same.
    package static func spread(
        _ atLeast: Int?, using random: inout any RandomNumberGenerator & Sendable
    ) -> UInt64 {
        guard let atLeast, atLeast > 0 else { return 0 }
        let bounded = UInt64(Swift.min(atLeast, 3_600_000))
        return UInt64.random(in: bounded...bounded + bounded / 2, using: &random)
    }
}

/// In which order a session goes through its servers: drawn at random, so that those who leave one node do not all go
/// to the same other.
struct ServerRotation: Sendable {
    private let order: [Int]
    private var place = 0

    init(count: Int, beginsWithFirst: Bool, using random: inout any RandomNumberGenerator & Sendable) {
        var rest = Array((beginsWithFirst ? 1 : 0)..<Swift.max(1, count))
        rest.shuffle(using: &random)
        order = beginsWithFirst ? [0] + rest : rest
    }

    var current: Int { order[place] }

    mutating func next() { place = (place + 1) % order.count }
}
