/// How fast a node opens sessions: a token bucket. Who comes while it is empty is told when his turn is, one after the
/// other, so that a herd comes back spread over the time it takes to let it in. Times in nanoseconds.
package struct SessionAdmission: Sendable {
    package enum Decision: Sendable, Equatable {
        case admitted
        /// Not before so many milliseconds.
        case later(milliseconds: UInt64)
    }

    /// Nobody is told to stay away for longer: the estimate is no better than that.
    package static let maxWait: UInt64 = 60_000_000_000

    private let limit: RateLimit?
    private var bucket = TokenBucket()
    /// The turn of the last of those who were told to come back.
    private var turn: UInt64 = 0

    /// - Parameter perSecond: also how many may come at once after a pause.
    package init(perSecond: Int) {
        limit = RateLimit(max(1, perSecond))
    }

    package mutating func admit(now: UInt64, using random: inout some RandomNumberGenerator) -> Decision {
        guard let limit, bucket.take(limit, now: now) != nil else { return .admitted }
        turn = min(max(turn, now) + limit.interval, now + Self.maxWait)
        // They may be a little late; never all at one moment.
        let wait = turn - now
        let spread = UInt64.random(in: 0...max(wait / 4, 250_000_000), using: &random)
        return .later(milliseconds: (wait + spread) / 1_000_000 + 1)
    }
}
