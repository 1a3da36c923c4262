import RoostModel
import RoostStorage

/// How fast the whole database is read and checked, and how far that is. Circular: a life begins anywhere, so that a
/// node that is often started again does not check the same rows each time.
struct Scrubber: Sendable {
    /// Bodies read in a step at most.
    static let maxBytes = 4 << 20
    /// About what a row takes on disk at least: to guess how many there are.
    private static let bytesPerRow: UInt64 = 64

    /// 0: never.
    private let days: Int
    private let minRowsPerSecond: Int
    private let begin: PartitionID
    private var place: ScrubPlace
    private var hasWrapped = false
    /// A step is out.
    private(set) var isReading = false
    private(set) var passStartedAt: Int64?
    private(set) var passRows: UInt64 = 0
    /// Rows of the last whole pass; until there is one, a guess.
    private var expectedRows: UInt64 = 0
    private(set) var rows: UInt64 = 0
    private(set) var passes: UInt64 = 0
    /// Microseconds since 1970.
    private(set) var lastPassAt: Int64?

    init(options: ClusterConfig.Durability, begin partition: UInt64) {
        days = options.scrubDays
        minRowsPerSecond = options.scrubMinRowsPerSecond
        begin = PartitionID(UInt16(truncatingIfNeeded: partition))
        place = ScrubPlace(logOf: begin)
    }

    /// How much of the pass is done, 0 to 1.
    var progress: Double { expectedRows == 0 ? 0 : min(1, Double(passRows) / Double(expectedRows)) }

    /// Rows of one second; nil where nothing is to be done. `size`: bytes of the database.
    mutating func nextStep(wall: Int64, size: UInt64) -> (place: ScrubPlace, limit: Int)? {
        guard days > 0, !isReading else { return nil }
        isReading = true
        if passStartedAt == nil { passStartedAt = wall }
        if passes == 0 { expectedRows = max(1, size / Self.bytesPerRow) }
        let needed = expectedRows / UInt64(days * 86_400) + 1
        return (place, max(minRowsPerSecond, Int(clamping: needed)))
    }

    mutating func ended(_ step: ScrubStep?, wall: Int64) {
        isReading = false
        guard let step else { return }
        rows += UInt64(step.rows)
        passRows += UInt64(step.rows)
        if let next = step.next {
            place = next
        } else {
            place = .start
            hasWrapped = true
        }
        // Round once, and back where it began.
        guard hasWrapped, begin == 0 || place.hasReached(begin) else { return }
        passes += 1
        lastPassAt = wall
        expectedRows = max(1, passRows)
        passStartedAt = nil
        passRows = 0
        hasWrapped = false
    }
}
