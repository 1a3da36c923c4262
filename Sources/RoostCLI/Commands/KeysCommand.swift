internal import ArgumentParser
internal import Foundation
internal import RoostClient

struct KeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "The keys that sign tokens.",
        subcommands: [ListKeys.self, RotateKeys.self, RemoveKey.self])
}

private struct ListKeys: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "Show them, without their secrets.")

    @OptionGroup var options: AdminOptions

    func run() async throws {
        try await options.with { client in
            let answer = try await client.get("/admin/keys")
            let rows = (answer.arrayValue ?? []).map { key in
                [
                    key["id"]?.stringValue ?? "?", key["created_at"]?.stringValue ?? "-",
                    key["active_at"]?.stringValue ?? "not yet", KeysCommand.signs(key) ? "yes" : "no",
                ]
            }
            try options.show(answer, Console.table(["KEY", "CREATED", "ACTIVE", "SIGNS"], rows))
        }
    }
}

private struct RotateKeys: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate",
        abstract: "Have a new key sign; waits until it does. Nobody is logged out.",
        discussion: "The old one is removed when everything that it has signed has expired.")

    @Flag(help: "Return at once.")
    var noWait = false
    @OptionGroup var options: AdminOptions

    func run() async throws {
        try await options.with { client in
            let answer = try await client.post("/admin/keys/rotate", [:])
            let id = answer["id"]?.stringValue ?? "?"
            if !noWait { try await wait(for: id, client) }
            try options.show(answer, [noWait ? "\(id) signs once every node has it" : "\(id) signs"])
        }
    }

    private func wait(for id: String, _ client: AdminClient) async throws {
        while true {
            let keys = try await client.get("/admin/keys").arrayValue ?? []
            if keys.contains(where: { $0["id"]?.stringValue == id && KeysCommand.signs($0) }) { return }
            try await Task.sleep(for: .milliseconds(300))
        }
    }
}

private struct RemoveKey: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Refuse everything that a key has signed, from now on: for one that got into other hands.",
        discussion: "The key that signs cannot be removed: rotate first.")

    @Argument(help: "Its id.")
    var key: String
    @OptionGroup var options: AdminOptions

    func run() async throws {
        try await options.with { client in
            let answer = try await client.delete("/admin/keys/\(key)")
            try options.show(answer, ["removed \(key)"])
        }
    }
}

extension KeysCommand {
    fileprivate static func signs(_ key: JSONValue) -> Bool {
        if case .bool(true)? = key["signs"] { true } else { false }
    }
}
