import RoostModel
import RoostStorage
import Testing

@testable import RoostNode

@Suite struct RepairTableTests {
    private let nodes: [NodeID] = ["node-2", "node-3"]

    @Test func eachRowIsNotedOnceAndAskedInTurns() {
        var table = RepairTable()
        let isNew = table.note(LogDamage(1, 5, .checksum), now: 10)
        #expect(isNew)
        let isNewAgain = table.note(LogDamage(1, 5, .missing), now: 11)
        #expect(!isNewAgain)
        let isOtherNew = table.note(LogDamage(1, 3, .checksum), now: 12)
        #expect(isOtherNew)
        #expect(table.count == 2 && table.oldest(of: 1) == 10)
        let first = table.nextQuestion(1, candidates: nodes, now: 20)
        #expect(first?.node == "node-2" && first?.indices == [3, 5])
        // It is waited for, then the next is asked.
        let tooEarly = table.nextQuestion(1, candidates: nodes, now: 30)
        #expect(tooEarly == nil)
        let later = 20 + RepairTable.patience
        let second = table.nextQuestion(1, candidates: nodes, now: later)
        #expect(second?.node == "node-3")
        let third = table.nextQuestion(1, candidates: nodes, now: later + RepairTable.patience)
        #expect(third?.node == "node-2")
        // Who is gone is not waited for.
        let gone = table.nextQuestion(1, candidates: ["node-3"], now: later + RepairTable.patience + 1)
        #expect(gone?.node == "node-3")
        let nobody = table.nextQuestion(1, candidates: [], now: .max)
        #expect(nobody == nil)
        let elsewhere = table.nextQuestion(2, candidates: nodes, now: 20)
        #expect(elsewhere == nil)
    }

    @Test func whatIsLeftOfAnAnswerIsAskedAtOnce() {
        var table = RepairTable()
        for index in 1...UInt64(RepairTable.batch + 10) {
            let isNew = table.note(LogDamage(4, index, .checksum), isBlocking: index > 260, now: 1)
            #expect(isNew)
        }
        let first = table.nextQuestion(4, candidates: nodes, now: 2)
        #expect(first?.indices.count == RepairTable.batch && first?.indices.last == UInt64(RepairTable.batch + 10))
        for index in first?.indices ?? [] { table.remove(4, index) }
        table.answered(4, by: "node-2")
        let rest = table.nextQuestion(4, candidates: nodes, now: 3)
        #expect(rest?.indices.count == 10 && rest?.node == "node-2")
        // Who had nothing is not asked again before the others.
        let early = table.nextQuestion(4, candidates: nodes, now: 4)
        #expect(early == nil)
        let other = table.nextQuestion(4, candidates: nodes, now: 3 + RepairTable.patience)
        #expect(other?.node == "node-3")
        for index in table.indices(of: 4) { table.remove(4, index) }
        #expect(table.count == 0 && table.partitions.isEmpty && table.oldest(of: 4) == nil)
    }

    @Test func aDoubtfulRowIsNoDamage() {
        var table = RepairTable()
        _ = table.note(LogDamage(1, 5, .checksum), now: 1)
        let isKnown = table.noteDoubtful(1, 5, now: 2)
        let isNew = table.noteDoubtful(1, 4, now: 2)
        #expect(!isKnown && isNew)
        #expect(table.isDamaged(1, 5) && !table.isDamaged(1, 4) && table.indices(of: 1) == [4, 5])
    }

    @Test func itHasABound() {
        var table = RepairTable()
        for index in 1...UInt64(RepairTable.maxHoles) { _ = table.note(LogDamage(1, index, .checksum), now: 1) }
        let isNoted = table.note(LogDamage(2, 1, .checksum), now: 1)
        #expect(!isNoted)
        #expect(table.count == RepairTable.maxHoles)
        table.remove(1, 7)
        let isNotedNow = table.note(LogDamage(2, 1, .checksum), now: 1)
        #expect(isNotedNow)
    }

    @Test func aScrubIsWholeWhenItIsBackWhereItBegan() {
        for begin in [0, 2] as [UInt64] {
            var options = ClusterConfig.Durability()
            options.scrubMinRowsPerSecond = 10
            var scrubber = Scrubber(options: options, begin: begin)
            let began = scrubber.nextStep(wall: 1, size: 0)
            #expect(began?.limit == 10)
            let another = scrubber.nextStep(wall: 1, size: 0)
            #expect(another == nil, "one step at a time")
            var step = ScrubStep()
            step.rows = 10
            step.next = ScrubPlace(logOf: 3)
            scrubber.ended(step, wall: 2)
            #expect(scrubber.passes == 0)
            // The last table ends: from the log's begin on.
            step.next = nil
            _ = scrubber.nextStep(wall: 3, size: 0)
            scrubber.ended(step, wall: 3)
            #expect(scrubber.passes == (begin == 0 ? 1 : 0))
            guard begin > 0 else { continue }
            for (place, passes) in [(1, 0), (2, 1)] as [(PartitionID, UInt64)] {
                _ = scrubber.nextStep(wall: 4, size: 0)
                step.next = ScrubPlace(logOf: place)
                scrubber.ended(step, wall: 4)
                #expect(scrubber.passes == passes)
            }
            #expect(scrubber.lastPassAt == 4 && scrubber.rows == 40)
        }
        var never = ClusterConfig.Durability()
        never.scrubDays = 0
        var scrubber = Scrubber(options: never, begin: 0)
        let none = scrubber.nextStep(wall: 1, size: 1 << 40)
        #expect(none == nil)
        never.scrubDays = 7
        scrubber = Scrubber(options: never, begin: 0)
        let large = scrubber.nextStep(wall: 1, size: 64 * 604_800 * 5_000)
        #expect(large?.limit == 5_001)
    }
}
