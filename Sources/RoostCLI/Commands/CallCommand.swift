internal import ArgumentParser
internal import Foundation
internal import RoostClient

struct CallCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "call", abstract: "Make one HTTP call as a user, and print the answer.",
        discussion: "The token is the one of the last login. Example: "
            + "roost call --user alice --endpoint \"sync?user_id=…\" --since \"10 minutes ago\"")

    @Option(help: "Whose token to use.")
    var user: String

    @Option(help: "Path and query behind /api/.")
    var endpoint: String

    @Option(help: "get, post, put, patch or delete.")
    var method = "get"

    @Option(help: "The request's JSON.")
    var body: String?

    @Option(help: "Adds since= to the query: UNIX seconds, or \"N seconds|minutes|hours|days ago\".")
    var since: String?

    @OptionGroup var servers: ServerOptions

    func run() async throws {
        let method = method.uppercased()
        guard ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(method) else {
            throw Failure("--method: \"\(self.method)\" is not a method", .usage)
        }
        if let body, (try? JSONDecoder().decode(JSONValue.self, from: Data(body.utf8))) == nil {
            throw Failure("--body is not JSON", .usage)
        }
        let now = Date().timeIntervalSince1970
        var target = endpoint.hasPrefix("/") ? endpoint : "/" + endpoint
        if target.hasPrefix("/api/") { target.removeFirst(4) }
        if let since {
            guard let time = SinceExpression.parse(since, now: now) else {
                throw Failure("--since: \"\(since)\" is neither UNIX seconds nor \"N minutes ago\"", .usage)
            }
            target += (target.contains("?") ? "&" : "?") + "since=\(Self.seconds(time))"
        }
        guard target.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw Failure("--endpoint must be percent-encoded", .usage)
        }
        let entry = try Tokens.require(user, servers: servers.urls(others: true), now: now)
        let answer = try await ClientCalls.perform(
            method, target, token: entry.token, body: body.map { Array($0.utf8) }, servers.urls(others: false),
            tls: servers.configOptions.tls())
        Console.out(String(decoding: answer, as: UTF8.self))
    }

    /// Never with an exponent.
    private static func seconds(_ time: Double) -> String {
        let microseconds = Int64(min(time, 9_000_000_000_000) * 1_000_000)
        let fraction = String(microseconds % 1_000_000)
        return "\(microseconds / 1_000_000).\(String(repeating: "0", count: 6 - fraction.count))\(fraction)"
    }
}

enum Tokens {
    static func require(_ user: String, servers: [String], now: Double) throws -> TokenStore.Entry {
        guard let entry = TokenStore.standard().token(username: user, servers: servers, now: now) else {
            throw Failure(
                "\(user) is not logged in at \(servers[0]): roost login --username \(user) --password …", .noPermission)
        }
        return entry
    }
}
