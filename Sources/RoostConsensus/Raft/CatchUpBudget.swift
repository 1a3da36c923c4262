/// Bounds what a leader spends on replicas that are far behind, so that filling one does not slow the others: a bucket
/// that leaks at a steady rate (the virtual scheduling form of ITU-T I.371's generic cell rate algorithm).
package struct CatchUpBudget: Sendable {
    /// Bytes a second.
    private let rate: UInt64
    /// When all that was charged has leaked away, nanoseconds.
    private var emptyAt: UInt64 = 0

    package init(bytesPerSecond: Int) { rate = UInt64(max(1, bytesPerSecond)) }

    /// Takes note of `bytes` that are about to be sent; they may be at most one second ahead of the rate.
    /// - Returns: how long to wait before they are, nanoseconds.
    package mutating func charge(bytes: Int, now: UInt64) -> UInt64 {
        let before = max(emptyAt, now)
        emptyAt = before + UInt64(max(0, bytes)) * 1_000_000_000 / rate
        return before - now
    }
}
