import RoostCluster
import RoostModel
import Testing

@Suite struct SessionAdmissionTests {
    private static let second: UInt64 = 1_000_000_000

    @Test func letsABurstInAndThenItsRate() {
        var admission = SessionAdmission(perSecond: 100)
        var random = SeededGenerator(seed: 1)
        let start = 5 * Self.second
        func count(_ tries: Int, _ now: UInt64) -> Int {
            (0..<tries).count { _ in admission.admit(now: now, using: &random) == .admitted }
        }
        #expect(count(1_000, start) == 100)
        #expect(count(1_000, start + Self.second / 2) == 50)
        #expect(count(1_000, start + 100 * Self.second) == 100, "a long pause gives no more than a burst")
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
                case .admitted:
                    admitted[now / Self.second, default: 0] += 1
                    last = max(last, now)
                case .later(let milliseconds):
                    let seconds = (milliseconds + 999) / 1_000
                    again.append(now + UInt64.random(in: seconds * 1_000...seconds * 1_500, using: &random) * 1_000_000)
                }
            }
            arrivals = again
        }
        #expect(admitted.values.reduce(0, +) == 10_000)
        #expect(admitted.values.allSatisfy { $0 <= 2 * perSecond }, "a burst and a second's worth at most")
        #expect(last <= 60 * Self.second, "25 s at the full rate: \(last / Self.second) s")
        #expect(attempts <= 50_000, "\(attempts)")
    }
}
