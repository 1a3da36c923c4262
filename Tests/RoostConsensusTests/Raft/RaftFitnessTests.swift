import RoostConsensus
import RoostModel
import RoostProtocol
import Testing

/// Leadership goes to those who can use it, and stays where nobody else can.
@Suite struct RaftFitnessTests {
    private func makeLab() -> RaftLab {
        var lab = RaftLab(voters: 3)
        lab.elect(1)
        lab.propose(1, "a")
        lab.settle()
        return lab
    }

    @Test func aFullLeaderWithNobodyToTakeOverServesReads() {
        var lab = makeLab()
        let others = [2, 3].map { lab[$0].peer.node }
        for number in [2, 3, 1] { lab.receive(number, .storageFull) }
        lab.receive(1, .peersUnfit(others))
        lab.run(milliseconds: 3_000)
        #expect(lab.leader == 1)
        #expect(lab.propose(1, "b") == nil)
        lab.receive(1, .readIndex(id: 7))
        lab.run(milliseconds: 300)
        #expect(lab[1].ready.map(\.id) == [7])
        // One of them has space again, and says so.
        lab.receive(2, .storageAvailable)
        lab.receive(1, .peersUnfit([others[1]]))
        lab.receive(3, .storageAvailable)
        lab.run(milliseconds: 2_000)
        #expect(lab.leader == 2 || lab.leader == 3)
        #expect(lab.checkInvariants() == [])
    }

    @Test func oneThatIsUnfitLetsTheOthersCampaignFirst() {
        for victim in [2, 3] {
            var lab = makeLab()
            lab.receive(victim, .fitness(false))
            lab.isolate(1)
            lab.run(milliseconds: 3_000)
            #expect(lab.leader == 5 - victim)
        }
    }

    @Test func oneThatIsUnfitCampaignsWhereNobodyElseCan() {
        var lab = makeLab()
        lab.receive(2, .fitness(false))
        lab.receive(3, .fitness(false))
        lab.isolate(1)
        lab.run(milliseconds: 12_000)
        #expect([2, 3].contains { lab[$0].group.role == .leader })
    }

    @Test func anUnfitLeaderHandsOnToOneThatIsFit() {
        var lab = makeLab()
        let second = lab[2].peer.node
        lab.receive(1, .peersUnfit([second]))
        lab.receive(1, .fitness(false))
        lab.run(milliseconds: 1_000)
        #expect(lab.leader == 3)
        #expect(lab.checkInvariants() == [])
    }
}
