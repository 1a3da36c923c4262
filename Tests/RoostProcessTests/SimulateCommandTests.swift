import Foundation
import Testing

@testable import RoostCLI

/// `roost simulate` as a program: hash tables are seeded anew in every process, so only here shows what depends on them.
@Suite struct SimulateCommandTests {
    private func run(_ arguments: [String]) async throws -> (exit: ChildProcess.Exit?, out: String) {
        let directory = NSTemporaryDirectory() + "roost-simulate-\(newID())"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let child = try await RoostProgram.run(["simulate"] + arguments, in: directory)
        return (child.status, child.output)
    }

    @Test func theSameSeedIsTheSameTraceInEveryProcess() async throws {
        let arguments = ["--seed", "11", "--scenario", "brutal", "--virtual-seconds", "6", "--trace"]
        let first = try await run(arguments)
        let second = try await run(arguments)
        #expect(first.exit == .code(0) && second.exit == .code(0))
        #expect(first.out.count > 100_000)
        #expect(first.out == second.out)
    }

    @Test func seedsRunInChildrenAndABrokenPromiseIsAnExitOfOne() async throws {
        let good = try await run(["--seeds", "1-3", "--virtual-seconds", "3", "--jobs", "2", "--json"])
        #expect(good.exit == .code(0))
        #expect(good.out.contains("\"runs\" : 3"))
        let bad = try await run(
            ["--seeds", "1-2", "--virtual-seconds", "20", "--jobs", "2", "--rule", "accept-before-commit"])
        #expect(bad.exit == .code(1))
        #expect(bad.out.contains("durable"))
        #expect(try await run(["--scenario", "nonsense"]).exit == .code(64))
    }
}
