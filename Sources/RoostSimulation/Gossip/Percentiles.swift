/// The spread of some times.
struct Percentiles: Sendable {
    let count: Int
    private let sorted: [UInt64]

    init(_ values: [UInt64]) {
        sorted = values.sorted()
        count = values.count
    }

    /// The lowest value that at least this share of all does not exceed; 0 where there are none.
    func value(_ share: Double) -> UInt64 {
        guard !sorted.isEmpty else { return 0 }
        let rank = Int((Double(sorted.count) * share).rounded(.up))
        return sorted[max(0, min(sorted.count, rank) - 1)]
    }

    var p50: UInt64 { value(0.5) }
    var p99: UInt64 { value(0.99) }
    var highest: UInt64 { sorted.last ?? 0 }
}
