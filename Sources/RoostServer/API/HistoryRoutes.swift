internal import Hummingbird
internal import RoostModel
internal import RoostNode
internal import RoostProtocol

/// `/conversations/{id}/messages`: pages of a conversation's log.
struct HistoryRoutes {
    let node: any NodeService

    func add(to table: RouteTable) {
        table.get("/api/conversations/:id/messages") { request, context in
            try await page(request, context.id("id"), context.caller())
        }
    }

    private func page(_ request: Request, _ id: ConversationID, _ caller: Caller) async throws -> Response {
        let size: UInt32 = try request.query("size", in: 1...100) ?? 50
        let page: UInt32 = try request.query("page", in: 1...1_000_000) ?? 1
        let before: UInt64? = try request.query("before", in: 0...UInt64(Int64.max))
        let after: UInt64? = try request.query("after", in: 0...UInt64(Int64.max))
        guard before == nil || after == nil else { throw Problem.invalid("before and after do not go together") }
        let read = ReadRequest.history(
            conversation: id, user: caller.user, before: after == nil ? before ?? UInt64(Int64.max) : nil,
            after: after, skip: (page - 1) * size, limit: size)
        switch await node.read(read) {
        case .messages(let messages): return .json { $0.array(messages) { $0.message($1) } }
        case .none: throw Problem(.unknownConversation)
        case .rejected(let rejection): throw Problem(rejection)
        default: throw Problem.unavailable("the answer was not understood")
        }
    }
}
