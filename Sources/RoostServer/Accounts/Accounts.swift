internal import NIOHTTP1
internal import RoostModel
internal import RoostNode
internal import RoostProtocol

/// Making accounts, for users by `/register` and for operators by the admin port.
struct Accounts: Sendable {
    /// Bytes of UTF-8.
    static let passwordLength = 1...1_024
    /// Characters, where an operator makes the account or it is an admin's: more hangs on it than its owner's messages.
    static let minOperatorPassword = 8

    let node: any NodeService
    let passwords: PasswordHasher

    /// - Parameter byOperator: made at the admin port.
    /// - Throws: 400, 409 where the name is taken, 503.
    func create(username: String, password: String, role: AccountRole, byOperator: Bool = false) async throws
        -> AccountRecord
    {
        guard let folded = UsernameRules.fold(username) else {
            throw Problem.invalid(
                "username must be 1 to \(UsernameRules.maxLength) printable characters and not look like a UUID")
        }
        guard Self.passwordLength.contains(password.utf8.count) else {
            throw Problem.invalid("password must be 1 to \(Self.passwordLength.upperBound) bytes")
        }
        let shortest = node.configuration.limits.passwordMin
        guard password.count >= shortest else {
            throw Problem.invalid("password must have at least \(shortest) characters")
        }
        guard password.count >= Self.minOperatorPassword || !byOperator && role == .user else {
            throw Problem.invalid(
                "the password of an account made by an operator, or of an admin, must have at least "
                    + "\(Self.minOperatorPassword) characters")
        }
        let user = UserID(foldedUsername: folded)
        // Asked first so that a taken name costs no password hash.
        switch await node.read(.account(user)) {
        case .account: throw Self.taken
        case .none: break
        case .rejected(let rejection): throw Problem(rejection)
        default: throw Problem.unavailable("the answer was not understood")
        }
        var account = AccountRecord(
            user: user, username: username, passwordHash: try await hash(password), role: role,
            createdAt: node.wall())
        switch await node.propose(.createAccount(account)) {
        case .created(let at):
            account.createdAt = at
            return account
        case .rejected(.conflict): return try await ours(account)
        case .rejected(let rejection): throw Problem(rejection)
        default: return account
        }
    }

    func hash(_ password: String) async throws -> String {
        do {
            return try await passwords.hash(password)
        } catch is PasswordHasher.Busy {
            throw Self.busy
        }
    }

    /// A proposal that was sent twice conflicts with itself: the salt tells whose account it is.
    private func ours(_ account: AccountRecord) async throws -> AccountRecord {
        switch await node.read(.account(account.user)) {
        case .account(let found) where found.passwordHash == account.passwordHash: return found
        case .rejected(let rejection): throw Problem(rejection)
        default: throw Self.taken
        }
    }

    static let busy = Problem(
        .serviceUnavailable, "busy", "too many passwords are being checked at the moment", retryAfterSeconds: 2)
    private static let taken = Problem(.conflict, "username_taken", "the username is taken")
}
