import RoostCluster
import RoostModel
import Testing

@Suite struct StreamReceiverTests {
    private func open(term: UInt64 = 3, position: UInt64 = 7) -> StreamReceiver {
        var receiver = StreamReceiver()
        _ = receiver.leaderKnown("n1", term: term)
        receiver.opening(request: 1)
        #expect(receiver.opened(request: 1, by: "n1", term: term, position: position) == true)
        return receiver
    }

    @Test func proves() {
        var receiver = open()
        #expect(receiver.receive(from: "n1", term: 3, position: 8) == .accept)
        #expect(receiver.receive(from: "n1", term: 3, position: 9) == .accept)
        #expect(receiver.receive(from: "n1", term: 3, position: 11) == .gap)
        #expect(receiver.receive(from: "n1", term: 3, position: 9) == .gap)
        #expect(receiver.receive(from: "n2", term: 3, position: 10) == .stale)
        #expect(receiver.receive(from: "n1", term: 2, position: 10) == .stale)
        #expect(receiver.receive(from: "n1", term: 3, position: 10) == .accept)
    }

    @Test func takesAllWhileItOpensAndNothingWhileItIsClosed() {
        var receiver = StreamReceiver()
        #expect(receiver.receive(from: "n1", term: 3, position: 1) == .stale)
        #expect(receiver.leaderKnown("n1", term: 3) == true)
        receiver.opening(request: 5)
        #expect(receiver.receive(from: "n1", term: 3, position: 4) == .accept)
        #expect(receiver.receive(from: "n1", term: 2, position: 4) == .stale)
        #expect(receiver.opened(request: 4, by: "n1", term: 3, position: 0) == false)
        #expect(!receiver.isOpen)
        #expect(receiver.opened(request: 5, by: "n1", term: 3, position: 4) == true)
        #expect(receiver.receive(from: "n1", term: 3, position: 5) == .accept)
    }

    @Test func aNewTermOrLeaderBeginsAnew() {
        var receiver = open()
        #expect(receiver.leaderKnown("n1", term: 3) == false)
        #expect(receiver.leaderKnown("n2", term: 2) == false)
        #expect(receiver.isOpen)
        #expect(receiver.leaderKnown("n2", term: 4) == true)
        #expect(!receiver.isOpen && receiver.leader == "n2" && receiver.term == 4)
    }

    @Test func statusFindsWhatIsMissing() {
        var receiver = open()
        #expect(receiver.status(from: "n1", term: 3, position: 7, matches: true) == false)
        #expect(receiver.status(from: "n1", term: 3, position: 8, matches: true) == true)
        #expect(receiver.status(from: "n2", term: 2, position: 1, matches: false) == false)
        #expect(receiver.status(from: "n2", term: 4, position: 0, matches: true) == true)
        #expect(receiver.leader == "n2")
        // Closed with a leader known: it is time to open.
        #expect(receiver.status(from: "n2", term: 4, position: 0, matches: true) == true)
        receiver.opening(request: 2)
        #expect(receiver.status(from: "n2", term: 4, position: 0, matches: false) == false)
    }

    @Test func oneDifferingDigestMayBeACrossing() {
        var receiver = open()
        #expect(receiver.status(from: "n1", term: 3, position: 7, matches: false) == false)
        #expect(receiver.status(from: "n1", term: 3, position: 7, matches: true) == false)
        #expect(receiver.status(from: "n1", term: 3, position: 7, matches: false) == false)
        #expect(receiver.status(from: "n1", term: 3, position: 7, matches: false) == true)
    }

    @Test func sessionsThatJoinExplainADifference() {
        var receiver = open()
        receiver.joinBegan()
        for _ in 0..<5 { #expect(receiver.status(from: "n1", term: 3, position: 7, matches: false) == false) }
        // The answer comes in two parts.
        #expect(receiver.joined(by: "n1", term: 3, ends: false) == true)
        #expect(receiver.joining == 1)
        #expect(receiver.joined(by: "n1", term: 3) == true)
        #expect(receiver.joining == 0)
        #expect(receiver.status(from: "n1", term: 3, position: 7, matches: false) == false)
        #expect(receiver.status(from: "n1", term: 3, position: 7, matches: false) == true)
        // Of another stream than this.
        receiver.joinBegan()
        #expect(receiver.joined(by: "n2", term: 3) == false)
        receiver.close()
        #expect(receiver.joined(by: "n1", term: 3) == false)
    }
}

@Suite struct DigestHistoryTests {
    @Test func whatWasRightOfLateIsNoDifference() {
        var history = DigestHistory()
        history.toggle(0b01, now: 0)
        history.toggle(0b10, now: 1_000)
        #expect(history.current == 0b11)
        for digest: UInt64 in [0b00, 0b01, 0b11] { #expect(history.matches(digest, now: 2_000) == true) }
        #expect(history.matches(0b10, now: 2_000) == false)
        let later = DigestHistory.memory + 500
        #expect(history.matches(0b00, now: later) == false)
        #expect(history.matches(0b01, now: later) == true)
        #expect(history.matches(0b11, now: .max) == true)
        #expect(history.matches(0b01, now: .max) == false)
    }

    @Test func itIsBounded() {
        var history = DigestHistory()
        for number in 0..<UInt64(DigestHistory.limit) * 2 { history.toggle(1 << (number % 60), now: number) }
        #expect(history.matches(history.current, now: 0) == true)
    }
}
