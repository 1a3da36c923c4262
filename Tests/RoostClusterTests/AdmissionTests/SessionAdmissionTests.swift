import RoostCluster
import RoostModel
import Testing

@Suite struct SessionAdmissionTests {
    private static let second: UInt64 = 1_000_000_000

    @Test func letsInOneTurnAfterTheOther() {
        var admission = SessionAdmission(perSecond: 100)
        var random = SeededGenerator(seed: 1)
        let start = 5 * Self.second
        var waits: [UInt64] = []
        func come(_ tries: Int, _ now: UInt64) {
            waits = []
            for _ in 0..<tries {
                if case .admitted(let wait) = admission.admit(now: now, using: &random) { waits.append(wait) }
            }
        }
        come(1_000, start)
        #expect(waits.count == 110, "a tenth of a second's worth at once, and those of the next second are held")
        #expect(waits.count { $0 == 0 } == 10)
        #expect(zip(waits.dropFirst(10), 1...).allSatisfy { $0 == $1 * 10_000_000 })
        come(1_000, start + Self.second / 2)
        #expect(waits.count == 50)
        come(1_000, start + 100 * Self.second)
        #expect(waits.count == 110, "a long pause gives no more")
    }

    /// Ten thousand come at once, and come back when they are told to, as the client library does: in whole seconds, and up
    /// to half as much later.
    @Test(arguments: 1...3 as ClosedRange<UInt64>) func aHerdIsLetInAtTheRate(seed: UInt64) {
        let perSecond = 400
        var admission = SessionAdmission(perSecond: perSecond)
        var random = SeededGenerator(seed: seed)
        var arrivals = (0..<10_000).map { _ in UInt64.random(in: 0...200_000_000, using: &random) }
        var admitted: [UInt64: Int] = [:]
        var attempts = 0
        var last: UInt64 = 0
        while !arrivals.isEmpty {
            arrivals.sort()
            var again: [UInt64] = []
            // In the order of time: who comes back within this round is looked at in the next.
            let horizon = arrivals[0] + 100_000_000
            for now in arrivals {
                guard now < horizon else {
                    again.append(now)
                    continue
                }
                attempts += 1
                switch admission.admit(now: now, using: &random) {
                case .admitted(let wait):
                    admitted[(now + wait) / Self.second, default: 0] += 1
                    last = max(last, now + wait)
                case .later(let milliseconds):
                    let seconds = (milliseconds + 999) / 1_000
                    again.append(now + UInt64.random(in: seconds * 1_000...seconds * 1_500, using: &random) * 1_000_000)
                }
            }
            arrivals = again
        }
        #expect(admitted.values.reduce(0, +) == 10_000)
        #expect(admitted.values.allSatisfy { $0 <= perSecond * 11 / 10 + 1 }, "a burst and a second's worth at most")
        #expect(last <= 60 * Self.second, "25 s at the full rate: \(last / Self.second) s")
        #expect(attempts <= 50_000, "\(attempts)")
    }
}
