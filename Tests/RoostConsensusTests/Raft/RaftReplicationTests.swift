import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol
import Testing

@Suite struct RaftReplicationTests {
    private func append(
        term: UInt64, after prevIndex: UInt64, _ prevTerm: UInt64, commit: UInt64 = 0, _ terms: [UInt64]
    ) -> RaftMessage {
        let entries = terms.enumerated().map {
            RaftEntry(
                index: prevIndex + 1 + UInt64($0.offset), term: $0.element, kind: .command,
                payload: ByteBuffer(string: "\($0.element)"))
        }
        return .append(term: term, prevIndex: prevIndex, prevTerm: prevTerm, commit: commit, entries: entries)
    }

    private func follower(_ terms: [UInt64]) -> RaftLab {
        var lab = RaftLab(voters: 3)
        lab.receive(2, .received(append(term: terms.last ?? 1, after: 0, 0, terms), from: RaftPeer(1)))
        lab.sync(2)
        lab.queue = []
        return lab
    }

    @Test func aFollowerConfirmsOnceSynced() {
        var lab = RaftLab(voters: 3)
        lab.receive(2, .received(append(term: 1, after: 0, 0, [1, 1]), from: RaftPeer(1)))
        #expect(lab.queue.isEmpty)
        lab.sync(2)
        #expect(lab.queue.map(\.message) == [.appendReply(term: 1, success: true, index: 2, conflictTerm: 0)])
    }

    @Test func repeatedAppendsDoNotPileUp() {
        var lab = RaftLab(voters: 3)
        let message = append(term: 1, after: 0, 0, [1, 1])
        for _ in 0..<50 { lab.receive(2, .received(message, from: RaftPeer(1))) }
        #expect(lab[2].disk.unsynced.count == 1)
        lab.sync(2)
        #expect(lab.queue.count == 1)
    }

    @Test func aGapIsRefusedWithAHint() {
        var lab = follower([1, 1, 2, 2])
        lab.receive(2, .received(append(term: 5, after: 9, 5, [5]), from: RaftPeer(3)))
        lab.sync(2)
        #expect(lab.queue.map(\.message) == [.appendReply(term: 5, success: false, index: 4, conflictTerm: 2)])
    }

    @Test func aConflictStepsOverAWholeTerm() {
        var lab = follower([1, 1, 4, 4, 4])
        lab.receive(2, .received(append(term: 5, after: 5, 3, [5]), from: RaftPeer(3)))
        lab.sync(2)
        #expect(lab.queue.map(\.message) == [.appendReply(term: 5, success: false, index: 2, conflictTerm: 1)])
    }

    @Test func conflictingEntriesAreReplaced() {
        var lab = follower([1, 1, 2, 2])
        lab.receive(2, .received(append(term: 3, after: 2, 1, commit: 3, [3]), from: RaftPeer(3)))
        #expect(lab[2].disk.unsynced.last?.truncateFrom == 3)
        #expect(lab[2].applied.map(\.term) == [1, 1], "3 is committed, but not synced here")
        lab.sync(2)
        #expect(lab[2].applied.map(\.term) == [1, 1, 3])
        #expect(lab[2].disk.entries.map(\.term) == [1, 1, 3])
        #expect(lab.checkInvariants() == [])
    }

    /// The first write, once synced, says nothing of what has since replaced a part of it.
    @Test func aSyncOfReplacedEntriesConfirmsNothing() {
        var lab = RaftLab(voters: 3)
        lab.receive(2, .received(append(term: 2, after: 0, 0, [1, 1, 2, 2]), from: RaftPeer(1)))
        lab.receive(2, .received(append(term: 3, after: 2, 1, commit: 4, [3, 3]), from: RaftPeer(3)))
        let ticket = lab[2].disk.sync(1)
        #expect(ticket == 1)
        lab.receive(2, .persisted(ticket: 1))
        #expect(lab[2].group.persistedIndex == 2)
        #expect(lab.queue.isEmpty)
        lab.sync(2)
        #expect(lab[2].group.persistedIndex == 4)
        #expect(lab.queue.map(\.message) == [.appendReply(term: 3, success: true, index: 4, conflictTerm: 0)])
        #expect(lab[2].applied.map(\.term) == [1, 1, 3, 3])
    }

    @Test func anOldShortAppendDoesNotTruncate() {
        var lab = follower([1, 1, 1])
        lab.receive(2, .received(append(term: 1, after: 0, 0, [1]), from: RaftPeer(1)))
        lab.sync(2)
        #expect(lab[2].group.lastIndex == 3)
        #expect(lab.queue.map(\.message) == [.appendReply(term: 1, success: true, index: 1, conflictTerm: 0)])
    }

    @Test func whatContradictsTheCommittedIsNotFollowed() {
        var lab = RaftLab(voters: 3)
        lab.receive(2, .received(append(term: 1, after: 0, 0, commit: 2, [1, 1]), from: RaftPeer(1)))
        lab.sync(2)
        lab.receive(2, .received(append(term: 2, after: 0, 0, [2]), from: RaftPeer(3)))
        lab.sync(2)
        #expect(lab[2].disk.entries.map(\.term) == [1, 1])
        #expect(lab[2].group.fault != nil)
    }

    @Test func malformedAppendsAreNotFollowed() {
        let good = RaftEntry(index: 1, term: 1, kind: .noop, payload: ByteBuffer())
        var gap = good
        gap.index = 3
        var future = good
        future.term = 9
        var configuration = good
        configuration.kind = .configuration
        configuration.payload = ByteBuffer(string: "?")
        for bad in [gap, future, configuration] {
            var lab = RaftLab(voters: 3)
            lab.receive(
                2,
                .received(
                    .append(term: 1, prevIndex: 0, prevTerm: 0, commit: 0, entries: [bad]), from: RaftPeer(1)))
            #expect(lab[2].group.lastIndex == 0)
            #expect(lab[2].group.fault != nil)
        }
    }

    @Test func theLeaderCountsItselfOnlyOnceSynced() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.propose(1, "a")
        lab.deliver(to: 2)
        lab.sync(2)
        lab.deliver(from: 2)
        #expect(lab[1].group.commitIndex == 1, "one synced copy of three")
        lab.sync(1)
        #expect(lab[1].group.commitIndex == 2)
    }

    @Test func twoFollowersAreAMajorityWithoutTheLeader() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.propose(1, "a")
        lab.deliver()
        lab.sync(2)
        lab.sync(3)
        lab.deliver()
        #expect(lab[1].group.commitIndex == 2)
        #expect(lab.texts(1) == [], "handed out only once synced here")
        lab.sync(1)
        #expect(lab.texts(1) == ["a"])
    }

    /// Figure 8 of the paper: an entry of an earlier term on a majority is not yet committed.
    @Test func entriesOfEarlierTermsAreNotCommittedByCounting() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.isolate(1)
        lab.propose(1, "old")
        lab.settle()
        lab.crash(1)
        lab.crash(3)
        lab.heal()
        lab.isolate(3)
        lab.tick(1)
        for _ in 0..<6 {
            lab.sync(1)
            lab.sync(2)
            if lab[1].group.role == .leader { break }
            lab.deliver()
        }
        #expect(lab[1].group.role == .leader)
        // Only "old" reaches the follower: the leader's no-op of the new term is taken off.
        lab.queue = []
        let reply = RaftMessage.appendReply(term: lab[1].group.term, success: true, index: 2, conflictTerm: 0)
        lab.receive(1, .received(reply, from: RaftPeer(2)))
        lab.sync(1)
        #expect(lab[1].group.commitIndex == 0)
        let all = RaftMessage.appendReply(term: lab[1].group.term, success: true, index: 3, conflictTerm: 0)
        lab.receive(1, .received(all, from: RaftPeer(2)))
        #expect(lab[1].group.commitIndex == 3)
    }

    @Test func appendsArePipelinedUpToTheLimit() {
        var options = RaftOptions()
        options.maxInflightAppends = 4
        var lab = RaftLab(voters: 2, options: options)
        lab.elect(1)
        for number in 0..<10 { lab.propose(1, "\(number)") }
        #expect(lab.queue.count == 4)
        lab.settle()
        #expect(lab.texts(1).count == 10)
        #expect(lab[2].group.lastIndex == 11)
        #expect(lab.checkInvariants() == [])
    }

    @Test func largeBatchesAreCut() {
        var options = RaftOptions()
        options.maxAppendBytes = 400
        var lab = RaftLab(voters: 2, options: options)
        lab.elect(1)
        let text = String(repeating: "x", count: 136)
        lab.propose(1, text, text, text, text, text)
        let sizes = lab.queue.compactMap { item -> Int? in
            guard case .append(_, _, _, _, let entries) = item.message else { return nil }
            return entries.count
        }
        #expect(sizes == [2, 2, 1])
    }

    @Test func proposalsEndAtTheLimit() {
        var options = RaftOptions()
        options.maxUncommittedBytes = 1_000
        var lab = RaftLab(voters: 3, options: options)
        lab.elect(1)
        lab.isolate(1)
        var taken = 0
        while lab.propose(1, "0123456789") != nil, taken < 1_000 { taken += 1 }
        #expect(taken == 14)
        lab.heal()
        lab.run(milliseconds: 500)
        #expect(lab.propose(1, "x") != nil)
    }

    @Test func aLostAppendIsSentAgain() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.propose(1, "a")
        lab.drop(from: 1, to: 2)
        lab.settle()
        #expect(lab[2].group.lastIndex == 1)
        lab.run(milliseconds: 600)
        #expect(lab.texts(2) == ["a"])
    }

    @Test func aLaggingFollowerIsServedFromStorage() {
        var options = RaftOptions()
        options.cacheBytes = 300
        options.maxAppendBytes = 500
        var lab = RaftLab(voters: 3, options: options)
        lab.elect(1)
        lab.isolate(3)
        lab.receive(1, .peerUnreachable("n3"))
        for number in 0..<60 {
            lab.propose(1, "\(number)")
            lab.settle()
        }
        lab.heal()
        lab.receive(1, .peerReachable("n3"))
        lab.run(milliseconds: 1_000)
        #expect(lab.texts(3) == (0..<60).map { "\($0)" })
        #expect(lab.checkInvariants() == [])
    }

    @Test func loadsThatFailAreTriedAgain() {
        var options = RaftOptions()
        options.cacheBytes = 0
        var lab = RaftLab(voters: 2, options: options)
        lab.elect(1)
        lab.propose(1, "a")
        lab.settle()
        lab.crash(1)
        lab.crash(2)
        lab.tick(1)
        for _ in 0..<20 where lab[1].loads.isEmpty {
            lab.deliver()
            lab.sync(1)
            lab.sync(2)
        }
        let load = lab[1].loads.first
        #expect(load?.from == 1)
        guard let load else { return }
        lab.nodes[1]?.loads = []
        lab.receive(1, .entriesLoaded(id: load.id, entries: []))
        #expect(lab.texts(1) == [])
        lab.run(milliseconds: 400)
        #expect(lab.texts(1) == ["a"])
        #expect(lab.checkInvariants() == [])
    }

    @Test func aRestartHandsOutWhatWasNotApplied() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.propose(1, "a", "b", "c")
        lab.run(milliseconds: 200)
        var disk = lab[2].disk
        disk.appliedIndex = 2
        lab.start(2, RaftPeer(2), disk)
        #expect(lab[2].group.commitIndex == 2)
        lab.run(milliseconds: 300)
        #expect(lab.texts(2) == ["b", "c"])
        #expect(lab[2].group.appliedIndex == 4)
        #expect(lab.checkInvariants() == [])
    }

    @Test func aStoreThatForgotIsReported() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.propose(1, "a", "b", "c")
        lab.run(milliseconds: 400)
        #expect(lab[1].regressed.isEmpty)
        var disk = lab[3].disk
        disk.entries.removeLast(2)
        lab.start(3, RaftPeer(3), disk)
        lab.run(milliseconds: 400)
        #expect(lab[1].regressed.first == RaftPeer(3))
    }
}
