internal import Hummingbird
internal import Logging
internal import RoostModel
internal import RoostNode
internal import RoostProtocol

/// `/register`, `/login`, `/users`.
struct AccountRoutes {
    let node: any NodeService
    let tokens: TokenAuthority
    let passwords: PasswordHasher
    let limits: CallLimits

    /// Username, password and role, of both calls.
    struct Credentials: Decodable {
        var username: String
        var password: String
        var role: String?
        /// Of a login: the token is for this device alone.
        var deviceID: String?

        enum CodingKeys: String, CodingKey {
            case username, password, role
            case deviceID = "device_id"
        }

        func device() throws -> DeviceID? {
            guard let deviceID else { return nil }
            guard let device = DeviceID(deviceID) else { throw Problem.wrongDevice }
            return device
        }

        func accountRole() throws -> AccountRole? {
            guard let role else { return nil }
            guard let known = AccountRole(name: role) else { throw Problem.invalid("role must be user or admin") }
            return known
        }
    }

    /// The first two need no token: they are sealed before the rest.
    func add(to table: RouteTable, auth: AuthMiddleware) {
        table.post("/api/register") { request, context in try await register(request, context, auth) }
        table.post("/api/login") { request, context in try await login(request, context) }
        table.seal()
        table.get("/api/users") { request, _ in try await find(request) }
    }

    private func register(
        _ request: Request, _ context: APIContext, _ auth: AuthMiddleware
    ) async throws -> Response {
        try limits.admitRegistration(from: context.address)
        let credentials = try await request.json(Credentials.self)
        let role = try credentials.accountRole() ?? .user
        if role != .user {
            guard let token = request.bearerToken else { throw Problem.forbidden("only an admin makes admins") }
            let caller = try await tokens.verify(token)
            try await auth.accounts.check(caller)
            guard caller.role == .admin else { throw Problem.forbidden("only an admin makes admins") }
            context.logger.notice(
                "audit",
                metadata: [
                    "by": "\(caller.user)", "from": "\(context.address.text)", "method": "POST",
                    "path": "/api/register", "what": "role=\(role.name) username=\(credentials.username)",
                ])
        }
        let account = try await Accounts(node: node, passwords: passwords)
            .create(username: credentials.username, password: credentials.password, role: role)
        return .json {
            $0.object {
                $0.field("message", "user \(account.username) is registered")
                $0.field("user_id", account.user.description)
                $0.field("created_at", Timestamps.rfc3339(account.createdAt))
            }
        }
    }

    private func login(_ request: Request, _ context: APIContext) async throws -> Response {
        let credentials = try await request.json(Credentials.self)
        let wanted = try credentials.accountRole()
        let device = try credentials.device()
        guard credentials.password.utf8.count <= Accounts.passwordLength.upperBound else { throw Self.refused }
        let wantedUser = UsernameRules.userID(of: credentials.username)
        try limits.admitLogin(of: wantedUser, from: context.address)
        var account: AccountRecord?
        if let user = wantedUser {
            switch await node.read(.account(user)) {
            case .account(let found): account = found
            case .none: break
            case .rejected(let rejection): throw Problem(rejection)
            default: throw Problem.unavailable("the answer was not understood")
            }
        }
        let matches: Bool
        do {
            matches = try await passwords.verify(credentials.password, against: account?.passwordHash)
        } catch is PasswordHasher.Busy {
            throw Accounts.busy
        }
        guard let account, matches, !account.disabled else {
            limits.loginFailed(of: wantedUser, from: context.address)
            throw Self.refused
        }
        let role = wanted ?? account.role
        guard role == .user || account.role == .admin else {
            throw Problem.forbidden("the account does not have this role")
        }
        let issued = try await tokens.issue(to: account, role: role, device: device)
        return .json {
            $0.object {
                $0.field("access_token", issued.token)
                $0.field("token_type", "bearer")
                $0.field("expires_in", issued.expiresIn)
                $0.field("user_id", account.user.description)
            }
        }
    }

    private func find(_ request: Request) async throws -> Response {
        guard let name = request.query("username") else { throw Problem.missing("username") }
        guard let user = UsernameRules.userID(of: name) else { throw Problem(.unknownUser) }
        switch await node.read(.account(user)) {
        case .account(let account):
            return .json {
                $0.object {
                    $0.field("user_id", account.user.description)
                    $0.field("username", account.username)
                }
            }
        case .none: throw Problem(.unknownUser)
        case .rejected(let rejection): throw Problem(rejection)
        default: throw Problem.unavailable("the answer was not understood")
        }
    }

    /// The same for a wrong password, an unknown name and a disabled account.
    private static let refused = Problem.unauthorized("username or password is wrong, or the account is disabled")
}
