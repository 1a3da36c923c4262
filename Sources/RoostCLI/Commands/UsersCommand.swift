internal import ArgumentParser
internal import Foundation
internal import RoostClient
internal import RoostModel
internal import RoostNode
internal import RoostServer

struct UsersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "users", abstract: "Accounts, by an operator.",
        subcommands: [CreateUser.self, ListUsers.self, DisableUser.self, EnableUser.self])
}

struct AdminOptions: ParsableArguments {
    @Option(help: "A node's admin endpoint (default: those of the cluster's file).")
    var admin: [String] = []

    @Option(help: "Token of the admin endpoint (default: security.admin_token of the file).")
    var adminToken: String?

    @OptionGroup var config: ConfigOptions

    @Flag(help: "Print the server's answer as it is.")
    var json = false

    /// Those given, else those of the file.
    func urls() throws -> [String] {
        admin.isEmpty ? try config.load().adminURLs : admin
    }

    func with<Value>(urls given: [String]? = nil, _ body: (AdminClient) async throws -> Value) async throws -> Value {
        let file = admin.isEmpty ? try config.load() : try config.loadIfPresent()
        let urls = try given ?? self.urls()
        return try await AdminClient.with(
            urls: urls, token: adminToken ?? file?.security.adminToken, tls: config.tls(), body)
    }

    func show(_ value: JSONValue, _ lines: [String]) throws {
        guard json else {
            for line in lines { Console.out(line) }
            return
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        Console.out(String(decoding: try encoder.encode(value), as: UTF8.self))
    }
}

private struct CreateUser: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "create", abstract: "Make an account.")

    @Option(help: "The account's name.")
    var username: String
    @Option(help: "Its password; asked for where it is left out.")
    var password: String?
    @Option(help: "user or admin.")
    var role = "user"
    @OptionGroup var options: AdminOptions

    func run() async throws {
        guard role == "user" || role == "admin" else { throw Failure("--role: must be user or admin", .usage) }
        let password = try AccountOptions.password(given: password)
        try await options.with { client in
            let answer = try await client.post(
                "/admin/users", ["username": username, "password": password, "role": role])
            let id = answer["user_id"]?.stringValue ?? "?"
            try options.show(answer, ["made \(username), role \(role), user id \(id)"])
        }
    }
}

private struct ListUsers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "Show all accounts.")

    @OptionGroup var options: AdminOptions

    func run() async throws {
        try await options.with { client in
            let users = try await all(client)
            let answer = JSONValue.array(users)
            let rows = users.map { user in
                let disabled = if case .bool(true)? = user["disabled"] { true } else { false }
                return [
                    user["username"]?.stringValue ?? "?", user["role"]?.stringValue ?? "-",
                    disabled ? "disabled" : "active",
                    user["user_id"]?.stringValue ?? "?",
                ]
            }
            try options.show(answer, Console.table(["USERNAME", "ROLE", "STATUS", "USER ID"], rows))
        }
    }

    /// Page by page, then by name.
    private func all(_ client: AdminClient) async throws -> [JSONValue] {
        let limit = 1_000
        var users: [JSONValue] = []
        var after = ""
        while true {
            let page = try await client.get("/admin/users?limit=\(limit)\(after)").arrayValue ?? []
            users += page
            guard page.count == limit, let last = page.last?["user_id"]?.stringValue else { break }
            after = "&after=\(last)"
        }
        func key(_ user: JSONValue) -> (String, String) {
            (user["username"]?.stringValue ?? "", user["user_id"]?.stringValue ?? "")
        }
        return users.sorted { key($0) < key($1) }
    }
}

private struct DisableUser: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disable", abstract: "End an account's sessions and refuse its logins.")

    @OptionGroup var account: NamedAccount
    @OptionGroup var options: AdminOptions

    func run() async throws { try await account.change("disable", "disabled", options) }
}

private struct EnableUser: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enable", abstract: "Allow a disabled account's logins again.")

    @OptionGroup var account: NamedAccount
    @OptionGroup var options: AdminOptions

    func run() async throws { try await account.change("enable", "enabled", options) }
}

private struct NamedAccount: ParsableArguments {
    @Option(help: "The account's name.")
    var username: String?
    @Option(help: "The account's id, instead of its name.")
    var userID: String?

    func change(_ action: String, _ done: String, _ options: AdminOptions) async throws {
        try await options.with { client in
            let id = try id()
            let answer = try await client.post("/admin/users/\(id)/\(action)", [:])
            try options.show(answer, ["\(done) \(username ?? id.description)"])
        }
    }

    private func id() throws -> UserID {
        switch (username, userID) {
        case (nil, let text?):
            guard let id = UserID(text) else { throw Failure("--user-id is not an id", .usage) }
            return id
        case (let name?, nil):
            guard let id = UsernameRules.userID(of: name) else { throw Failure("there is no user \(name)") }
            return id
        default: throw Failure("one of --username and --user-id is needed", .usage)
        }
    }
}
