import NIOCore
import RoostModel
import RoostProtocol
import Testing

@testable import RoostNode

@Suite struct RepairPlanTests {
    private func entry(_ index: UInt64, _ term: UInt64) -> RaftEntry {
        RaftEntry(index: index, term: term, kind: .command, payload: ByteBuffer(integer: index))
    }

    /// The own log by its terms, nil where a row is damaged.
    private func plan(_ log: [UInt64?], _ rows: [RaftEntry], applied: UInt64 = 0) -> RepairPlan {
        func own(_ index: UInt64) -> UInt64? { index > 0 && index <= log.count ? log[Int(index) - 1] : nil }
        return RepairPlan(
            rows.map { .init(entry: $0, own: own($0.index), before: own($0.index - 1)) }, applied: applied)
    }

    @Test func whatStandsBehindItsOwnTermIsWritten() {
        let found = plan([1, 1, nil, 1], [entry(3, 1)])
        #expect(found.write == [entry(3, 1)] && found.ask.isEmpty && found.agreed.isEmpty)
    }

    @Test func behindALowerTermTheRowBeforeIsComparedFirst() {
        #expect(plan([1, 1, nil, 1], [entry(3, 2)]).ask == [1, 2, 3])
        // A part at a time, and nothing that is committed.
        #expect(plan(Array(repeating: 1, count: 200), [entry(200, 2)]).ask == Set(136...200))
        #expect(plan(Array(repeating: 1, count: 200), [entry(200, 2)], applied: 190).ask == Set(191...200))
        // The first of its term, here as there.
        let same = plan([1, 1, nil, 1], [entry(2, 1), entry(3, 2)])
        #expect(same.write == [entry(3, 2)] && same.agreed == [2] && same.ask.isEmpty)
        // Of a history that was given up, and so may be what stands before it.
        let other = plan([1, 1, nil, 1], [entry(2, 2), entry(3, 2)])
        #expect(other.write.isEmpty && other.ask == [1, 2, 3])
        // What agrees is needed again, beside what was not in the answer.
        let partly = plan([1, 1, nil, 1], [entry(1, 1), entry(3, 2)])
        #expect(partly.agreed.isEmpty && partly.ask == [1, 2, 3])
        let all = plan([1, 1, nil, 1], [entry(1, 1), entry(2, 2), entry(3, 2)])
        #expect(all.write == [entry(2, 2), entry(3, 2)] && all.agreed == [1] && all.ask.isEmpty)
    }

    @Test func whatIsAppliedIsRight() {
        let found = plan([1, 1, nil, 1], [entry(3, 2)], applied: 2)
        #expect(found.write == [entry(3, 2)] && found.ask.isEmpty)
        #expect(plan([nil, 1], [entry(1, 2)]).write == [entry(1, 2)])
    }

    /// A damaged predecessor is mended in its turn.
    @Test func aDamagedPredecessorHoldsNothingUp() {
        #expect(plan([1, nil, nil], [entry(3, 2)]).write == [entry(3, 2)])
        #expect(plan([1, nil, nil], [entry(2, 2), entry(3, 2)]).ask == [1, 2, 3])
    }

    /// A higher term before it cannot stand there: it goes (`LogRepair`).
    @Test func behindAHigherTermItIsWritten() {
        #expect(plan([1, 4, nil], [entry(3, 2)]).write == [entry(3, 2)])
    }

    /// Step by step down to where both logs agree, whatever they are.
    @Test(arguments: UInt64(1)...50) func itEndsWithTheOthersLog(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let common = UInt64.random(in: 0...5, using: &generator)
        let theirs = (1...common + UInt64.random(in: 1...8, using: &generator)).map { $0 <= common ? 1 : 3 as UInt64 }
        var own = (1...common + UInt64.random(in: 1...8, using: &generator)).map { $0 <= common ? 1 : 2 as UInt64? }
        let damaged = UInt64.random(in: 1...UInt64(min(own.count, theirs.count)), using: &generator)
        own[Int(damaged) - 1] = nil
        var asked: Set<UInt64> = [damaged]
        for _ in 0..<20 where !asked.isEmpty {
            let rows = asked.sorted().map { entry($0, theirs[Int($0) - 1]) }
            let found = plan(own, rows)
            for entry in found.write {
                // As `LogRepair` has it; a gap is damage as well.
                if Int(entry.index) <= own.count, own[Int(entry.index) - 1].map({ $0 != entry.term }) ?? false {
                    own.removeSubrange((Int(entry.index) - 1)...)
                }
                while own.count < Int(entry.index) {
                    own.append(nil)
                    asked.insert(UInt64(own.count))
                }
                own[Int(entry.index) - 1] = entry.term
                if Int(entry.index) < own.count, own[Int(entry.index)].map({ $0 < entry.term }) ?? false {
                    own.removeSubrange(Int(entry.index)...)
                }
                asked.remove(entry.index)
            }
            asked.subtract(found.agreed)
            asked.formUnion(found.ask)
            asked = asked.filter { $0 <= own.count }
        }
        #expect(asked.isEmpty)
        // Everything of the others' newest term stands behind what stands there with them.
        for (place, term) in own.enumerated() where term == 3 {
            #expect(Array(own.prefix(place)) == theirs.prefix(place).map { $0 })
        }
    }
}
