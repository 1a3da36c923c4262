internal import Hummingbird
internal import RoostModel
internal import RoostNode
internal import RoostProtocol

/// Conversations and messages as an operator sees them: why did Bob not get it?
struct AdminConversationRoutes {
    let node: any NodeService

    func add(to table: RouteTable) {
        table.get("/admin/conversations/:id") { _, context in try await conversation(context.id("id")) }
        table.get("/admin/messages/:id") { _, context in try await message(context.id("id")) }
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

    private func message(_ id: MessageID) async throws -> Response {
        var found: (MessageLocation, PartitionID)?
        var refusal: Rejection?
        for (number, answer) in await node.readAll({ _ in .message(id) }).enumerated() {
            switch answer {
            case .located(let location): found = found ?? (location, PartitionID(UInt16(number)))
            case .rejected(let rejection): refusal = rejection
            default: break
            }
        }
        guard let (location, partition) = found else {
            throw Problem(refusal ?? .unknownMessage)
        }
        let node = node
        let devices = try await concurrently(location.readers) { user -> [DeviceRecord] in
            if case .devices(let records) = await node.read(.devices(user)) { return records }
            return []
        }.flatMap { $0 }
        let online = await node.presence(of: location.readers).filter(\.online)
        let fates = devices.map { MessageFate(location, device: $0, online: online) }
        let view = await node.view().partitions.first { $0.id == partition }
        return .json { Self.write(id, location, partition, view, fates, here: node.nodeID, into: &$0) }
    }

    private static func write(
        _ id: MessageID, _ location: MessageLocation, _ partition: PartitionID, _ view: NodeView.PartitionView?,
        _ fates: [MessageFate], here: NodeID, into json: inout JSONText
    ) {
        json.object {
            $0.field("id", id.description)
            $0.field("conversation_id", location.conversation.description)
            $0.field("seq", location.seq)
            $0.field("sender_id", location.sender.description)
            $0.field("origin_device_id", location.originDevice.text)
            $0.field("sent_at", microseconds: location.sentAt)
            $0.field("partition", Int(partition.value))
            $0.field("index", location.index)
            $0.field("leader", view?.leader?.name)
            $0.key("replicas")
            $0.array(view?.replicas ?? []) { json, replica in
                json.object {
                    $0.field("node_id", replica.node.name)
                    $0.field("role", replica.isVoter ? "voter" : "learner")
                    $0.key("holds")
                    if let holds = view?.holds(location.index, at: replica, here: here) {
                        $0.value(holds)
                    } else {
                        $0.value(nil)
                    }
                }
            }
            $0.key("readers")
            $0.array(location.readers) { $0.value($1.description) }
            $0.key("devices")
            $0.array(fates) { $0.fate($1) }
        }
    }
}

extension NodeView.PartitionView {
    /// Nil where this node cannot know: of the others only the leader knows how far they are.
    func holds(_ index: UInt64, at replica: NodeView.Replica, here: NodeID) -> Bool? {
        if leader == here, let match = replica.matchIndex { return match >= index }
        return replica.node == here ? lastIndex >= index : nil
    }
}

extension JSONText {
    mutating func fate(_ fate: MessageFate) {
        object {
            $0.field("user_id", fate.user.description)
            $0.field("device_id", fate.device.text)
            $0.field("acknowledged", fate.acknowledged)
            $0.key("cursor")
            if let cursor = fate.cursor { $0.value(cursor) } else { $0.value(nil) }
            $0.field("online", fate.session != nil)
            $0.field("node_id", fate.session?.node.name)
            $0.field("session", fate.session?.session.description)
            $0.field("explanation", fate.explanation)
        }
    }
}
