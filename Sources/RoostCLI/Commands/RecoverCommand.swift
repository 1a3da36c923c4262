internal import ArgumentParser
internal import RoostModel
internal import RoostNode
internal import RoostProtocol
internal import RoostServer

struct RecoverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recover",
        abstract: "Last resort: go on from one surviving node when a majority of the disks is gone for good.",
        discussion: """
            Stop every node first. Without --unsafe it only says what would be done and what may be lost. \
            Afterwards start the survivor; the other nodes join it with blank data directories and are filled.
            """)

    @Option(help: "The node whose data is to be the cluster's from now on.")
    var from: String

    @Flag(name: .customLong("unsafe"), help: "Do it.")
    var isConfirmed = false

    @OptionGroup var config: ConfigOptions

    func run() async throws {
        let config = try config.load()
        let survivor = NodeID(from)
        do throws(NodeRunError) {
            let runner = try RecoveryRunner(config: config, survivor: survivor)
            for line in Self.lines(runner.plan, survivor: survivor, done: isConfirmed) { Console.out(line) }
            if isConfirmed { try runner.apply() }
        } catch {
            throw Failure(error.message, ExitCode(error.exitCode))
        }
        guard isConfirmed else { return }
        let others = config.nodes.filter { $0.id != survivor }
        Console.out("done: start \(survivor) now")
        for node in others {
            Console.out(
                "  \(node.id): move \(node.dataDirectory) away if it holds data of the former cluster, then start it")
        }
    }

    static func lines(_ plan: UnsafeRecovery, survivor: NodeID, done: Bool) -> [String] {
        let entries = plan.reaches.reduce(0) { $0 + $1.lastIndex }
        let open = plan.reaches.reduce(0) { $0 + $1.lastIndex - min($1.lastIndex, $1.appliedIndex) }
        var lines = [
            "cluster \(plan.former.cluster) (\(plan.former.clusterID)): \(survivor) holds \(plan.reaches.count) partitions, "
                + "\(entries) log entries",
            "may be lost: every message that the others accepted and \(survivor) had not received yet, with its cursors and "
                + "memberships; how many, nobody can tell any more",
            "may appear: up to \(open) entries that \(survivor) had received and that were perhaps never accepted",
            "for good: nodes with data of the former cluster are refused; they join blank",
        ]
        if !done { lines.append("nothing was changed; add --unsafe to do it") }
        return lines
    }
}
