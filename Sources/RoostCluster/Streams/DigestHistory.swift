internal import DequeModule

/// The digest of a node's sessions, now and a while ago. A leader's digest may lag: what has changed since is on its way
/// to it. Only one that was never right of late shows that the two have parted.
package struct DigestHistory: Sendable {
    /// Nanoseconds for which a former digest still counts.
    package static let memory: UInt64 = 3_000_000_000
    /// Former digests kept. Above it, which takes thousands of changes a second, the oldest go early: at worst streams
    /// are opened again for nothing.
    package static let limit = 16_384

    package private(set) var current: UInt64 = 0
    /// Each until when it was right, ascending.
    private var former: Deque<(digest: UInt64, until: UInt64)> = []

    package init() {}

    /// A session came or went.
    package mutating func toggle(_ digest: UInt64, now: UInt64) {
        if former.count >= Self.limit { former.removeFirst() }
        former.append((current, now))
        current ^= digest
    }

    /// Whether the digest is right, or was so lately.
    package mutating func matches(_ digest: UInt64, now: UInt64) -> Bool {
        while let first = former.first, first.until + Self.memory < now { former.removeFirst() }
        return digest == current || former.contains { $0.digest == digest }
    }
}
