internal import ArgumentParser
internal import Foundation
internal import NIOCore
internal import RoostClient
internal import RoostModel
internal import RoostProtocol

struct WebSocketCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ws", abstract: "A live session: prints what comes, sends what is typed.",
        discussion: """
            A line is sent as a text message to --conversation or --to; a line that begins with { is a frame, sent as \
            it is. When the connection is lost, it goes on with another node. At the end of its input it waits until \
            all is answered and what was unread has been printed, for 10 seconds at most.
            """)

    /// From the end of the input to the end of the command.
    private static let lastSeconds = 10.0

    @Option(help: "Whose session; the token is the one of the last login.")
    var user: String

    @Option(help: "The user's id, to check that it is the token's.")
    var userID: String?

    @Option(help: "1 to 64 of letters, digits, '.', '_', '-': which of the user's devices this is.")
    var deviceID = "cli"

    @Option(help: "Lines go to this conversation (an id).")
    var conversation: String?

    @Option(help: "Lines go to this user (a name or an id).")
    var to: String?

    @Option(help: "Where a device never seen before begins: all, now or UNIX seconds.")
    var start = "all"

    @Option(help: "Watch whether these users are online: names or ids, separated by commas.")
    var presence: String?

    @Flag(help: "Print the server's frames as they come.")
    var json = false

    @Flag(help: "Go on listening when the input ends.")
    var stay = false

    @OptionGroup var servers: ServerOptions

    func run() async throws {
        guard let device = DeviceID(deviceID) else {
            throw Failure("--device-id: must be 1 to 64 of letters, digits, '.', '_', '-'", .usage)
        }
        let target = try target()
        let start = try startPosition()
        let urls = try servers.urls(others: true)
        let entry = try Tokens.require(user, servers: urls, now: Date().timeIntervalSince1970)
        guard let id = UserID(entry.userID) else {
            throw Failure("the kept token has no user id; log in again", .noPermission)
        }
        if let userID, UserID(userID) != id { throw Failure("--user-id is not \(user)'s id, which is \(id)", .usage) }

        let client = try await reporting { try RoostClient(servers: urls, tls: servers.configOptions.tls()) }
        let watched: [UserID: String]
        do {
            watched = try await reporting { try await watchedUsers(client, token: entry.token) }
        } catch {
            await client.shutdown()
            throw error
        }
        var options = SessionOptions()
        options.beginsWithFirstServer = true
        var observer: (@Sendable (ByteBuffer) -> Void)?
        if json { observer = { frame in Console.out(String(buffer: frame)) } }
        let token = AccessToken(token: entry.token, userID: id, expiresIn: entry.expires)
        let session = await client.connect(
            .token(token), device: device, start: start, options: options, frameObserver: observer)
        let terminal = SessionTerminal(
            session: session, printer: MessagePrinter(names: names(id)), showsMessages: !json, watched: watched,
            target: target, stays: stay, lastSeconds: Self.lastSeconds)
        let failed: Bool
        do {
            failed = try await reporting { try await terminal.run() }
        } catch {
            await client.shutdown()
            throw error
        }
        await client.shutdown()
        if failed { throw ExitCode.failure }
    }

    private func target() throws -> SendTarget? {
        switch (conversation, to) {
        case (nil, nil): return nil
        case (let text?, nil):
            guard let id = ConversationID(text) else { throw Failure("--conversation is not an id", .usage) }
            return .conversation(id)
        case (nil, let name?): return UserID(name).map { .user($0) } ?? .username(name)
        default: throw Failure("--conversation and --to exclude each other", .usage)
        }
    }

    /// By their ids, as they were written.
    private func watchedUsers(_ client: RoostClient, token: String) async throws -> [UserID: String] {
        var users: [UserID: String] = [:]
        for word in (presence ?? "").split(separator: ",") {
            let name = String(word)
            if let id = UserID(name) {
                users[id] = TokenStore.standard().username(of: id) ?? String(name.prefix(8))
            } else {
                let found = try await client.user(named: name, token: token)
                users[found.userID] = found.username
            }
        }
        return users
    }

    private func startPosition() throws -> SessionStart {
        if start == "all" { return .all }
        if start == "now" { return .now }
        guard let time = SinceExpression.parse(start, now: Date().timeIntervalSince1970) else {
            throw Failure("--start: must be all, now or UNIX seconds", .usage)
        }
        return .at(time)
    }

    /// Names that are known without asking: a name's id is derived from it only by the server.
    private func names(_ own: UserID) -> @Sendable (UserID) -> String? {
        let store = TokenStore.standard()
        let user = user
        return { id in id == own ? user : store.username(of: id) }
    }
}
