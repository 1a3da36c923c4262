internal import Foundation

/// A node, or another command of this program, as a child process whose output is listened to. It holds the read end of
/// a pipe as its standard input: when this process is gone, in whatever way, the pipe closes, and the child ends.
final class SupervisedProcess {
    private let process = Process()
    private let outputs = [Pipe(), Pipe()]
    /// Our end of the child's standard input; close-on-exec, so that no other child keeps it open.
    private let lifeline: Int32

    enum Output {
        case out
        case error
    }

    /// Callbacks come on any thread, in order for each output.
    /// - Parameters:
    ///   - output: empty at the end.
    ///   - exited: once.
    init(
        executable: String, arguments: [String], output: @escaping @Sendable (Output, Data) -> Void,
        exited: @escaping @Sendable (Supervisor.Exit) -> Void
    ) throws {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw Failure("no pipe for a child: \(String(cString: strerror(errno)))") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        lifeline = ends[1]
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        // A process that has trapped is to be gone, and started again, not to be looked at for minutes.
        process.environment = ["SWIFT_BACKTRACE": "enable=no"].merging(ProcessInfo.processInfo.environment) { $1 }
        process.standardInput = FileHandle(fileDescriptor: ends[0], closeOnDealloc: true)
        process.standardOutput = outputs[0]
        process.standardError = outputs[1]
        for (pipe, kind) in zip(outputs, [Output.out, .error]) {
            pipe.fileHandleForReading.readabilityHandler = { handle in
                let data = handle.availableData
                if data.isEmpty { handle.readabilityHandler = nil }
                output(kind, data)
            }
        }
        process.terminationHandler = { exited(Self.exit(of: $0)) }
        do {
            try process.run()
        } catch {
            // `deinit` closes the pipe: the object has all its properties.
            throw Failure("\(executable) can't be started: \(error.localizedDescription)")
        }
    }

    deinit { close(lifeline) }

    var isRunning: Bool { process.isRunning }

    /// Nil while it runs. For who was not told: `Process` starts a thread to tell of the end, and where there can't be one
    /// more, nobody is told.
    var exit: Supervisor.Exit? { process.isRunning ? nil : Self.exit(of: process) }

    private static func exit(of process: Process) -> Supervisor.Exit {
        process.terminationReason == .exit ? .code(process.terminationStatus) : .signal(process.terminationStatus)
    }

    func terminate() { kill(process.processIdentifier, SIGTERM) }
    func kill() { kill(process.processIdentifier, SIGKILL) }

    private func kill(_ pid: Int32, _ signal: Int32) {
        if process.isRunning { _ = Foundation.kill(pid, signal) }
    }
}
