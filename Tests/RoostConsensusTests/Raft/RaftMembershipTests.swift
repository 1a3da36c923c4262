import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol
import Testing

@Suite struct RaftMembershipTests {
    @Test func aLearnerGetsAllAndDoesNotCount() {
        var lab = RaftLab(voters: 2, learners: 1)
        lab.elect(1)
        lab.isolate(2)
        lab.propose(1, "a")
        lab.settle()
        #expect(lab[3].group.lastIndex == 2)
        #expect(lab[1].group.commitIndex == 1, "the learner is no majority")
        lab.heal()
        lab.run(milliseconds: 600)
        for number in 1...3 { #expect(lab.texts(number) == ["a"]) }
        lab.isolate(3)
        lab.run(milliseconds: 5_000)
        #expect(lab[3].group.role == .follower)
        #expect(lab[3].group.leader == nil)
        #expect(lab[3].group.nextDeadline == nil)
    }

    @Test func aBlankNodeJoinsAndIsPromoted() {
        var lab = RaftLab(voters: 3, blank: 1)
        lab.elect(1)
        for number in 0..<20 { lab.propose(1, "\(number)") }
        lab.run(milliseconds: 200)
        #expect(lab.change(1, .addLearner(RaftPeer(4))) == .success(22))
        #expect(lab[1].group.configuration.learners == [RaftPeer(4)])
        lab.run(milliseconds: 600)
        #expect(lab.texts(4).count == 20)
        #expect(lab[4].group.configuration.learners == [RaftPeer(4)])
        #expect(lab.change(1, .promote(RaftPeer(4))) == .success(23))
        lab.run(milliseconds: 300)
        #expect(lab[4].group.configuration.voters.count == 4)
        // It counts: with two of four gone nothing is committed.
        lab.isolate(2)
        lab.isolate(3)
        let before = lab[1].group.commitIndex
        lab.propose(1, "x")
        lab.settle()
        #expect(lab[1].group.commitIndex == before)
        #expect(lab.checkInvariants() == [])
    }

    @Test func aFarBehindLearnerIsNotPromoted() {
        var lab = RaftLab(voters: 1, blank: 1)
        lab.elect(1)
        for number in 0..<300 { lab.propose(1, "\(number)") }
        lab.settle()
        lab.isolate(2)
        #expect(lab.change(1, .addLearner(RaftPeer(2))) == .success(302))
        lab.settle()
        #expect(lab.change(1, .promote(RaftPeer(2))) == .failure(.notCaughtUp))
        lab.heal()
        lab.run(milliseconds: 1_000)
        #expect(lab.change(1, .promote(RaftPeer(2))) == .success(303))
    }

    @Test func oneChangeAtATimeAndOnlyInOnesOwnTerm() {
        var lab = RaftLab(voters: 3, blank: 2)
        lab.tick(1)
        for _ in 0..<8 where lab[1].group.role != .leader {
            for number in 1...3 { lab.sync(number) }
            lab.deliver()
        }
        #expect(lab[1].group.role == .leader)
        #expect(lab.change(1, .addLearner(RaftPeer(4))) == .failure(.notReady))
        lab.settle()
        #expect(lab.change(1, .addLearner(RaftPeer(4))) == .success(2))
        #expect(lab.change(1, .addLearner(RaftPeer(5))) == .failure(.notReady))
        lab.settle()
        #expect(lab.change(1, .addLearner(RaftPeer(5))) == .success(3))
        #expect(lab.change(2, .addLearner(RaftPeer(5))) == .failure(.notLeader))
    }

    @Test func whatMakesNoSenseIsRefused() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        #expect(lab.change(1, .addLearner(RaftPeer(2))) == .failure(.invalid))
        #expect(lab.change(1, .promote(RaftPeer(2))) == .failure(.invalid))
        #expect(lab.change(1, .remove(RaftPeer(9))) == .failure(.invalid))
        #expect(lab.change(1, .remove(RaftPeer(1))) == .failure(.isLeader))
    }

    @Test func aRemovedPeerIsShutOutForGood() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        #expect(lab.change(1, .remove(RaftPeer(3))) == .success(2))
        lab.run(milliseconds: 300)
        #expect(lab[2].group.configuration.tombstones == [RaftPeer(3)])
        // It never heard, and asks for votes, with the nod of a transfer even.
        lab.receive(3, .received(.timeoutNow(term: 1), from: RaftPeer(1)))
        lab.run(milliseconds: 1_000)
        #expect(lab[3].group.term > 1)
        #expect(lab[1].group.role == .leader)
        #expect(lab[1].group.term == 1)
        #expect(lab.change(1, .addLearner(RaftPeer(3))) == .failure(.invalid))
        #expect(lab.change(1, .addLearner(RaftPeer(3, store: 2))) == .success(3))
        #expect(lab.checkInvariants() == [])
    }

    /// The entry that made it a learner was lost with its leader: it can be told to go only by a tombstone.
    @Test func whoNeverBecameAMemberCanBeGivenUp() {
        var lab = RaftLab(voters: 3, blank: 1)
        lab.elect(1)
        #expect(lab.change(1, .giveUp(RaftPeer(4))) == .success(2))
        lab.run(milliseconds: 300)
        #expect(lab[2].group.isTombstone(RaftPeer(4)))
        #expect(lab[2].group.configuration.voters.count == 3)
        #expect(lab.change(1, .giveUp(RaftPeer(4))) == .failure(.invalid))
        #expect(lab.change(1, .addLearner(RaftPeer(4))) == .failure(.invalid))
        #expect(lab.checkInvariants() == [])
    }

    /// A leader may take a learner for lost by a link that is out of date: for good would be never to be filled.
    @Test func aRemovedLearnerMayComeBack() {
        var lab = RaftLab(voters: 3, blank: 1)
        lab.elect(1)
        #expect(lab.change(1, .addLearner(RaftPeer(4))) == .success(2))
        lab.run(milliseconds: 300)
        #expect(lab.change(1, .remove(RaftPeer(4))) == .success(3))
        lab.run(milliseconds: 300)
        #expect(lab[1].group.configuration.tombstones == [])
        #expect(lab.change(1, .addLearner(RaftPeer(4))) == .success(4))
        lab.propose(1, "a")
        lab.run(milliseconds: 300)
        #expect(lab.texts(4) == ["a"])
        #expect(lab.change(1, .promote(RaftPeer(4))) == .success(6))
    }

    @Test func aDeadVoterOfTwoCanBeRemoved() {
        var lab = RaftLab(voters: 2)
        lab.elect(1)
        lab.isolate(2)
        #expect(lab.change(1, .remove(RaftPeer(2))) == .success(2))
        lab.sync(1)
        #expect(lab[1].group.commitIndex == 2)
        lab.propose(1, "a")
        lab.sync(1)
        #expect(lab.texts(1) == ["a"])
    }

    @Test func anUncommittedChangeIsUndone() {
        var lab = RaftLab(voters: 3, blank: 1)
        lab.elect(1)
        lab.isolate(1)
        #expect(lab.change(1, .addLearner(RaftPeer(4))) == .success(2))
        lab.sync(1)
        lab.run(milliseconds: 3_000)
        let leader = lab.leader
        #expect(leader == 2 || leader == 3)
        lab.heal()
        lab.run(milliseconds: 500)
        #expect(lab[1].group.configuration.learners == [])
        #expect(lab[1].group.configurationIndex == 0)
        #expect(lab.checkInvariants() == [])
    }

    @Test func anUncommittedRemovalDoesNotShutOutALeader() {
        var lab = RaftLab(voters: 5)
        lab.elect(1)
        // Only 2 gets the removal of 5; then 1 dies, and 5 leads.
        #expect(lab.change(1, .remove(RaftPeer(5))) == .success(2))
        lab.deliver(to: 2)
        lab.sync(2)
        lab.queue = []
        lab.isolate(1)
        lab.now += 3_000 * RaftLab.millisecond
        lab.receive(5, .tick)
        lab.settle()
        #expect(lab[5].group.role == .leader)
        lab.run(milliseconds: 600)
        #expect(lab[2].group.leader == RaftPeer(5))
        #expect(lab[2].group.configuration.tombstones == [])
        #expect(lab.checkInvariants() == [])
    }

    /// A leader that promotes its only learner and restarts before the learner got that entry needs the learner's vote.
    @Test func aLearnerAnswersWhoCountsItAsAVoter() {
        var lab = RaftLab(voters: 1, learners: 1)
        lab.elect(1)
        lab.run(milliseconds: 200)
        #expect(lab.change(1, .promote(RaftPeer(2))) == .success(2))
        lab.sync(1)
        lab.queue = []
        lab.crash(1)
        lab.run(milliseconds: 5_000)
        #expect(lab[1].group.role == .leader)
        #expect(lab[2].group.configuration.voters.count == 2)
    }

    @Test func configurationsSurviveARestart() {
        var lab = RaftLab(voters: 3, blank: 1)
        lab.elect(1)
        lab.change(1, .addLearner(RaftPeer(4)))
        lab.run(milliseconds: 500)
        for number in 1...4 { lab.crash(number) }
        for number in 1...4 { #expect(lab[number].group.configuration.learners == [RaftPeer(4)]) }
        lab.run(milliseconds: 2_000)
        #expect(lab.leader != nil && lab.leader != 4)
    }

    @Test func configurationCodec() {
        let configuration = RaftConfiguration(
            voters: [RaftPeer(1), RaftPeer(2, store: .max)], learners: [RaftPeer(3)],
            tombstones: [RaftPeer(2), RaftPeer(3, store: 9)])
        var buffer = ByteBuffer()
        configuration.encode(into: &buffer)
        let bytes = buffer
        #expect(RaftConfiguration(decoding: &buffer) == configuration)
        for length in 0..<bytes.readableBytes {
            var cut = ByteBuffer(bytes.readableBytesView.prefix(length))
            #expect(RaftConfiguration(decoding: &cut) == nil)
        }
        var long = bytes
        long.writeInteger(UInt8(0))
        #expect(RaftConfiguration(decoding: &long) == nil)
    }
}
