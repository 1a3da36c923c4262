import Foundation

@testable import RoostCLI

/// The built `roost`, which stands beside the bundle of the tests.
enum RoostProgram {
    static func path() throws -> String {
        if let given = ProcessInfo.processInfo.environment["ROOST_PROGRAM"] { return given }
        var candidates = CommandLine.arguments.filter { $0.hasSuffix(".xctest") }
        candidates.append(Bundle.main.executablePath ?? "")
        candidates.append(Bundle.main.bundlePath)
        for candidate in candidates {
            var directory = URL(fileURLWithPath: candidate)
            for _ in 0..<3 {
                directory.deleteLastPathComponent()
                let path = directory.appendingPathComponent("roost").path
                if FileManager.default.isExecutableFile(atPath: path) { return path }
            }
        }
        throw HarnessError("no program roost beside \(candidates); name it in ROOST_PROGRAM")
    }

    /// Runs it to its end.
    static func run(_ arguments: [String], in directory: String) async throws -> ChildProcess {
        let child = try ChildProcess(try path(), arguments, log: "\(directory)/run-\(newID())")
        _ = try await child.exited()
        return child
    }
}
