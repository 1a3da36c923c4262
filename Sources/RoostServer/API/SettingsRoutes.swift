internal import Hummingbird
internal import RoostModel
internal import RoostNode
internal import RoostProtocol

/// `/settings`: what a user has set for the own account.
struct SettingsRoutes {
    let node: any NodeService

    private struct Settings: Decodable {
        var hideLastSeen: Bool

        enum CodingKeys: String, CodingKey { case hideLastSeen = "hide_last_seen" }
    }

    func add(to table: RouteTable) {
        table.get("/api/settings") { _, context in try await get(context.caller()) }
        table.put("/api/settings") { request, context in try await change(request, context.caller()) }
        table.post("/api/settings") { request, context in try await change(request, context.caller()) }
    }

    private func get(_ caller: Caller) async throws -> Response {
        switch await node.read(.account(caller.user)) {
        case .account(let account): Self.answer(hideLastSeen: account.hidesLastSeen)
        case .none: throw Problem(.unknownUser)
        case .rejected(let rejection): throw Problem(rejection)
        default: throw Problem.unavailable("the answer was not understood")
        }
    }

    private func change(_ request: Request, _ caller: Caller) async throws -> Response {
        let settings = try await request.json(Settings.self)
        switch await node.propose(.setLastSeenHidden(user: caller.user, hidden: settings.hideLastSeen)) {
        case .done: return Self.answer(hideLastSeen: settings.hideLastSeen)
        case .rejected(let rejection): throw Problem(rejection)
        default: throw Problem.unavailable("the answer was not understood")
        }
    }

    private static func answer(hideLastSeen: Bool) -> Response {
        .json { $0.object { $0.field("hide_last_seen", hideLastSeen) } }
    }
}
