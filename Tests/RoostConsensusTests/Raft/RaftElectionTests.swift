import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol
import Testing

@Suite struct RaftElectionTests {
    @Test func threeElectOneAndReplicate() {
        var lab = RaftLab(voters: 3)
        lab.run(milliseconds: 1_500)
        let leader = lab.leader
        #expect(leader != nil)
        guard let leader else { return }
        #expect(lab.propose(leader, "a", "b") == [2, 3])
        lab.run(milliseconds: 200)
        for number in 1...3 { #expect(lab.texts(number) == ["a", "b"]) }
        #expect(lab.checkInvariants() == [])
    }

    @Test func aSingleVoterLeadsAsSoonAsItsVoteIsSynced() {
        var lab = RaftLab(voters: 1)
        lab.receive(1, .tick)
        #expect(lab[1].group.role == .candidate)
        lab.sync(1)
        #expect(lab[1].group.role == .leader)
        lab.receive(1, .readIndex(id: 9))
        #expect(lab[1].ready.isEmpty, "nothing of this term is committed yet")
        lab.sync(1)
        #expect(lab[1].ready.map(\.index) == [1])
        lab.propose(1, "a")
        #expect(lab.texts(1) == [])
        lab.sync(1)
        #expect(lab.texts(1) == ["a"])
        #expect(lab[1].group.nextDeadline == nil)
        #expect(lab.checkInvariants() == [])
    }

    @Test func nothingIsAskedBeforeTheOwnVoteIsSynced() {
        var lab = RaftLab(voters: 3)
        lab.tick(1)
        lab.deliver()
        lab.deliver()
        #expect(lab[1].group.role == .candidate)
        #expect(lab.queue.isEmpty)
        lab.sync(1)
        #expect(lab.queue.count == 2)
    }

    @Test func aVoteIsSyncedBeforeItIsSent() {
        var lab = RaftLab(voters: 3)
        lab.receive(2, .received(.vote(term: 1, lastIndex: 0, lastTerm: 0, transfer: false), from: RaftPeer(1)))
        #expect(lab.queue.isEmpty)
        #expect(lab[2].disk.unsynced.map(\.hardState) == [RaftHardState(term: 1, vote: RaftPeer(1))])
        lab.sync(2)
        #expect(lab.queue.map(\.message) == [.voteReply(term: 1, granted: true)])
    }

    @Test func oneVoteInATerm() {
        var lab = RaftLab(voters: 3)
        let ask = RaftMessage.vote(term: 1, lastIndex: 0, lastTerm: 0, transfer: false)
        for candidate in [1, 3, 1] { lab.receive(2, .received(ask, from: RaftPeer(candidate))) }
        lab.sync(2)
        let granted = lab.queue.map { $0.message == .voteReply(term: 1, granted: true) }
        #expect(granted == [true, false, true])
        #expect(lab.queue.map(\.to) == [RaftPeer(1), RaftPeer(3), RaftPeer(1)])
    }

    @Test func aVoteOutlivesACrash() {
        var lab = RaftLab(voters: 3)
        let ask = RaftMessage.vote(term: 1, lastIndex: 0, lastTerm: 0, transfer: false)
        lab.receive(2, .received(ask, from: RaftPeer(1)))
        lab.sync(2)
        lab.queue = []
        lab.crash(2)
        lab.receive(2, .received(ask, from: RaftPeer(3)))
        lab.sync(2)
        #expect(lab.queue.map(\.message) == [.voteReply(term: 1, granted: false)])
    }

    @Test func aShorterLogIsRefused() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.isolate(3)
        lab.propose(1, "a")
        lab.settle()
        lab.heal()
        lab.isolate(1)
        lab.now += 2_000 * RaftLab.millisecond
        lab.receive(3, .tick)
        lab.settle()
        #expect(lab[3].group.role == .preCandidate)
        #expect(lab[3].group.term == 1)
        lab.elect(2)
        #expect(lab[2].group.role == .leader)
        #expect(lab.checkInvariants() == [])
    }

    @Test func aNodeThatWasCutOffDoesNotDisturb() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.isolate(3)
        lab.run(milliseconds: 5_000)
        #expect(lab[3].group.term == 1, "PreVote keeps its term")
        lab.heal()
        lab.run(milliseconds: 2_000)
        #expect(lab.leader == 1)
        #expect(lab[1].group.term == 1)
        #expect(lab[3].group.leader == RaftPeer(1))
    }

    @Test func votesAreIgnoredWhileALeaderIsHeard() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.run(milliseconds: 300)
        for target in [1, 2] {
            let ask = RaftMessage.vote(term: 9, lastIndex: 99, lastTerm: 9, transfer: false)
            lab.receive(target, .received(ask, from: RaftPeer(3)))
            lab.receive(
                target, .received(.preVote(term: 9, lastIndex: 99, lastTerm: 9), from: RaftPeer(3)))
        }
        lab.settle()
        #expect(lab[1].group.role == .leader)
        #expect(lab[2].group.term == 1)
    }

    @Test func aLeaderWithoutAQuorumStepsDown() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.propose(1, "a")
        lab.settle()
        lab.isolate(1)
        lab.receive(1, .readIndex(id: 5))
        lab.run(milliseconds: 760)
        #expect(lab[1].group.role != .leader)
        #expect(lab[1].failed == [5])
        #expect(lab.propose(1, "b") == nil)
        lab.run(milliseconds: 2_000)
        #expect(lab.leader == 2 || lab.leader == 3)
        lab.heal()
        lab.run(milliseconds: 500)
        #expect(lab[1].group.leader == lab[lab.leader ?? 1].peer)
        #expect(lab.checkInvariants() == [])
    }

    @Test func oneWhoseTermRanAheadIsLetIn() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.receive(3, .received(.vote(term: 7, lastIndex: 0, lastTerm: 0, transfer: true), from: RaftPeer(2)))
        lab.settle()
        #expect(lab[3].group.term == 7)
        lab.run(milliseconds: 3_000)
        let leader = lab.leader
        #expect(leader != nil)
        for number in 1...3 {
            #expect(lab[number].group.leader == leader.map { RaftPeer($0) })
            #expect(lab[number].group.term > 7)
        }
    }

    @Test func aBrokenLinkToTheLeaderStartsAnElectionEarly() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.run(milliseconds: 200)
        lab.isolate(1)
        for number in [2, 3] { lab.receive(number, .peerUnreachable("n1")) }
        lab.run(milliseconds: 250)
        #expect(lab[2].group.role == .leader || lab[3].group.role == .leader)
    }

    /// Or each would have voted for itself when the other asks, and both would wait for the next attempt.
    @Test func thoseWhoAreLeftCampaignOneAfterTheOther() {
        var lab = RaftLab(voters: 5)
        lab.elect(1)
        lab.run(milliseconds: 200)
        lab.isolate(1)
        for number in 2...5 { lab.receive(number, .peerUnreachable("n1")) }
        let dues = (2...5).compactMap { lab[$0].group.nextDeadline }.sorted()
        #expect(dues.count == 4)
        let interval = lab.options.heartbeatInterval
        #expect(dues.first.map { $0 < lab.now + interval / 8 } == true)
        for (sooner, later) in zip(dues, dues.dropFirst()) { #expect(later - sooner >= interval / 2) }
    }

    @Test func aBrokenLinkOfOneFollowerDoesNotUnseatTheLeader() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.cuts = [(1, 2)]
        lab.receive(2, .peerUnreachable("n1"))
        lab.receive(1, .peerUnreachable("n2"))
        lab.run(milliseconds: 4_000)
        #expect(lab[1].group.role == .leader)
        #expect(lab[1].group.term == 1)
    }

    @Test func leadershipIsHandedOn() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.isolate(3)
        lab.propose(1, "a")
        lab.settle()
        lab.heal()
        lab.receive(1, .transferLeadership(to: RaftPeer(3)))
        #expect(lab.propose(1, "b") == nil)
        lab.run(milliseconds: 400)
        #expect(lab[3].group.role == .leader, "once it has caught up")
        #expect(lab[3].group.term == 2)
        #expect(lab.propose(3, "c") != nil)
        lab.run(milliseconds: 200)
        #expect(lab.texts(1) == ["a", "c"])
        #expect(lab.checkInvariants() == [])
    }

    @Test func aTransferIsGivenUp() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.isolate(3)
        lab.propose(1, "a")
        lab.settle()
        lab.receive(1, .transferLeadership(to: RaftPeer(3)))
        lab.run(milliseconds: 590)
        #expect(lab.propose(1, "b") == nil)
        lab.run(milliseconds: 20)
        #expect(lab.propose(1, "b") == [3])
    }

    @Test func whoDrainsTakesNoLeadership() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.propose(1, "a")
        lab.settle()
        lab.receive(1, .draining("n2"))
        #expect(lab[1].group.bestTransferTarget == RaftPeer(3))
        lab.receive(1, .transferLeadership(to: RaftPeer(2)))
        #expect(!lab[1].group.isTransferring)
        // Here nobody has heard of it yet, and it still does not.
        lab.receive(3, .draining("n3"))
        lab.receive(1, .transferLeadership(to: RaftPeer(3)))
        lab.run(milliseconds: 590)
        #expect(lab[1].group.role == .leader && lab[1].group.isTransferring)
        lab.receive(1, .draining("n3"))
        #expect(!lab[1].group.isTransferring, "given up as soon as it is known")
        #expect(lab[1].group.bestTransferTarget == nil)
        #expect(lab.propose(1, "b") != nil)
        lab.receive(1, .drainingEnded("n2"))
        #expect(lab[1].group.bestTransferTarget == RaftPeer(2))
        #expect(lab.checkInvariants() == [])
    }

    @Test func aTargetThatFailedComesLast() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.propose(1, "a")
        lab.settle()
        lab.receive(1, .transferLeadership(to: RaftPeer(2)))
        lab.drop(from: 1, to: 2)
        lab.isolate(2)
        lab.run(milliseconds: 650)
        #expect(!lab[1].group.isTransferring)
        #expect(lab[1].group.bestTransferTarget == RaftPeer(3))
        lab.receive(1, .peerUnreachable("n3"))
        #expect(lab[1].group.bestTransferTarget == RaftPeer(2), "better than nobody")
    }

    @Test func whoDrainsLeavesTheOthersTimeToBeFirst() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.settle()
        lab.receive(2, .draining("n2"))
        lab.isolate(1)
        for number in [2, 3] { lab.receive(number, .peerUnreachable("n1")) }
        lab.run(milliseconds: 600)
        #expect(lab[3].group.role == .leader)
        // Nobody else is left to lead: then it must.
        lab.heal()
        lab.receive(1, .draining("n1"))
        lab.isolate(3)
        for number in [1, 2] { lab.receive(number, .peerUnreachable("n3")) }
        lab.run(milliseconds: 5_000)
        #expect(lab.leader == 1 || lab.leader == 2)
        #expect(lab.checkInvariants() == [])
    }

    @Test func aFullDiskHandsLeadershipOn() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.propose(1, "a")
        lab.settle()
        lab.receive(1, .storageFull)
        lab.run(milliseconds: 100)
        #expect(lab[1].group.role == .follower)
        let leader = lab.leader
        #expect(leader != nil && leader != 1)
        guard let leader else { return }
        lab.propose(leader, "b")
        lab.run(milliseconds: 1_000)
        #expect(lab.texts(1) == ["a"], "it takes nothing")
        #expect(lab.leader == leader)
        lab.receive(1, .storageAvailable)
        lab.run(milliseconds: 1_000)
        #expect(lab.texts(1) == ["a", "b"])
        #expect(lab.checkInvariants() == [])
    }
}
