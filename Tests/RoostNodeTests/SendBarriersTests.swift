import RoostModel
import Testing

@testable import RoostNode

@Suite struct SendBarriersTests {
    private let one = ConversationID(UUID128(high: 1, low: 1))
    private let other = ConversationID(UUID128(high: 1, low: 2))

    @Test func blocksFromTheRefusalToThePongOfThePingBehindIt() {
        var barriers = SendBarriers()
        #expect(!barriers.needsPing)
        barriers.raise(one)
        #expect(barriers.blocks(one) && !barriers.blocks(other) && barriers.needsPing)
        // Of a ping that was written before.
        barriers.pong(3)
        #expect(barriers.blocks(one))
        barriers.wrote(ping: 4)
        #expect(!barriers.needsPing, "one for each flush")
        barriers.pong(3)
        #expect(barriers.blocks(one))
        barriers.pong(4)
        #expect(!barriers.blocks(one))
    }

    @Test func aPongIsForWhatCameBeforeItsPingAlone() {
        var barriers = SendBarriers()
        barriers.raise(one)
        barriers.raise(other)
        barriers.wrote(ping: 1)
        // Refused once more, before the pong of the first came back.
        barriers.raise(one)
        barriers.wrote(ping: 2)
        barriers.pong(1)
        #expect(barriers.blocks(one) && !barriers.blocks(other))
        barriers.pong(2)
        #expect(!barriers.blocks(one))
    }

    @Test func onePongIsForAllBeforeIt() {
        var barriers = SendBarriers()
        barriers.raise(one)
        barriers.wrote(ping: 1)
        barriers.raise(other)
        barriers.wrote(ping: 2)
        barriers.pong(5)
        #expect(!barriers.blocks(one) && !barriers.blocks(other))
    }
}
