/// So many in a time, and so many at once after a pause.
package struct RateLimit: Sendable, Equatable {
    /// Nanoseconds that one takes.
    package let interval: UInt64
    /// Nanoseconds that may be taken ahead.
    package let burst: UInt64

    /// - Parameters:
    ///   - count: 0 for no limit.
    ///   - seconds: in which so many are let through.
    ///   - atOnce: a multiple of `count`.
    package init?(_ count: Int, perSeconds seconds: UInt64 = 1, atOnce: UInt64 = 1) {
        guard count > 0 else { return nil }
        interval = max(1, seconds * 1_000_000_000 / UInt64(count))
        burst = max(interval, seconds * 1_000_000_000 * max(1, atOnce))
    }

    /// - Parameter atOnce: in a number of its own, at least 1.
    package init(perSecond count: UInt64, atOnce: UInt64) {
        interval = max(1, 1_000_000_000 / max(1, count))
        burst = max(1, atOnce) * interval
    }
}

/// The state of one rate (GCRA, ITU-T I.371). Times in nanoseconds of one clock.
package struct TokenBucket: Sendable, Equatable {
    /// When all of the burst is there again.
    private var fullAt: UInt64 = 0

    package init() {}

    package func isFull(at now: UInt64) -> Bool { fullAt <= now }

    /// Nanoseconds until one more is let through; nil: at once.
    package func wait(_ limit: RateLimit, now: UInt64) -> UInt64? {
        let next = max(fullAt, now) + limit.interval
        return next <= now + limit.burst ? nil : next - now - limit.burst
    }

    /// Takes one that is let through within so many nanoseconds, and says after how many; or takes nothing.
    package mutating func reserve(
        _ limit: RateLimit, within longest: UInt64, now: UInt64
    ) -> (isTaken: Bool, wait: UInt64) {
        let wait = wait(limit, now: now) ?? 0
        guard wait <= longest else { return (false, wait) }
        fullAt = max(fullAt, now) + limit.interval
        return (true, wait)
    }

    /// Takes one, or says how long to wait, and takes nothing.
    package mutating func take(_ limit: RateLimit, now: UInt64) -> UInt64? {
        let (isTaken, wait) = reserve(limit, within: 0, now: now)
        return isTaken ? nil : wait
    }
}

/// Buckets by key, of which only those that are not full are kept. At its bound new keys share one bucket: whoever makes up
/// keys shares the rate of one with all others that do.
package struct BucketTable<Key: Hashable & Sendable>: Sendable {
    private let limit: RateLimit?
    private let capacity: Int
    private var buckets: [Key: TokenBucket] = [:]
    private var shared = TokenBucket()
    /// When full ones were dropped last.
    private var sweptAt: UInt64 = 0

    /// - Parameter limit: nil lets everything through.
    package init(_ limit: RateLimit?, capacity: Int = 65_536) {
        self.limit = limit
        self.capacity = max(1, capacity)
    }

    package var count: Int { buckets.count }

    /// Nanoseconds until the key has one more; nil: at once.
    package func wait(_ key: Key, now: UInt64) -> UInt64? {
        guard let limit else { return nil }
        return (buckets[key] ?? (buckets.count >= capacity ? shared : TokenBucket())).wait(limit, now: now)
    }

    /// Takes one of the key, or says how long to wait, and takes nothing.
    package mutating func take(_ key: Key, now: UInt64) -> UInt64? {
        guard let limit else { return nil }
        if buckets[key] == nil, buckets.count >= capacity { sweep(now) }
        guard buckets[key] != nil || buckets.count < capacity else { return shared.take(limit, now: now) }
        return buckets[key, default: TokenBucket()].take(limit, now: now)
    }

    /// At most once a second: it looks at all of them.
    private mutating func sweep(_ now: UInt64) {
        guard sweptAt == 0 || now >= sweptAt + 1_000_000_000 else { return }
        sweptAt = now
        buckets = buckets.filter { !$0.value.isFull(at: now) }
    }
}
