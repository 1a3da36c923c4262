import RoostModel
import Testing

@testable import RoostClient

@Suite struct InboxTests {
    @Test func acknowledgesWhatTheConsumerIsDoneWith() {
        var harness = MachineHarness()
        harness.open()
        harness.message(1, seq: 1)
        #expect(harness.decisions == [.wakeConsumer])
        harness.message(2, seq: 2)
        #expect(harness.take() == 1)
        // It has it, but is not done.
        #expect(harness.machine.inbox.ackDue == nil)
        #expect(harness.take() == 2)
        #expect(harness.machine.deadline == harness.now + 50)
        harness.now += 50
        harness.feed(.wake)
        #expect(harness.acks == [1])
        #expect(harness.take() == nil)
        harness.now += 50
        harness.feed(.wake)
        #expect(harness.acks == [2])
        harness.feed(.wake)
        #expect(harness.acks == [])
    }

    @Test func acknowledgesAtOnceWhenItIsMuch() {
        var harness = MachineHarness { $0.ackBatch = 3 }
        harness.open()
        for seq in 1...3 as ClosedRange<UInt64> { harness.message(seq, seq: seq) }
        for _ in 1...3 { _ = harness.take() }
        #expect(harness.acks == [])
        _ = harness.take()
        #expect(harness.acks == [3])
    }

    @Test func aSlowConsumerHoldsTheWindow() {
        var harness = MachineHarness()
        harness.open()
        for seq in 1...4 as ClosedRange<UInt64> { harness.message(seq, seq: seq) }
        harness.now += 10_000
        harness.feed(.wake)
        #expect(harness.acks == [])
        #expect(harness.machine.inbox.count == 4)
    }

    @Test func filtersWhatComesAgainInALaterSession() {
        var harness = MachineHarness()
        harness.open()
        for seq in 1...3 as ClosedRange<UInt64> { harness.message(seq, seq: seq) }
        #expect(harness.take() == 1)
        #expect(harness.take() == 2)
        harness.feed(.closed(code: nil, reason: ""))
        harness.open()
        // All three again, and a new one.
        for seq in 1...4 as ClosedRange<UInt64> { harness.message(seq, seq: seq) }
        #expect(harness.machine.inbox.count == 2)
        // 1 was done with before the connection was lost; 2 is in the consumer's hands; 3 waits.
        harness.now += 50
        harness.feed(.wake)
        #expect(harness.acks == [1])
        #expect(harness.take() == 3)
        #expect(harness.take() == 4)
        #expect(harness.take() == nil)
        harness.now += 50
        harness.feed(.wake)
        #expect(harness.acks == [4])
    }

    @Test func aGapIsNoReasonToWait() {
        // One's own messages leave holes.
        var harness = MachineHarness()
        harness.open()
        harness.message(1, seq: 5)
        harness.message(2, seq: 9)
        #expect(harness.take() == 5)
        #expect(harness.take() == 9)
    }

    @Test func aConsumerThatNeverComesBoundsMemoryAcrossSessions() {
        var harness = MachineHarness()
        harness.open()
        var conversation: UInt64 = 100
        var hungUp = false
        sessions: for _ in 0..<10 {
            for n in 1...4 as ClosedRange<UInt64> {
                conversation += 1
                harness.message(n, seq: 1, in: ConversationID(UUID128(high: 1, low: conversation)))
                if harness.decisions.contains(.hangUp(code: 1000, reason: "the consumer is too far behind")) {
                    hungUp = true
                    break sessions
                }
            }
            harness.feed(.closed(code: nil, reason: ""))
            if harness.machine.phase == .paused { break }
            harness.open()
        }
        #expect(harness.machine.inbox.count <= 16)
        #expect(harness.machine.phase == .paused)
        #expect(harness.machine.deadline == nil)
        #expect(!hungUp || harness.machine.inbox.count == 16)
        // Room again: it connects.
        while harness.machine.phase == .paused { _ = harness.take() }
        #expect(harness.decisions.contains { if case .dial = $0 { true } else { false } })
        #expect(harness.machine.inbox.count == 8)
    }

    @Test func remembersABoundedNumberOfConversations() {
        var harness = MachineHarness { $0.maxConversations = 8 }
        harness.open()
        for number in 1...100 as ClosedRange<UInt64> {
            harness.message(number, seq: 1, in: ConversationID(UUID128(high: 1, low: number)))
            #expect(harness.take() == 1)
            #expect(harness.take() == nil)
        }
        #expect(harness.machine.inbox.rememberedConversations <= 9)
        // The latest are still known.
        harness.message(101, seq: 1, in: ConversationID(UUID128(high: 1, low: 100)))
        #expect(harness.take() == nil)
    }
}
