internal import Hummingbird
internal import RoostModel
internal import RoostNode
internal import RoostProtocol

/// `/conversations`: making them, listing them, and who belongs to them.
struct ConversationRoutes {
    /// Characters of a name, and bytes of their UTF-8.
    private static let maxName = 256
    private static let maxNameBytes = 1_024

    let node: any NodeService

    func add(to table: RouteTable) {
        table.post("/api/conversations") { request, context in try await create(request, context.caller()) }
        table.get("/api/conversations") { _, context in try await list(context.caller()) }
        table.get("/api/conversations/:id") { _, context in try await get(context.id("id"), context.caller()) }
        table.post("/api/conversations/:id/members") { request, context in
            try await change(request, context.id("id"), context.caller())
        }
    }

    private struct CreateBody: Decodable {
        var id: String?
        var type: String
        var name: String?
        var userIDs: [String]?

        enum CodingKeys: String, CodingKey {
            case id, type, name
            case userIDs = "user_ids"
        }
    }

    private func create(_ request: Request, _ caller: Caller) async throws -> Response {
        let body = try await request.json(CreateBody.self)
        guard let type = ConversationType(name: body.type) else {
            throw Problem.invalid("type must be direct, group, channel or self")
        }
        if let name = body.name, !Self.isName(name) {
            throw Problem.invalid(
                "name must be 1 to \(Self.maxName) characters, at most \(Self.maxNameBytes) bytes, without control characters"
            )
        }
        let listed: [UserID] = try ids(
            body.userIDs ?? [], "user_ids", atMost: node.configuration.limits.maxMembers)
        let others = listed.filter { $0 != caller.user }
        let id = try await conversationID(body.id, type, caller.user, others)
        try await node.requireUsers(others)
        let command = CreateConversationCommand(
            id: id, type: type, name: body.name, creator: caller.user, members: others)
        switch await node.propose(.createConversation(command)) {
        case .conversation(let conversation): return .json { $0.conversation(conversation) }
        case .rejected(let rejection): throw Problem(rejection)
        default: throw Problem.unavailable("the answer was not understood")
        }
    }

    /// A control character has no place in a line that clients show, and NUL ends a text in many a database.
    private static func isName(_ name: String) -> Bool {
        name.utf8.count <= maxNameBytes && (1...maxName).contains(name.count)
            && !name.unicodeScalars.contains { $0.properties.generalCategory == .control }
    }

    /// That of the body, or a new one; of direct and self ones it follows from the users.
    private func conversationID(
        _ given: String?, _ type: ConversationType, _ creator: UserID, _ others: [UserID]
    ) async throws -> ConversationID {
        switch type {
        case .group, .channel:
            guard let given else { return ConversationID(await node.makeUUID()) }
            guard let id = ConversationID(given) else { throw Problem.invalid("id must be a UUID") }
            return id
        case .direct, .self:
            guard given == nil else { throw Problem.invalid("id is not for direct and self conversations") }
            if type == .direct {
                guard others.count == 1 else {
                    throw Problem.invalid("user_ids of a direct one must name one other user")
                }
                return ConversationID(direct: creator, others[0])
            }
            guard others.isEmpty else { throw Problem.invalid("user_ids of a self one must be empty or oneself") }
            return ConversationID(direct: creator, creator)
        }
    }

    private func list(_ caller: Caller) async throws -> Response {
        let conversations = try await node.conversations(of: caller.user)
        return .json { $0.array(conversations) { $0.conversation($1) } }
    }

    private func get(_ id: ConversationID, _ caller: Caller) async throws -> Response {
        switch await node.read(.conversation(id)) {
        case .conversation(let conversation):
            guard conversation.members.contains(where: { $0.user == caller.user }) else {
                throw Problem(.notMember)
            }
            return .json { $0.conversation(conversation) }
        case .none: throw Problem(.unknownConversation)
        case .rejected(let rejection): throw Problem(rejection)
        default: throw Problem.unavailable("the answer was not understood")
        }
    }

    private struct MembersBody: Decodable {
        var userIDs: [String]
        var action: String

        enum CodingKeys: String, CodingKey {
            case userIDs = "user_ids"
            case action
        }
    }

    private func change(_ request: Request, _ id: ConversationID, _ caller: Caller) async throws -> Response {
        let body = try await request.json(MembersBody.self)
        guard let action = MembershipAction(name: body.action) else {
            throw Problem.invalid("action must be add, remove, promote or demote")
        }
        let users: [UserID] = try ids(body.userIDs, "user_ids", atMost: node.configuration.limits.maxMembers)
        guard !users.isEmpty else { throw Problem.invalid("user_ids must name somebody") }
        if action == .add { try await node.requireUsers(users) }
        let command = ChangeMembersCommand(conversation: id, actor: caller.user, users: users, action: action)
        switch await node.propose(.changeMembers(command)) {
        case .done, .conversation: return .json { $0.object { $0.field("status", "updated") } }
        case .rejected(let rejection): throw Problem(rejection)
        default: throw Problem.unavailable("the answer was not understood")
        }
    }
}

extension JSONText {
    mutating func conversation(_ conversation: ConversationSnapshot) {
        object {
            $0.field("id", conversation.id.description)
            $0.field("type", conversation.type.name)
            $0.field("name", conversation.name)
            $0.field("created_at", Timestamps.rfc3339(conversation.createdAt))
            $0.key("members")
            $0.array(conversation.members.filter(\.current)) { json, member in
                json.object {
                    $0.field("user_id", member.user.description)
                    $0.field("role", member.role.name)
                }
            }
            $0.field("last_seq", conversation.lastSeq)
        }
    }

    mutating func message(_ message: Message) {
        raw { JSONMessage.write(message, into: &$0) }
    }
}
