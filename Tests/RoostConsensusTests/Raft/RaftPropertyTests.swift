import Foundation
import RoostConsensus
import Testing

/// Raft's promises under faults, over many seeds. `ROOST_RAFT_SEEDS` (a count) runs more; a failure names its seed.
@Suite struct RaftPropertyTests {
    private static var count: UInt64 {
        ProcessInfo.processInfo.environment["ROOST_RAFT_SEEDS"].flatMap { UInt64($0) } ?? 70
    }

    private func check(voters: Int, spares: Int = 0) {
        var committed = 0
        var reads = 0
        for seed in 0..<Self.count {
            var simulation = RaftSimulation(seed: seed, voters: voters, spares: spares)
            simulation.run(milliseconds: 4_000)
            let broken = simulation.model.broken.isEmpty ? simulation.demandProgress() : simulation.model.broken
            committed += simulation.model.committed.count
            reads += simulation.readsAnswered
            #expect(broken == [], "seed \(seed), \(voters) voters, \(spares) spares")
        }
        // The faults must leave something to judge.
        #expect(committed > Int(Self.count) * 40)
        #expect(reads > Int(Self.count) * 20)
    }

    @Test func threeVoters() { check(voters: 3) }
    @Test func fiveVoters() { check(voters: 5) }
    @Test func membersComeAndGo() { check(voters: 3, spares: 2) }

    @Test func aSeedRepeats() {
        func run() -> (Int, Int, UInt64) {
            var simulation = RaftSimulation(seed: 4, voters: 3, spares: 2)
            simulation.run(milliseconds: 4_000)
            return (simulation.steps, simulation.model.committed.count, simulation.generator.next())
        }
        #expect(run() == run())
    }
}
