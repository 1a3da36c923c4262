internal import HTTPTypes
internal import Hummingbird
internal import RoostModel
internal import RoostNode
internal import RoostProtocol

/// Accounts as an operator sees and makes them.
struct AdminUserRoutes {
    private static let maxPage: UInt32 = 1_000

    let node: any NodeService
    let passwords: PasswordHasher

    func add(to table: RouteTable) {
        table.get("/admin/users") { request, _ in try await list(request) }
        table.post("/admin/users") { request, context in try await create(request, context.audit) }
        table.get("/admin/users/:id") { _, context in try await show(context.id("id")) }
        table.post("/admin/users/:id/disable") { _, context in try await set(context.id("id"), disabled: true) }
        table.post("/admin/users/:id/enable") { _, context in try await set(context.id("id"), disabled: false) }
        table.post("/admin/users/:id/logout") { _, context in try await logout(context.id("id")) }
    }

    /// A page by user id; a full one says where the next begins (RFC 8288).
    private func list(_ request: Request) async throws -> Response {
        let limit: UInt32 = try request.query("limit", in: 1...Self.maxPage) ?? Self.maxPage
        let after = try request.id("after", UserID.self)
        var accounts: [AccountRecord] = []
        for answer in await node.readAll({ _ in .accounts(after: after, limit: limit) }) {
            switch answer {
            case .accounts(let part): accounts += part
            case .none: break
            case .rejected(let rejection): throw Problem(rejection)
            default: throw Problem.unavailable("the answer was not understood")
            }
        }
        let page = Array(accounts.sorted { $0.user < $1.user }.prefix(Int(limit)))
        var response = Response.json { $0.array(page) { $0.account($1) } }
        if page.count == Int(limit), let last = page.last, let link = HTTPField.Name("link") {
            response.headers[link] = "</admin/users?after=\(last.user)&limit=\(limit)>; rel=\"next\""
        }
        return response
    }

    private func create(_ request: Request, _ audit: AuditNote) async throws -> Response {
        let credentials = try await request.json(AccountRoutes.Credentials.self)
        audit.set("username=\(credentials.username) role=\(credentials.role ?? "user")")
        let account = try await Accounts(node: node, passwords: passwords).create(
            username: credentials.username, password: credentials.password,
            role: credentials.accountRole() ?? .user, byOperator: true)
        return .json { $0.account(account) }
    }

    private func set(_ user: UserID, disabled: Bool) async throws -> Response {
        switch await node.propose(.setAccountDisabled(user: user, disabled: disabled)) {
        case .rejected(let rejection): throw Problem(rejection)
        default: break
        }
        if disabled { await node.revokeSessions(of: user) }
        return .json { $0.object { $0.field("status", disabled ? "disabled" : "enabled") } }
    }

    /// Ends all sessions and tokens of the user, who may log in again.
    private func logout(_ user: UserID) async throws -> Response {
        if case .rejected(let rejection) = await node.propose(.revokeTokens(user: user, .all)) {
            throw Problem(rejection)
        }
        return .json { $0.object { $0.field("status", "logged out") } }
    }

    private func show(_ user: UserID) async throws -> Response {
        let account: AccountRecord
        switch await node.read(.account(user)) {
        case .account(let found): account = found
        case .none: throw Problem(.unknownUser)
        case .rejected(let rejection): throw Problem(rejection)
        default: throw Problem.unavailable("the answer was not understood")
        }
        var devices: [DeviceRecord] = []
        if case .devices(let found) = await node.read(.devices(user)) { devices = found }
        let known = devices
        let pending = Self.sum(await node.readAll { _ in .pending(user, devices: known) })
        let conversations = try? await node.conversations(of: user).count
        let online = await node.presence(of: [user]).filter(\.online)
        let partition = PartitionID(of: user.uuid, count: node.configuration.partitions)
        let leader = await node.view().partitions.first { $0.id == partition }?.leader
        return .json {
            $0.object {
                $0.field("user_id", user.description)
                $0.field("username", account.username)
                $0.field("role", account.role.name)
                $0.field("disabled", account.disabled)
                $0.field("created_at", Timestamps.rfc3339(account.createdAt))
                $0.field("partition", Int(partition.value))
                $0.field("leader", leader?.name)
                $0.key("devices")
                $0.array(devices) { json, record in
                    let view = online.first { $0.device == record.device }
                    json.object {
                        $0.field("device_id", record.device.text)
                        $0.field("session", view?.session.description)
                        $0.field("node_id", view?.node.name)
                        // Null while a partition has no leader: a part of the sum would mislead.
                        $0.key("pending")
                        if let pending { $0.value(pending[record.device] ?? 0) } else { $0.value(nil) }
                    }
                }
                $0.key("conversations")
                if let conversations { $0.value(conversations) } else { $0.value(nil) }
            }
        }
    }

    /// Nil where a partition did not answer.
    private static func sum(_ answers: [ReadResponse]) -> [DeviceID: UInt64]? {
        var total: [DeviceID: UInt64] = [:]
        for answer in answers {
            switch answer {
            case .pending(let part): for item in part { total[item.device, default: 0] += item.count }
            case .none: break
            default: return nil
            }
        }
        return total
    }
}

extension JSONText {
    mutating func account(_ account: AccountRecord) {
        object {
            $0.field("user_id", account.user.description)
            $0.field("username", account.username)
            $0.field("role", account.role.name)
            $0.field("disabled", account.disabled)
            $0.field("created_at", Timestamps.rfc3339(account.createdAt))
        }
    }
}
