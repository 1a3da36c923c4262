/// A hybrid logical clock in one integer of microseconds since 1970 (after Kulkarni et al., "Logical Physical Clocks",
/// 2014): max(now, last + 1, seen + 1). Exact in a double until the year 2255.
///
/// That no single wrong clock drags it along is seen to where `wall` comes from (the node's clock watch).
public struct HybridLogicalClock: Sendable, Equatable {
    public private(set) var last: Int64

    public init(last: Int64 = 0) { self.last = last }

    /// A new time stamp, later than all given or seen before.
    public mutating func tick(wall: Int64) -> Int64 {
        last = max(wall, last + 1)
        return last
    }

    /// Takes a stamp that stands in the log: it binds whatever the wall clock says, since the log's order is the truth.
    public mutating func advance(to stamp: Int64) { last = max(last, stamp) }
}
