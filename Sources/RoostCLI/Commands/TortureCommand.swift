internal import ArgumentParser
internal import Foundation

struct TortureCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "torture",
        abstract: "Break a cluster of its own over and over, and check that it keeps its promises.",
        discussion: """
            Starts nodes of its own on free ports of this machine, has clients send and receive at all of them, and kills, \
            stops and cuts off nodes at random moments. After each round every device must have each accepted message \
            once and in order. Exits 1 where one has not; data and logs are then kept. The same seed draws the same \
            faults.
            """)

    @Option(help: "How long new rounds begin, in minutes.")
    var minutes = 1.0

    @Option(help: "Nodes, 3 to 9.")
    var nodes = 3

    @Option(help: "Messages a second, of all senders together.")
    var rate = 200.0

    @Option(help: "kill, stop, cut, wipe or full, separated by commas.")
    var faults = "kill,stop,cut,wipe"

    @Option(help: "How long nodes stand still, in seconds, separated by commas (default: drawn between 5 and 30).")
    var stopSeconds: String?

    @Option(help: "Draws the faults (default: at random, and printed).")
    var seed: UInt64?

    @Option(help: "Where data and logs go; must not exist yet (default: a temporary directory).")
    var directory: String?

    func run() async throws {
        guard minutes > 0, minutes <= 100_000 else { throw Failure("--minutes must be above 0", .usage) }
        guard (3...9).contains(nodes) else { throw Failure("--nodes must be 3 to 9", .usage) }
        guard rate >= 1, rate <= 100_000 else { throw Failure("--rate must be 1 to 100000", .usage) }
        let kinds = try faults.split(separator: ",").map { word in
            guard let fault = TortureFault(rawValue: String(word)) else {
                throw Failure("--faults: \"\(word)\" is none of kill, stop, cut, wipe, full", .usage)
            }
            return fault
        }
        guard !kinds.isEmpty else { throw Failure("--faults is empty", .usage) }
        let stops = try (stopSeconds ?? "").split(separator: ",").map { word in
            guard let seconds = UInt64(word), (1...3_600).contains(seconds) else {
                throw Failure("--stop-seconds: \"\(word)\" is not a number from 1 to 3600", .usage)
            }
            return seconds * 1_000
        }
        let seed = seed ?? UInt64.random(in: 1...999_999_999)
        let path = directory ?? NSTemporaryDirectory() + "roost-torture-\(seed)"
        guard !FileManager.default.fileExists(atPath: path) else {
            throw Failure("\(path) is there already: name another --directory", .cantCreate)
        }
        OpenFileLimit.raise()
        var run = TortureRun(
            options: .init(
                seed: seed, nodes: nodes, rate: rate, seconds: minutes * 60, faults: kinds, stops: stops,
                directory: URL(fileURLWithPath: path).standardizedFileURL.path)
        ) { Console.out($0) }
        if try await !run.run() { throw ExitCode.failure }
    }
}
