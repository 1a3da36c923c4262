internal import Hummingbird
internal import RoostModel
internal import RoostNode
internal import RoostProtocol

/// `/sync`: what a user missed, over all conversations.
struct SyncRoutes {
    private static let defaultLimit: UInt32 = 500
    private static let maxLimit: UInt32 = 1_000
    private static let maxConversations = 1_000

    let node: any NodeService

    func add(to table: RouteTable) {
        table.get("/api/sync") { request, context in try await sync(request, context.caller()) }
    }

    private func sync(_ request: Request, _ caller: Caller) async throws -> Response {
        if let text = request.query("user_id") {
            guard let user = UserID(text) else { throw Problem.invalid("user_id must be a UUID") }
            guard user == caller.user else { throw Problem.forbidden("only one's own messages can be synced") }
        }
        let limit: UInt32 = try request.query("limit", in: 1...Self.maxLimit) ?? Self.defaultLimit
        let since = try Self.since(request.query("since"))
        let conversations = try request.ids("conversations", ConversationID.self, atMost: Self.maxConversations)
        let partitions = node.configuration.partitions
        var cursor = SyncCursor(partitions: partitions)
        if let text = request.query("cursor"), !text.isEmpty {
            guard let given = SyncCursor(text, partitions: partitions) else {
                throw Problem.invalid("cursor is not one of this cluster")
            }
            cursor = given
        }
        let start = cursor
        let user = caller.user
        let answers = await node.readAll { partition in
            .sync(
                user: user, since: since, afterIndex: start[partition], conversations: conversations, limit: limit)
        }
        let messages = try Self.collect(answers, limit: Int(limit), into: &cursor)
        return .json { Self.write(messages, cursor, into: &$0) }
    }

    /// Takes whole partitions while they fit; of the others the cursor stays where it is, and the next call has them.
    static func collect(
        _ answers: [ReadResponse], limit: Int, into cursor: inout SyncCursor
    ) throws(Problem) -> [Message] {
        var taken: [Message] = []
        var isFull = false
        for (number, answer) in answers.enumerated() {
            switch answer {
            case .synced(let messages, let through):
                // The first that has any always fits, so every call gets on.
                if isFull || taken.count + messages.count > limit, !messages.isEmpty {
                    isFull = true
                    continue
                }
                taken += messages
                let partition = PartitionID(UInt16(number))
                cursor[partition] = max(cursor[partition], through)
            case .rejected(let rejection): throw Problem(rejection)
            default: throw .unavailable("the answer was not understood")
            }
        }
        return taken
    }

    static func since(_ text: String?) throws(Problem) -> Int64 {
        guard let text, !text.isEmpty else { return 0 }
        guard let seconds = Double(text), let microseconds = Timestamps.microseconds(seconds) else {
            throw .invalid("since must be UNIX seconds")
        }
        return microseconds
    }

    private static func write(_ messages: [Message], _ cursor: SyncCursor, into json: inout JSONText) {
        let sorted = messages.sorted { ($0.conversation, $0.seq) < ($1.conversation, $1.seq) }
        let groups = sorted.chunked { $0.conversation == $1.conversation }
        json.object {
            $0.key("synced")
            $0.array(groups) { json, group in
                json.object {
                    $0.field("conversation_id", group[0].conversation.description)
                    $0.key("messages")
                    $0.array(group) { $0.message($1) }
                }
            }
            $0.field("next_cursor", cursor.text)
        }
    }
}

extension Array {
    /// Runs of neighbours that belong together; none is empty.
    func chunked(_ belongTogether: (Element, Element) -> Bool) -> [[Element]] {
        var chunks: [[Element]] = []
        for element in self {
            if let last = chunks.last?.last, belongTogether(last, element) {
                chunks[chunks.count - 1].append(element)
            } else {
                chunks.append([element])
            }
        }
        return chunks
    }
}
