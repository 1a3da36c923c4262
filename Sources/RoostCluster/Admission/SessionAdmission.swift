/// How fast a node opens sessions: one turn after the other, a tenth of a second's worth at once after a pause. Whose turn
/// is within a second is held until then, so that those who chat are not behind a heap of them; the others are told when
/// theirs is, so that a herd comes back spread over the time it takes to let it in. Times in nanoseconds.
package struct SessionAdmission: Sendable {
    package enum Decision: Sendable, Equatable {
        /// After so long, with a turn of its own.
        case admitted(after: UInt64)
        /// Not before so many milliseconds.
        case later(milliseconds: UInt64)
    }

    /// Nobody is held for longer: so many as come in it wait at most.
    private let maxHold: UInt64
    /// Nobody is told to stay away for longer: the estimate is no better than that.
    package static let maxWait: UInt64 = 60_000_000_000

    private let limit: RateLimit
    private var bucket = TokenBucket()
    /// The turn of the last of those who were told to come back.
    private var turn: UInt64 = 0

    package init(perSecond: Int, maxHold: UInt64 = 1_000_000_000) {
        self.maxHold = min(maxHold, 1_000_000_000)
        limit = RateLimit(perSecond: UInt64(max(1, perSecond)), atOnce: UInt64(max(1, perSecond)) / 10)
    }

    package mutating func admit(now: UInt64, using random: inout some RandomNumberGenerator) -> Decision {
        let (isTaken, next) = bucket.reserve(limit, within: maxHold, now: now)
        if isTaken { return .admitted(after: next) }
        turn = min(max(turn, now + next) + limit.interval, now + Self.maxWait)
        // They may be a little late; never all at one moment.
        let wait = turn - now
        let spread = UInt64.random(in: 0...max(wait / 4, 250_000_000), using: &random)
        return .later(milliseconds: (wait + spread) / 1_000_000 + 1)
    }
}
