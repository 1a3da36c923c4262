import RoostConsensus
import RoostModel
import RoostProtocol
import Testing

@Suite struct RaftReadTests {
    @Test func aReadWaitsForAMajority() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.propose(1, "a")
        lab.settle()
        lab.receive(1, .readIndex(id: 1))
        #expect(lab[1].ready.isEmpty)
        lab.deliver(to: 2)
        lab.deliver(from: 2)
        #expect(lab[1].ready.map(\.id) == [1])
        #expect(lab[1].ready.map(\.index) == [2])
    }

    @Test func oneRoundServesAllBeforeIt() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.receive(1, .readIndex(id: 1))
        for id in 2...9 { lab.receive(1, .readIndex(id: UInt64(id))) }
        #expect(lab.queue.count == 2, "one heartbeat to each")
        lab.deliver()
        lab.deliver()
        // The first is answered by its own round; the others came later, and share the next.
        #expect(lab[1].ready.map(\.id) == [1])
        #expect(lab.queue.count == 2)
        lab.settle()
        #expect(lab[1].ready.map(\.id) == [1, 2, 3, 4, 5, 6, 7, 8, 9])
    }

    @Test func aRoundThatIsLostIsMadeUpForByTheNext() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.receive(1, .readIndex(id: 1))
        lab.queue = []
        lab.run(milliseconds: 200)
        #expect(lab[1].ready.map(\.id) == [1])
    }

    /// Rounds for reads carry no entries, and do not keep the leader from asking again for what got lost.
    @Test func manyReadsDoNotPutOffTheTick() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.settle()
        lab.propose(1, "a")
        lab.queue.removeAll { $0.to == RaftPeer(3) }
        for id in 1...60 {
            lab.receive(1, .readIndex(id: UInt64(id)))
            lab.run(milliseconds: 50)
        }
        #expect(lab[3].group.commitIndex == lab[1].group.commitIndex)
        #expect(lab[1].group.commitIndex == 2)
    }

    @Test func answersToOlderRoundsProveNothing() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.run(milliseconds: 400)
        lab.receive(1, .readIndex(id: 1))
        lab.queue = []
        for round in 0...2 {
            let old = RaftMessage.heartbeatReply(term: 1, read: UInt64(round), lastIndex: 1)
            lab.receive(1, .received(old, from: RaftPeer(2)))
        }
        #expect(lab[1].ready.isEmpty)
    }

    @Test func aReadWaitsForAnEntryOfTheLeadersTerm() {
        var lab = RaftLab(voters: 3)
        lab.tick(1)
        for _ in 0..<8 where lab[1].group.role != .leader {
            for number in 1...3 { lab.sync(number) }
            lab.deliver()
        }
        lab.receive(1, .readIndex(id: 1))
        #expect(lab[1].ready.isEmpty)
        lab.settle()
        #expect(lab[1].ready.map(\.index) == [1])
    }

    @Test func followersAndTheOverloadedFailReads() {
        var options = RaftOptions()
        options.maxPendingReads = 2
        var lab = RaftLab(voters: 3, options: options)
        lab.elect(1)
        lab.receive(2, .readIndex(id: 1))
        #expect(lab[2].failed == [1])
        for id in 1...3 { lab.receive(1, .readIndex(id: UInt64(id))) }
        #expect(lab[1].failed == [3])
        lab.receive(1, .stepDown)
        #expect(lab[1].failed == [3, 1, 2])
    }
}
