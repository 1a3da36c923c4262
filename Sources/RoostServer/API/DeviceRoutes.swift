internal import Hummingbird
internal import RoostModel
internal import RoostNode
internal import RoostProtocol

/// `/devices` and `/logout`: which of one's devices there are, and how they and their tokens end.
struct DeviceRoutes {
    let node: any NodeService
    let accounts: AccountGate

    func add(to table: RouteTable) {
        table.get("/api/devices") { _, context in try await list(context.caller()) }
        table.delete("/api/devices/:id") { _, context in
            guard let text = context.parameters.get("id"), let device = DeviceID(text) else {
                throw Problem.wrongDevice
            }
            return try await remove(device, context.caller())
        }
        table.post("/api/logout") { request, context in try await logout(request, context.caller()) }
    }

    private func list(_ caller: Caller) async throws -> Response {
        let devices: [DeviceRecord]
        switch await node.read(.devices(caller.user)) {
        case .devices(let found): devices = found.sorted { $0.device < $1.device }
        case .none: throw Problem(.unknownUser)
        case .rejected(let rejection): throw Problem(rejection)
        default: throw Problem.unavailable("the answer was not understood")
        }
        let online = await node.presence(of: [caller.user]).filter(\.online)
        let now = node.wall()
        var rows: [(record: DeviceRecord, node: NodeID?, last: Int64)] = []
        for record in devices {
            if let view = online.first(where: { $0.device == record.device }) {
                rows.append((record, view.node, now))
            } else {
                let last = await node.lastOnline(user: caller.user, device: record.device)
                rows.append((record, nil, last ?? record.seenAt))
            }
        }
        return .json {
            $0.array(rows) { json, row in
                json.object {
                    $0.field("device_id", row.record.device.text)
                    $0.field("created_at", Timestamps.rfc3339(row.record.createdAt))
                    $0.field("status", row.node == nil ? "offline" : "online")
                    $0.field("node_id", row.node?.name)
                    $0.field("last_online", Timestamps.rfc3339(row.last))
                }
            }
        }
    }

    private func remove(_ device: DeviceID, _ caller: Caller) async throws -> Response {
        // A device that removes itself goes with its token.
        let kept = caller.device == device ? nil : caller.token.id
        try await revoke(.device(device, keeping: kept), caller.user)
        return .json { $0.object { $0.field("status", "removed") } }
    }

    private struct LogoutBody: Decodable {
        var everywhere: Bool?
    }

    private func logout(_ request: Request, _ caller: Caller) async throws -> Response {
        let body = try await request.optionalJSON(LogoutBody.self)
        try await revoke(body?.everywhere == true ? .all : .token(caller.token), caller.user)
        return .json { $0.object { $0.field("status", "logged out") } }
    }

    private func revoke(_ revocation: TokenRevocation, _ user: UserID) async throws {
        switch await node.propose(.revokeTokens(user: user, revocation)) {
        case .done: accounts.forget(user)
        case .rejected(let rejection): throw Problem(rejection)
        default: throw Problem.unavailable("the answer was not understood")
        }
    }
}
