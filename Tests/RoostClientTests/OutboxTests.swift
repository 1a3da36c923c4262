import RoostModel
import Testing

@testable import RoostClient

@Suite struct OutboxTests {
    private let other = ConversationID(UUID128(high: 8, low: 8))

    private func ids(_ numbers: UInt64...) -> [MessageID] { numbers.map(MachineHarness.id) }

    @Test func answersEachSend() {
        var harness = MachineHarness()
        harness.open()
        harness.send(1)
        #expect(harness.written == ids(1))
        harness.accept(1)
        #expect(harness.decisions == [.answer(MachineHarness.id(1), .success(MachineHarness.accepted(1)))])
        harness.accept(1)
        #expect(harness.decisions == [])
    }

    @Test func whatWasNotAnsweredIsWrittenAgainInOrderWithItsId() {
        var harness = MachineHarness()
        harness.send(1)
        #expect(harness.written == [])
        harness.feed(.start)
        harness.feed(.connected)
        harness.feed(.received(MachineHarness.welcome))
        #expect(harness.written == ids(1))
        harness.send(2)
        harness.send(3)
        harness.accept(2)
        harness.feed(.closed(code: 1012, reason: ""))
        harness.send(4)
        #expect(harness.written == [])
        harness.open()
        #expect(harness.written == ids(1, 3, 4))
    }

    @Test func aRefusalHoldsItsConversationButNoOther() {
        var harness = MachineHarness()
        harness.open()
        harness.send(1)
        harness.send(2)
        harness.refuse(1, "unavailable", retryable: true, after: 100)
        harness.send(3)
        #expect(harness.written == [])
        harness.send(4, to: other)
        #expect(harness.written == ids(4))
        // 2 is under way still: writing 1 again now could be overtaken by its refusal.
        harness.now += 100
        harness.feed(.wake)
        #expect(harness.written == [])
        harness.refuse(2, "unavailable", retryable: true, after: 100)
        #expect(harness.machine.deadline == harness.now + 100)
        harness.now += 100
        harness.feed(.wake)
        #expect(harness.written == ids(1, 2, 3))
    }

    @Test func aRefusalForGoodIsTheAnswer() {
        var harness = MachineHarness()
        harness.open()
        harness.send(1)
        harness.refuse(1, "not_member", retryable: false)
        guard case .answer(let id, .failure(let error))? = harness.decisions.first else {
            return #expect(Bool(false), "not answered")
        }
        #expect(id == MachineHarness.id(1))
        #expect(error.code == .notMember && !error.retryable)
        harness.refuse(nil, "invalid_json", retryable: false)
        #expect(harness.notices == [.serverError(RoostError(.init(rawValue: "invalid_json"), "no"))])
    }

    @Test func timesOutWhateverTheConnectionDoes() {
        var harness = MachineHarness()
        harness.feed(.start)
        harness.send(1)
        #expect(harness.machine.deadline == 31_000)
        harness.now = 31_000
        harness.feed(.wake)
        guard case .answer(_, .failure(let error))? = harness.decisions.first else {
            return #expect(Bool(false), "not answered")
        }
        #expect(error.code == .timeout && error.retryable)
        #expect(harness.machine.pendingSends == 0)
    }

    @Test func isBounded() {
        var harness = MachineHarness {
            $0.maxSends = 5
            $0.maxInFlight = 2
        }
        harness.open()
        var written: [MessageID] = []
        for number in 1...5 as ClosedRange<UInt64> {
            harness.send(number)
            written += harness.written
        }
        #expect(written == ids(1, 2))
        harness.send(6)
        guard case .answer(_, .failure(let error))? = harness.decisions.first else {
            return #expect(Bool(false), "not answered")
        }
        #expect(error.code == .overloaded && error.retryable)
        harness.accept(1)
        #expect(harness.written == ids(3))
    }

    @Test func oneIdIsOneSend() {
        var harness = MachineHarness()
        harness.open()
        harness.send(1)
        harness.send(1)
        guard case .answer(_, .failure(let error))? = harness.decisions.first else {
            return #expect(Bool(false), "not answered")
        }
        #expect(error.code == .idReused)
    }
}
