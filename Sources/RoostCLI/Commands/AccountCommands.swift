internal import ArgumentParser
internal import Foundation
internal import RoostClient
internal import RoostModel

struct RegisterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "register", abstract: "Make an account.")

    @OptionGroup var account: AccountOptions
    @OptionGroup var servers: ServerOptions

    func run() async throws {
        let answer = try await account.ask("/register", servers)
        let values = try? JSONDecoder().decode(JSONValue.self, from: Data(answer))
        account.show(answer, "registered \(account.username), user id \(values?["user_id"]?.stringValue ?? "?")")
    }
}

struct LoginCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "login", abstract: "Log in, and keep the token for ws and call.")

    @OptionGroup var account: AccountOptions
    @OptionGroup var servers: ServerOptions

    func run() async throws {
        let answer = try await account.ask("/login", servers)
        guard let token = try? JSONDecoder().decode(AccessToken.self, from: Data(answer)) else {
            throw Failure("the server's answer can't be read")
        }
        try TokenStore.standard().save(
            TokenStore.Entry(
                username: account.username, userID: token.userID.description, token: token.token,
                expires: Date().timeIntervalSince1970 + token.expiresIn, servers: try servers.urls(others: true)))
        account.show(answer, "logged in as \(account.username), user id \(token.userID)")
    }
}

struct AccountOptions: ParsableArguments {
    @Option(help: "The account's name.")
    var username: String

    @Option(help: "Its password; asked for where it is left out.")
    var password: String?

    @Option(help: .hidden)
    var role: String?

    @Flag(help: "Print the server's answer as it is.")
    var json = false

    /// The body of the answer, which was a success.
    func ask(_ target: String, _ servers: ServerOptions) async throws -> [UInt8] {
        var body = ["username": username, "password": try Self.password(given: password)]
        if let role { body["role"] = role }
        let data = try JSONEncoder().encode(body)
        return try await ClientCalls.perform(
            "POST", target, token: nil, body: Array(data), servers.urls(others: false),
            tls: servers.configOptions.tls())
    }

    func show(_ answer: [UInt8], _ text: String) { Console.out(json ? String(decoding: answer, as: UTF8.self) : text) }

    static func password(given: String?) throws -> String {
        if let given { return given }
        guard isatty(0) == 1, let entered = getpass("Password: ") else {
            throw Failure("--password is missing", .usage)
        }
        return String(cString: entered)
    }
}

/// One HTTP call of the API.
enum ClientCalls {
    /// The answer's body.
    /// - Throws: one line for an answer that is not a success.
    static func perform(
        _ method: String, _ target: String, token: String?, body: [UInt8]?, _ servers: [String],
        tls: ClientTLS?
    ) async throws -> [UInt8] {
        let answer = try await reporting {
            let client = try RoostClient(servers: servers, tls: tls)
            do {
                let answer = try await client.call(method, target, token: token, body: body)
                await client.shutdown()
                return answer
            } catch {
                await client.shutdown()
                throw error
            }
        }
        guard answer.isSuccess else { throw Failure(HTTPAnswers.error(of: answer)) }
        return answer.body
    }
}
