internal import Histogram

/// Latencies of what was due in a part of a run; microseconds.
struct BenchPhase: Sendable {
    var name: String
    /// Nanoseconds of the monotonic clock.
    var from: UInt64
    var delivery = Histogram<UInt64>(numberOfSignificantValueDigits: .three)
    var accept = Histogram<UInt64>(numberOfSignificantValueDigits: .three)

    init(name: String, from: UInt64) {
        self.name = name
        self.from = from
    }

    mutating func add(_ other: BenchPhase) {
        delivery.add(other.delivery)
        accept.add(other.accept)
    }
}
