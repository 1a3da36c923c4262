internal import Hummingbird
internal import RoostModel
internal import RoostNode
internal import RoostProtocol

/// Conversations as an operator sees them.
struct AdminConversationRoutes {
    let node: any NodeService

    func add(to table: RouteTable) {
        table.get("/admin/conversations/:id") { _, context in try await conversation(context.id("id")) }
    }

    private func conversation(_ id: ConversationID) async throws -> Response {
        let snapshot: ConversationSnapshot
        let cursors: [CursorAdvance]
        switch await node.read(.cursors(id)) {
        case .cursors(let found, let positions): (snapshot, cursors) = (found, positions)
        case .none: throw Problem(.unknownConversation)
        case .rejected(let rejection): throw Problem(rejection)
        default: throw Problem.unavailable("the answer was not understood")
        }
        let partition = PartitionID(of: id.uuid, count: node.configuration.partitions)
        let leader = await node.view().partitions.first { $0.id == partition }?.leader
        return .json {
            $0.object {
                $0.field("id", id.description)
                $0.field("type", snapshot.type.name)
                $0.field("name", snapshot.name)
                $0.field("created_at", Timestamps.rfc3339(snapshot.createdAt))
                $0.field("partition", Int(partition.value))
                $0.field("leader", leader?.name)
                $0.field("last_seq", snapshot.lastSeq)
                $0.key("members")
                $0.array(snapshot.members) { json, member in
                    json.object {
                        $0.field("user_id", member.user.description)
                        $0.field("role", member.role.name)
                        $0.field("current", member.current)
                    }
                }
                $0.key("cursors")
                $0.array(cursors) { json, cursor in
                    json.object {
                        $0.field("user_id", cursor.user.description)
                        $0.field("device_id", cursor.device.text)
                        $0.field("seq", cursor.seq)
                    }
                }
            }
        }
    }
}
