internal import ArgumentParser
internal import Foundation
internal import RoostClient
internal import RoostNode

struct LeaveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "leave",
        abstract: "Have a node give its replicas away and go; waits until it is gone.",
        discussion: "The node's process ends with 0 then. Interrupting this command does not stop it.")

    @Argument(help: "The node.")
    var node: String
    @Flag(help: "Return at once.")
    var noWait = false
    @OptionGroup var options: AdminOptions

    func run() async throws {
        try await options.with { client in
            _ = try await client.post("/admin/leave", ["node_id": node])
        }
        Console.out("\(node) leaves: its replicas go to the others")
        if !noWait { try await RingProgress.wait(for: node, options) }
    }
}

struct RemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Take a node out of the cluster that is gone for good; the others fill new replicas for its.",
        discussion:
            """
            A node that lives is refused: let it leave. So is one while replicas of another that was removed are not \
            replaced yet. A node that was removed never comes back with its data.
            """)

    @Argument(help: "The node.")
    var node: String
    @Flag(help: "Also a node that lives: it ends, and what only it has is lost.")
    var force = false
    @Flag(help: "Return at once.")
    var noWait = false
    @OptionGroup var options: AdminOptions

    func run() async throws {
        try await options.with { client in
            _ = try await client.post("/admin/remove", ["node_id": node, "force": force ? "true" : "false"])
        }
        Console.out("\(node) is removed: others get its replicas")
        if !noWait { try await RingProgress.wait(for: node, options) }
    }
}

/// What the operator sees while replicas move.
enum RingProgress {
    private static let beat = Duration.milliseconds(500)

    /// Until the node is out of the ring and every partition is where it should be, as far as those asked know.
    static func wait(for node: String, _ options: AdminOptions) async throws {
        var said = ""
        while true {
            let (line, isDone) = try await look(at: node, options)
            if line != said { Console.out(line) }
            said = line
            if isDone { return }
            try await Task.sleep(for: beat)
        }
    }

    private static func look(at node: String, _ options: AdminOptions) async throws -> (String, Bool) {
        var states: [String] = []
        var moving = 0
        var replicas = 0
        // Each leader knows of its own partitions only; the node that goes may be gone.
        for url in try options.urls() {
            guard
                let (cluster, partitions) = try? await options.with(
                    urls: [url],
                    { client in
                        (try await client.get("/admin/cluster"), try await client.get("/admin/partitions"))
                    })
            else { continue }
            let members = cluster["ring"]?["members"]?.arrayValue ?? []
            let own = members.first { $0["id"]?.stringValue == node }
            states.append(own?["state"]?.stringValue ?? "removed")
            moving += cluster["unsettled_partitions"]?.intValue ?? 0
            let asked = cluster["node_id"]?.stringValue
            for partition in partitions.arrayValue ?? [] where partition["leader"]?.stringValue == asked {
                replicas += (partition["replicas"]?.arrayValue ?? []).count { $0["node_id"]?.stringValue == node }
            }
        }
        guard !states.isEmpty else { return ("\(node): no admin endpoint answers", true) }
        if states.contains("removed"), replicas == 0, moving == 0 { return ("\(node) is out of the cluster", true) }
        return ("\(node): \(replicas) replicas left there, \(moving) partitions move", false)
    }
}
