package import RoostModel

/// Whether this node's wall clock agrees with those of the others, and what time it is where it does not: the nearest
/// time that the middle of all clocks allows (a fault-tolerant midpoint in the sense of Lamport, Melliar-Smith:
/// "Synchronizing clocks in the presence of faults", 1985; one clock of three, or two of five, may be anywhere).
///
/// Clocks are compared as their distance from this node's monotonic clock, so that a jump of the own wall clock shows at
/// once, not when somebody writes next. Microseconds, but for `now`, which is nanoseconds.
package struct ClockWatch: Sendable {
    /// How far the own clock may be from the others before it is not believed.
    package let bound: Int64
    private var offsets: [NodeID: (offset: Int64, heardAt: UInt64)] = [:]
    /// What the others allow, as distances from the monotonic clock; nil while they are too few to tell.
    private var allowed: ClosedRange<Int64>?
    /// Others heard that long ago, in nanoseconds, no longer count: monotonic clocks drift apart.
    private static let memory: UInt64 = 600_000_000_000

    package init(bound: Int64) { self.bound = max(1, bound) }

    /// A peer said what its wall clock shows; the time on the way is part of the error.
    package mutating func heard(_ wall: Int64, from node: NodeID, now: UInt64) {
        offsets[node] = (wall - Int64(clamping: now / 1_000), now)
        settle(now)
    }

    package mutating func forget(_ node: NodeID, now: UInt64) {
        offsets[node] = nil
        settle(now)
    }

    private mutating func settle(_ now: UInt64) {
        offsets = offsets.filter { now < $0.value.heardAt + Self.memory }
        let sorted = offsets.values.map(\.offset).sorted()
        // The own clock between the two in the middle is the median; with one other nobody can tell who is wrong.
        let half = sorted.count / 2
        if sorted.count < 2 {
            allowed = nil
        } else if sorted.count % 2 == 0 {
            allowed = sorted[half - 1]...sorted[half]
        } else {
            allowed = sorted[half - 1]...sorted[half + 1]
        }
    }

    /// How far the own clock is ahead of what the others allow; negative where it is behind.
    package func skew(own wall: Int64, now: UInt64) -> Int64 {
        guard let allowed else { return 0 }
        let own = wall - Int64(clamping: now / 1_000)
        return own - min(max(own, allowed.lowerBound), allowed.upperBound)
    }

    /// The own clock, or the others' where it is off by more than the bound.
    package func time(own wall: Int64, now: UInt64) -> Int64 {
        let skew = skew(own: wall, now: now)
        return abs(skew) <= bound ? wall : wall - skew
    }

    /// By which it is judged what is old enough to be removed: with one other clock the earlier of both, since nobody can
    /// tell who is wrong; nil where no other was heard.
    package func removalTime(own wall: Int64, now: UInt64) -> Int64? {
        guard offsets.count < 2 else { return time(own: wall, now: now) }
        return offsets.first.map { min(wall, $0.value.offset + Int64(clamping: now / 1_000)) }
    }

    /// How far each peer's clock is ahead of the own one.
    package func differences(own wall: Int64, now: UInt64) -> [(node: NodeID, ahead: Int64)] {
        let own = wall - Int64(clamping: now / 1_000)
        return offsets.map { ($0.key, $0.value.offset - own) }.sorted { $0.0 < $1.0 }
    }
}
