import Foundation
import Testing

@testable import RoostCLI

extension ProcessSuite {
    @Suite("roost torture")
    struct TortureTests {
        @Test("Half a minute of it: nothing lost, twice or out of order", .timeLimit(.minutes(6)))
        func short() async throws {
            let directory = NSTemporaryDirectory() + "roost-torture-test-\(newID())"
            let log = NSTemporaryDirectory() + "roost-torture-test-\(newID())"
            defer {
                for suffix in [".out", ".err"] { try? FileManager.default.removeItem(atPath: log + suffix) }
            }
            // Not a fixed seed: each run tries something else, and prints what.
            let child = try ChildProcess(
                try RoostProgram.path(),
                ["torture", "--minutes", "0.3", "--faults", "kill,cut", "--rate", "100", "--directory", directory],
                log: log)
            let exit = try await child.exited(within: .seconds(150))
            #expect(exit == .code(0), "\(child.output)\n\(child.errors)")
            #expect(child.errors == "")
            let lines = child.output.split(separator: "\n")
            #expect(lines.count >= 4 && lines[1].hasPrefix("round 1: "), "\(child.output)")
            #expect(lines.last?.contains("lost 0, twice 0, out of order 0") == true, "\(child.output)")
            #expect(!FileManager.default.fileExists(atPath: directory), "nothing is left where nothing broke")
        }

        @Test("What it refuses", .timeLimit(.minutes(6)))
        func refusals() async throws {
            let directory = NSTemporaryDirectory() + "roost-torture-test-\(newID())"
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: directory) }
            let table: [(Int32, String, [String])] = [
                (64, "--faults", ["--faults", "kill,tickle"]), (64, "--faults", ["--faults", ""]),
                (64, "--nodes", ["--nodes", "2"]), (64, "--minutes", ["--minutes", "0"]),
                (64, "--rate", ["--rate", "0"]), (64, "--stop-seconds", ["--stop-seconds", "5,x"]),
                (73, "is there already", ["--directory", directory]),
            ]
            for (code, word, arguments) in table {
                let child = try await RoostProgram.run(["torture"] + arguments, in: directory)
                #expect(child.status == .code(code), "\(arguments): \(child.errors)")
                #expect(child.errorLines.count == 1 && child.errors.contains(word), "\(arguments): \(child.errors)")
            }
        }
    }
}
