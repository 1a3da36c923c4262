internal import Foundation

/// A program started from here: its output goes to files, its end is seen by asking.
final class ChildProcess: @unchecked Sendable {
    // Unchecked: `exit` is touched under `lock` only; all else never changes.
    enum Exit: Equatable, CustomStringConvertible {
        case code(Int32)
        case signal(Int32)

        var description: String {
            switch self {
            case .code(let code): "exit code \(code)"
            case .signal(let signal): "signal \(signal)"
            }
        }
    }

    let pid: pid_t
    private let outputPath: String
    private let errorPath: String
    private let lock = NSLock()
    private var exit: Exit?
    /// Our end of the child's standard input. It closes when this process ends, however it does.
    private let lifeline: Int32

    /// - Parameter log: path without extension; `.out` and `.err` are appended to.
    init(_ executable: String, _ arguments: [String], log: String) throws {
        outputPath = log + ".out"
        errorPath = log + ".err"
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw Failure("no pipe: \(String(cString: strerror(errno)))") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        lifeline = ends[1]
        defer { close(ends[0]) }

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[0], 0)
        for (descriptor, path) in [(Int32(1), outputPath), (2, errorPath)] {
            posix_spawn_file_actions_addopen(&actions, descriptor, path, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        }
        var values = ([executable] + arguments).map { strdup($0) } + [nil]
        defer { for value in values { free(value) } }
        var pid = pid_t()
        let result = posix_spawnp(&pid, executable, &actions, nil, &values, environ)
        guard result == 0 else {
            close(lifeline)
            throw Failure("\(executable) can't be started: \(String(cString: strerror(result)))")
        }
        self.pid = pid
    }

    deinit {
        kill(SIGKILL)
        close(lifeline)
    }

    /// Nil while it runs.
    var status: Exit? {
        lock.withLock {
            if let exit { return exit }
            var status: Int32 = 0
            guard waitpid(pid, &status, WNOHANG) == pid else { return nil }
            exit = status & 0x7f == 0 ? .code(status >> 8 & 0xff) : .signal(status & 0x7f)
            return exit
        }
    }

    func kill(_ signal: Int32) {
        // Not once it has been waited for: then the number may be another's.
        guard status == nil else { return }
        _ = Foundation.kill(pid, signal)
    }

    /// As a crash: returns when all are gone, which after SIGKILL is the kernel's matter alone.
    static func killAndWait(_ children: [ChildProcess]) {
        for child in children { child.kill(SIGKILL) }
        for child in children {
            while child.status == nil { usleep(500) }
        }
    }

    var output: String { Self.text(outputPath) }
    var errors: String { Self.text(errorPath) }
    var errorLines: [Substring] { errors.split(separator: "\n") }

    private static func text(_ path: String) -> String {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
}
