import RoostCluster
import RoostModel
import Testing

@Suite struct ClockWatchTests {
    private let hour: Int64 = 3_600_000_000
    private let wall: Int64 = 1_700_000_000_000_000
    private let now: UInt64 = 50_000_000_000

    private func watch(_ offsets: Int64...) -> ClockWatch {
        var watch = ClockWatch(bound: 5_000_000)
        for (number, offset) in offsets.enumerated() {
            watch.heard(wall + offset, from: NodeID("node-\(number + 2)"), now: now)
        }
        return watch
    }

    @Test func alone() {
        #expect(watch().time(own: wall, now: now) == wall)
        // One other: either may be wrong.
        #expect(watch(hour).time(own: wall, now: now) == wall)
        #expect(watch(hour).skew(own: wall, now: now) == 0)
    }

    /// A clock that is ahead removes nothing where nobody can tell that it is.
    @Test func nothingIsRemovedByOneClockAlone() {
        #expect(watch().removalTime(own: wall, now: now) == nil)
        #expect(watch(-hour).removalTime(own: wall, now: now) == wall - hour)
        #expect(watch(hour).removalTime(own: wall, now: now) == wall)
        #expect(watch(-hour, -hour).removalTime(own: wall, now: now) == wall - hour)
    }

    @Test func oneOfThreeMayBeAnywhere() {
        #expect(watch(hour, 3).time(own: wall, now: now) == wall)
        #expect(watch(-hour, 3).time(own: wall, now: now) == wall)
        let off = watch(-hour, -hour + 7)
        #expect(off.skew(own: wall, now: now) == hour - 7)
        #expect(off.time(own: wall, now: now) == wall - hour + 7)
        #expect(watch(hour, hour + 7).time(own: wall, now: now) == wall + hour)
    }

    @Test func twoOfFiveMayBeAnywhere() {
        #expect(watch(hour, -1, 2, hour).time(own: wall, now: now) == wall)
        #expect(watch(-hour, -hour, 1, 9 * hour).time(own: wall, now: now) == wall)
        #expect(watch(hour, hour, hour, -hour).time(own: wall, now: now) == wall + hour)
    }

    @Test func smallDifferencesAreLeftAlone() {
        #expect(watch(4_000_000, 4_000_001).time(own: wall, now: now) == wall)
        #expect(watch(4_000_000, 4_000_001).skew(own: wall, now: now) == -4_000_000)
    }

    /// Also while nobody says anything new.
    @Test func anOwnJumpShowsAtOnce() {
        let watch = watch(0, 100)
        let later = now + 3_000_000_000
        #expect(watch.time(own: wall + 3_000_000, now: later) == wall + 3_000_000)
        #expect(watch.time(own: wall + 3_000_000 + hour, now: later) == wall + 3_000_100)
        #expect(watch.time(own: wall + 3_000_000 - hour, now: later) == wall + 3_000_000)
    }

    @Test func thoseNotHeardForLongDoNotCount() {
        var watch = watch(hour, hour)
        let later = now + 700_000_000_000
        watch.heard(wall + 700_000_000, from: "node-9", now: later)
        #expect(watch.time(own: wall + 700_000_000, now: later) == wall + 700_000_000)
        #expect(watch.differences(own: wall + 700_000_000, now: later).map(\.ahead) == [0])
    }
}
