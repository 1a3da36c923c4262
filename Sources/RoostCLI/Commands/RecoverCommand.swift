internal import ArgumentParser
internal import Foundation
internal import RoostModel
internal import RoostNode
internal import RoostProtocol
internal import RoostServer

struct RecoverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recover",
        abstract: "Last resort: go on from the surviving nodes when a majority of the disks is gone for good.",
        discussion: """
            Stop every node first. Without --unsafe it only says what would be done and what may be lost. Name every \
            survivor: each partition goes on from the one with the newest log, as far as that is whole. \
            Survivors on other machines are taken in by their surveys: --save on each, carry the files to all, then the \
            same --with on each. Afterwards start the survivors; the other nodes join them with blank data directories \
            and are filled.
            """)

    @Option(help: "A surviving node whose data directory is on this machine; may be repeated.")
    var from: [String]

    @Option(
        help: "The survey of a survivor, from another machine (or of --from, to go on as they do); may be repeated.")
    var with: [String] = []

    @Option(help: "Write the survey of each --from as {node}.json into this directory, and do nothing else.")
    var save: String?

    @Flag(name: .customLong("unsafe"), help: "Do it.")
    var isConfirmed = false

    @OptionGroup var config: ConfigOptions

    func run() async throws {
        let config = try config.load()
        let here = from.map { NodeID($0) }
        if save != nil && isConfirmed { throw Failure("--save and --unsafe: one after the other", .usage) }
        let runner: RecoveryRunner
        do throws(NodeRunError) {
            if let save {
                for path in try RecoveryRunner.save(config: config, from: here, to: save) { Console.out(path) }
                return
            }
            runner = try RecoveryRunner(config: config, from: here, with: with)
            for line in Self.lines(runner.plan, losses: runner.losses, done: isConfirmed) { Console.out(line) }
            if isConfirmed { try runner.apply() }
        } catch {
            throw Failure(error.message, ExitCode(error.exitCode))
        }
        guard isConfirmed else { return }
        let survivors = runner.plan.survivors
        let elsewhere = survivors.filter { !here.contains($0) }
        if !runner.done.isEmpty { Console.out("\(Self.list(runner.done)): done before, left as it is") }
        Console.out("done: start \(Self.list(here)) now")
        if !elsewhere.isEmpty {
            Console.out(
                "  \(Self.list(elsewhere)): the same on its machine, with the same surveys, before it is started")
        }
        for node in config.nodes where !survivors.contains(node.id) {
            Console.out(
                "  \(node.id): move \(node.dataDirectory) away if it holds data of the former cluster, then start it")
        }
    }

    private static func list(_ nodes: [NodeID]) -> String { nodes.map(\.name).joined(separator: ", ") }

    static func lines(_ plan: UnsafeRecovery, losses: [String], done: Bool) -> [String] {
        let alone = plan.choices.filter { $0.voter != nil }
        let entries = plan.choices.reduce(0) { $0 + $1.newest.lastIndex }
        var lines = [
            "cluster \(plan.former.cluster) (\(plan.former.clusterID)): \(list(plan.survivors)) "
                + "\(plan.survivors.count == 1 ? "holds" : "hold") \(plan.choices.count) partitions, \(entries) log entries"
        ]
        lines += losses.map { "\($0)" }
        if alone.isEmpty {
            lines.append("of every partition a majority survives: nothing is lost, and starting the nodes is enough")
        } else {
            let open = alone.reduce(0) { $0 + $1.open }
            lines += [
                "may be lost: every message, with cursors and memberships, that others had accepted and that the "
                    + "survivor had not received yet; how many, nobody can tell any more",
                "may appear: up to \(open) entries that it had received and that were perhaps never accepted",
                "by partition:",
            ]
            lines += alone.map { line(of: $0) }
        }
        let whole = plan.choices.count - alone.count
        if whole > 0 && !alone.isEmpty { lines.append("  \(whole) others: a majority survives, nothing is lost") }
        lines.append("for good: nodes with data of the former cluster are refused; they join blank")
        if !done { lines.append("nothing was changed; add --unsafe to do it") }
        return lines
    }

    private static func line(of choice: UnsafeRecovery.Choice) -> String {
        let newest = choice.newest
        var line =
            "  partition \(choice.partition): goes on from \(choice.voter?.node.name ?? "?") with \(newest.wholeIndex) "
            + "entries, \(choice.open) of them perhaps never accepted; may lack what \(list(choice.lost)) confirmed"
        if !newest.isWhole {
            line += "; A ROW IS DAMAGED, AND IT GIVES UP \(newest.lastIndex - newest.wholeIndex) ENTRIES from there on"
        }
        if !choice.damaged.isEmpty {
            line += "; rows are damaged at \(list(choice.damaged.map(\.node))): filled anew, what it alone had is lost"
        }
        return line
    }
}
