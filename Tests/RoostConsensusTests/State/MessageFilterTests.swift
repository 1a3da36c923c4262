import RoostConsensus
import RoostModel
import RoostProtocol
import Testing

@Suite struct MessageFilterTests {
    private struct Nobody: KnownMessages {
        func knownMessage(partition: PartitionID, conversation: ConversationID, sender: UserID, id: MessageID)
            -> MessageRow?
        { nil }
    }

    @Test func neverForgetsAnIdAndSparesMostLookups() {
        let filter = MessageFilter(capacity: 10_000, known: Nobody())
        var generator = SeededGenerator(seed: 7)
        let ids = (0..<10_000).map { _ in MessageID(.version4(using: &generator)) }
        for id in ids { filter.insert(id) }
        #expect(filter.mayContain(MessageID(.version4(using: &generator))), "incomplete: anything may be known")
        filter.complete()
        #expect(ids.allSatisfy { filter.mayContain($0) })
        let wrong = (0..<10_000).count { _ in filter.mayContain(MessageID(.version4(using: &generator))) }
        #expect(wrong < 200, "\(wrong) of 10,000 new ids would be looked up")
    }

    @Test func saysWhenItIsTooSmall() {
        let filter = MessageFilter(capacity: 100, known: Nobody())
        var generator = SeededGenerator(seed: 8)
        while !filter.isFull && filter.idCount < 1_000_000 { filter.insert(hash: generator.next()) }
        #expect(filter.idCount > 100 && filter.idCount < 10_000)
    }
}
