import Testing

@testable import RoostCLI

@Suite struct TorturePlanTests {
    private func rounds(
        seed: UInt64, nodes: Int = 3, faults: [TortureFault] = TortureFault.allCases, count: Int = 200
    ) -> [TortureRound] {
        var plan = TorturePlan(seed: seed, nodes: nodes, clients: 20, faults: faults, stopMilliseconds: 5_000...30_000)
        return (0..<count).map { _ in plan.next() }
    }

    @Test func theSameSeedDrawsTheSameFaults() {
        #expect(rounds(seed: 7) == rounds(seed: 7))
        #expect(rounds(seed: 7) != rounds(seed: 8))
    }

    @Test(arguments: [3, 5], [1, 2, 3] as [UInt64]) func allIsWholeAtTheEndOfARound(nodes: Int, seed: UInt64) {
        for round in rounds(seed: seed, nodes: nodes) {
            var down: Set<Int> = []
            var stopped: Set<Int> = []
            var cut: Set<LocalCluster.Pair> = []
            var full: Set<Int> = []
            #expect(round.steps.map(\.at) == round.steps.map(\.at).sorted(), "\(round)")
            for step in round.steps {
                switch step.act {
                case .kill(let victims):
                    #expect(!victims.isEmpty && victims.allSatisfy { (0..<nodes).contains($0) })
                    down.formUnion(victims)
                    stopped.subtract(victims)
                case .wipe(let node): down.insert(node)
                case .start(let node): down.remove(node)
                case .stop(let node): stopped.insert(node)
                case .resume(let node): stopped.remove(node)
                case .cut(let pair, let mode):
                    #expect(pair.low < pair.high && mode != .open)
                    cut.insert(pair)
                case .mend(let pair): cut.remove(pair)
                case .fill(let node): full.insert(node)
                case .empty(let node): full.remove(node)
                case .drop(let client): #expect((0..<20).contains(client))
                }
            }
            #expect(down.isEmpty && stopped.isEmpty && cut.isEmpty && full.isEmpty, "\(round)")
        }
    }

    @Test func everyKindComes() {
        let names = rounds(seed: 1).map(\.name)
        for word in ["kill all", "kill node-1,", "twice", "stop ", "cut ", "silence ", "wipe ", "fill ", "; "] {
            #expect(names.contains { $0.contains(word) }, "\(word)")
        }
        let killed = Set(
            rounds(seed: 1, faults: [.kill]).flatMap(\.steps).compactMap { step -> Int? in
                if case .kill(let victims) = step.act { victims.count } else { nil }
            })
        #expect(killed == [1, 2, 3])
        #expect(rounds(seed: 1).flatMap(\.steps).contains { if case .drop = $0.act { true } else { false } })
    }

    @Test func onlyWhatWasAskedFor() {
        for round in rounds(seed: 3, faults: [.stop]) {
            for step in round.steps {
                switch step.act {
                case .stop, .resume, .drop: break
                default: Issue.record("\(round)")
                }
            }
        }
    }

    /// Where a disk is lost or full, all other nodes must be well: no more is promised.
    @Test func disksAreHarmedAlone() {
        for round in rounds(seed: 4) {
            let harmed = round.steps.contains { step in
                switch step.act {
                case .wipe, .fill: true
                default: false
                }
            }
            let toNodes = round.steps.count { if case .drop = $0.act { false } else { true } }
            if harmed { #expect(toNodes == 2, "\(round)") }
        }
    }
}
