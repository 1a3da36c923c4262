import RoostModel
import Testing

@testable import RoostNode

@Suite struct SendBarriersTests {
    private let one = ConversationID(UUID128(high: 1, low: 1))
    private let other = ConversationID(UUID128(high: 1, low: 2))

    @Test func blocksFromTheRefusalToThePongOfThePingBehindIt() throws {
        var barriers = SendBarriers()
        let none = barriers.takePing()
        #expect(none == nil)
        barriers.raise(one)
        #expect(barriers.blocks(one) && !barriers.blocks(other))
        let taken = barriers.takePing()
        let ping = try #require(taken)
        let more = barriers.takePing()
        #expect(more == nil, "one for each flush")
        let answered = barriers.pong(ping)
        #expect(answered && !barriers.blocks(one))
    }

    @Test func aPongIsForWhatCameBeforeItsPingAlone() {
        var barriers = SendBarriers()
        barriers.raise(one)
        barriers.raise(other)
        let first = barriers.takePing() ?? 0
        // Refused once more, before the pong of the first came back.
        barriers.raise(one)
        let second = barriers.takePing() ?? 0
        var isOurs = barriers.pong(first)
        #expect(isOurs)
        #expect(barriers.blocks(one) && !barriers.blocks(other))
        isOurs = barriers.pong(second)
        #expect(isOurs)
        #expect(!barriers.blocks(one))
    }

    @Test func pongsOfOtherPingsAreNotTaken() {
        var barriers = SendBarriers()
        barriers.raise(one)
        _ = barriers.takePing()
        for payload: UInt64 in [0, 17] {
            let isOurs = barriers.pong(payload)
            #expect(!isOurs)
        }
        #expect(barriers.blocks(one))
    }
}
