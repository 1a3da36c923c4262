import RoostConsensus
import RoostModel
import RoostProtocol
import Testing

@Suite struct RaftHibernationTests {
    private func asleep(voters: Int = 3) -> RaftLab {
        var lab = RaftLab(voters: voters)
        lab.elect(1)
        lab.propose(1, "a")
        lab.run(milliseconds: 4_000)
        return lab
    }

    @Test func anIdleGroupFallsSilent() {
        var lab = asleep()
        for number in 1...3 {
            #expect(lab[number].group.isHibernating)
            #expect(lab[number].group.nextDeadline == nil)
            #expect(lab.texts(number) == ["a"])
        }
        let before = lab.deliveries
        lab.run(milliseconds: 60_000)
        #expect(lab.deliveries == before)
        #expect(lab.leader == 1)
    }

    @Test func itDoesNotSleepWhileAFollowerLags() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.cuts = [(1, 3)]
        lab.propose(1, "a")
        lab.run(milliseconds: 1_000)
        #expect(!lab[1].group.isHibernating)
        lab.heal()
        lab.run(milliseconds: 5_000)
        #expect(lab.numbers.allSatisfy { lab[$0].group.isHibernating })
        #expect(lab.texts(3) == ["a"])
    }

    @Test func aProposalWakesAll() {
        var lab = asleep()
        lab.propose(1, "b")
        lab.settle()
        #expect(lab.numbers.allSatisfy { !lab[$0].group.isHibernating })
        lab.run(milliseconds: 1_000)
        for number in 1...3 { #expect(lab.texts(number) == ["a", "b"]) }
        #expect(lab[1].group.role == .leader)
        #expect(lab[1].group.term == 1)
    }

    @Test func aReadWakesAndIsProved() {
        var lab = asleep()
        lab.receive(1, .readIndex(id: 4))
        lab.settle()
        #expect(lab[1].ready.map(\.id) == [4])
        #expect(!lab[2].group.isHibernating)
    }

    @Test func aWokenFollowerFindsTheLeaderAlive() {
        var lab = asleep()
        lab.receive(2, .wake)
        lab.run(milliseconds: 2_000)
        #expect(lab[1].group.role == .leader)
        #expect(lab[1].group.term == 1)
        #expect(lab[2].group.leader == RaftPeer(1))
    }

    @Test func aWokenFollowerFindsTheLeaderDead() {
        var lab = asleep()
        lab.isolate(1)
        lab.receive(2, .wake)
        lab.run(milliseconds: 4_000)
        #expect(lab[2].group.role == .leader || lab[3].group.role == .leader)
    }

    @Test func aDeadLeaderIsReplacedAtOnce() {
        var lab = asleep()
        lab.isolate(1)
        for number in [2, 3] { lab.receive(number, .peerUnreachable("n1")) }
        lab.run(milliseconds: 250)
        #expect(lab[2].group.role == .leader || lab[3].group.role == .leader)
        #expect(lab.checkInvariants() == [])
    }

    /// A blank node whose replica is not there yet answers nothing, and a learner never asks.
    @Test func itDoesNotSleepWhileALearnerIsSilent() {
        var lab = RaftLab(voters: 3, blank: 1)
        lab.elect(1)
        lab.propose(1, "a")
        lab.run(milliseconds: 1_000)
        for number in 1...3 { lab.cuts.append((number, 4)) }
        guard case .success = lab.change(1, .addLearner(RaftPeer(4))) else {
            Issue.record("refused")
            return
        }
        lab.run(milliseconds: 20_000)
        #expect(!lab[1].group.isHibernating)
        lab.heal()
        lab.run(milliseconds: 2_000)
        #expect(lab.texts(4) == ["a"])
        lab.run(milliseconds: 5_000)
        #expect(lab.numbers.allSatisfy { lab[$0].group.isHibernating })
    }

    @Test func itSleepsWithoutTheDeadAndBringsThemUpToDate() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.isolate(3)
        for number in [1, 2] { lab.receive(number, .peerUnreachable("n3")) }
        lab.propose(1, "a")
        lab.run(milliseconds: 5_000)
        #expect(lab[1].group.isHibernating)
        #expect(lab[2].group.isHibernating)
        lab.heal()
        lab.crash(3)
        for number in [1, 2] { lab.receive(number, .peerReachable("n3")) }
        lab.run(milliseconds: 500)
        #expect(lab.texts(3) == ["a"])
        #expect(lab[1].group.term == 1)
        lab.run(milliseconds: 5_000)
        #expect(lab.numbers.allSatisfy { lab[$0].group.isHibernating })
    }

    @Test func aRestartedFollowerWakesTheLeader() {
        var lab = asleep()
        lab.crash(3)
        lab.run(milliseconds: 1_500)
        #expect(lab[3].group.leader == RaftPeer(1))
        #expect(lab[1].group.term == 1)
        #expect(lab.texts(3) == ["a"])
    }

    @Test func withoutAQuorumALeaderDoesNotSleep() {
        var lab = asleep()
        lab.isolate(1)
        for node in ["n2", "n3"] as [NodeID] { lab.receive(1, .peerUnreachable(node)) }
        lab.run(milliseconds: 1_000)
        #expect(lab[1].group.role != .leader)
    }

    @Test func checkQuorumStartsAnewAfterSleep() {
        var lab = asleep()
        lab.run(milliseconds: 100_000)
        lab.propose(1, "b")
        lab.queue = []
        lab.run(milliseconds: 590)
        #expect(lab[1].group.role == .leader)
        #expect(lab.texts(1) == ["a", "b"])
    }

    @Test func hibernationThatIsLostIsToldAgain() {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.run(milliseconds: 2_900)
        lab.cuts = [(1, 2)]
        lab.run(milliseconds: 500)
        #expect(!lab[1].group.isHibernating)
        lab.heal()
        lab.run(milliseconds: 5_000)
        #expect(lab.numbers.allSatisfy { lab[$0].group.isHibernating })
        #expect(lab[1].group.term == 1)
    }
}
