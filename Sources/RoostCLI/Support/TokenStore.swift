internal import Foundation
internal import RoostClient
internal import RoostModel

/// Tokens of earlier logins: one file that only its owner can read.
struct TokenStore {
    struct Entry: Codable, Equatable {
        var username: String
        var userID: String
        var token: String
        /// UNIX seconds.
        var expires: Double
        /// All nodes that were known at the login: any of them knows the token.
        var servers: [String]
    }

    /// Oldest entries go first.
    private static let maxEntries = 1_000

    let directory: String
    private var path: String { directory + "/tokens.json" }

    /// `$XDG_CONFIG_HOME/roost`, or `~/.config/roost`.
    static func standard(environment: [String: String] = ProcessInfo.processInfo.environment) -> TokenStore {
        if let base = environment["XDG_CONFIG_HOME"], base.hasPrefix("/") {
            return TokenStore(directory: base + "/roost")
        }
        let home = environment["HOME"] ?? NSHomeDirectory()
        return TokenStore(directory: home + "/.config/roost")
    }

    func token(username: String, servers: [String], now: Double) -> Entry? {
        read().last { entry in
            entry.username == username && entry.expires > now && !Set(entry.servers).isDisjoint(with: servers)
        }
    }

    /// The name of a user who logged in here.
    func username(of user: UserID) -> String? { read().last { $0.userID == user.description }?.username }

    func save(_ entry: Entry) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw Failure("can't make \(directory) for tokens: see HOME or XDG_CONFIG_HOME", .cantCreate)
        }
        // Two logins at once: the later one must see what the first wrote.
        let lock = open(directory + "/tokens.lock", O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        guard lock >= 0 else { throw Failure("can't write in \(directory): \(Self.reason())", .cantCreate) }
        defer { close(lock) }
        flock(lock, LOCK_EX)
        var entries = read().filter { $0.username != entry.username || Set($0.servers).isDisjoint(with: entry.servers) }
        entries.append(entry)
        let data = try JSONEncoder().encode(Array(entries.suffix(Self.maxEntries)))
        let temporary = path + ".\(getpid())"
        unlink(temporary)
        let file = open(temporary, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw Failure("can't write \(temporary): \(Self.reason())", .cantCreate) }
        let isWritten = Console.write(Array(data), to: file) && fsync(file) == 0
        let reason = Self.reason()
        close(file)
        guard isWritten else {
            unlink(temporary)
            throw Failure("can't write \(temporary): \(reason)", .cantCreate)
        }
        guard rename(temporary, path) == 0 else { throw Failure("can't write \(path): \(Self.reason())", .cantCreate) }
    }

    private func read() -> [Entry] {
        guard let data = FileManager.default.contents(atPath: path) else { return [] }
        return (try? JSONDecoder().decode([Entry].self, from: data)) ?? []
    }

    private static func reason() -> String { String(cString: strerror(errno)) }
}
