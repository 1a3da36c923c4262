import RoostModel
import Testing

@Suite("Hybrid logical clock")
struct HybridLogicalClockTests {
    @Test("It follows the wall clock, and never stands still or goes back")
    func ticks() {
        var clock = HybridLogicalClock()
        #expect(clock.tick(wall: 1_000) == 1_000)
        #expect(clock.tick(wall: 1_000) == 1_001)
        #expect(clock.tick(wall: 500) == 1_002)
        #expect(clock.tick(wall: 2_000) == 2_000)
    }

    @Test("What follows a stamp that was seen sorts after it")
    func observes() {
        var clock = HybridLogicalClock()
        clock.advance(to: 1_050)
        #expect(clock.tick(wall: 1_000) == 1_051)
        clock.advance(to: 900)
        #expect(clock.tick(wall: 1_000) == 1_052)
    }

    @Test("A stamp of the log binds, whatever the wall clock says")
    func advances() {
        var clock = HybridLogicalClock(last: 10)
        clock.advance(to: 1_000_000)
        #expect(clock.tick(wall: 20) == 1_000_001)
        clock.advance(to: 5)
        #expect(clock.last == 1_000_001)
    }

    @Test("Stamps of our century are exact in a double")
    func exact() {
        let year2255: Int64 = 9_000_000_000_000_000
        #expect(Int64(exactly: Double(year2255 - 1)) == year2255 - 1)
    }

    @Test("Clocks that talk to each other never order a reply before what it answers")
    func causality() {
        var generator = SeededGenerator(seed: 3)
        var clocks = [HybridLogicalClock](repeating: HybridLogicalClock(), count: 4)
        let offsets: [Int64] = [0, 30_000, -45_000, 1_000]
        for step in 0..<5_000 {
            let from = Int.random(in: 0..<4, using: &generator)
            let to = Int.random(in: 0..<4, using: &generator)
            let time = Int64(step) * 7 + 1_000_000
            let sent = clocks[from].tick(wall: time + offsets[from])
            clocks[to].advance(to: sent)
            #expect(clocks[to].tick(wall: time + offsets[to]) > sent)
        }
    }
}
