internal import ArgumentParser
internal import Foundation
internal import Logging
internal import RoostModel
internal import RoostNode
internal import RoostServer

struct NodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node", abstract: "Run one node in the foreground. Exits 0 after a drained SIGTERM.")

    @Option(help: "Which node of the file this is.")
    var id: String

    @OptionGroup var config: ConfigOptions
    @OptionGroup var own: OwnNodeOptions

    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel = "info"

    @Flag(help: "Drain and exit when standard input closes: then the process that started this one is gone.")
    var exitWithParent = false

    func run() async throws {
        guard let level = Logger.Level(rawValue: logLevel) else {
            throw Failure("--log-level: \"\(logLevel)\" is not a level", .usage)
        }
        guard DeviceID(id) != nil else {
            throw Failure("--id: must be 1 to 64 letters, digits, '.', '_' or '-'", .usage)
        }
        let node = NodeID(id)
        let config = try own.configuration(config, node)
        OpenFileLimit.raise()
        if exitWithParent { watchParent(drainMilliseconds: config.timing.drainMilliseconds) }
        let logger = Logger(label: "roost") { LineLogHandler(logLevel: level, label: $0) }
        do {
            try await NodeRunner.run(
                config: config, node: node, join: own.join.map { JoinOptions(seed: $0) }, logger: logger)
        } catch {
            throw Failure(error.message, ExitCode(error.exitCode))
        }
    }

    private func watchParent(drainMilliseconds: Int) {
        Thread.detachNewThread {
            var byte: UInt8 = 0
            while true {
                let count = read(0, &byte, 1)
                if count == 0 || count < 0 && errno != EINTR { break }
            }
            kill(getpid(), SIGTERM)
            Thread.sleep(forTimeInterval: Double(drainMilliseconds) / 1_000 + 5)
            _exit(ExitCode.failure.rawValue)
        }
    }
}

/// Each connection needs a descriptor; the soft limit is often 1,024.
enum OpenFileLimit {
    static func raise() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
