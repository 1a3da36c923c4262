/// A hybrid logical clock in one integer of microseconds since 1970 (after Kulkarni et al., "Logical Physical Clocks",
/// 2014): max(now, last + 1, seen + 1). Exact in a double until the year 2255.
public struct HybridLogicalClock: Sendable, Equatable {
    /// A time seen that is ahead of the wall clock by more than this does not drag the clock along, in microseconds.
    public let driftBound: Int64
    public private(set) var last: Int64
    /// How often a time further ahead than the bound was seen.
    public private(set) var refused: UInt64 = 0

    public init(last: Int64 = 0, driftBound: Int64 = 60_000_000) {
        self.last = last
        self.driftBound = driftBound
    }

    /// A new time stamp, later than all given or seen before.
    public mutating func tick(wall: Int64) -> Int64 {
        last = max(wall, last + 1)
        return last
    }

    /// Takes note of a peer's stamp. Returns how far it is ahead of the bound, if it is, and leaves it out then.
    @discardableResult
    public mutating func observe(_ seen: Int64, wall: Int64) -> Int64? {
        if seen > wall + driftBound && seen > last {
            refused += 1
            return seen - wall - driftBound
        }
        last = max(last, seen)
        return nil
    }

    /// Takes a stamp that stands in the log: it binds whatever the wall clock says, since the log's order is the truth.
    public mutating func advance(to stamp: Int64) { last = max(last, stamp) }
}
