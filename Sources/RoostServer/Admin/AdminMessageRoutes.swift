internal import Hummingbird
internal import RoostModel
internal import RoostNode
internal import RoostProtocol

/// Where a message is, since when on which replica, and what each device has done with it: why did Bob not get it?
struct AdminMessageRoutes {
    /// For each replica's answer; one that does not come is told as such.
    private static let replicaMilliseconds = 1_000

    let node: any NodeService

    func add(to table: RouteTable) {
        table.get("/admin/messages/:id") { request, context in try await message(request, context.id("id")) }
    }

    private struct Answer: Sendable {
        var location: MessageLocation
        var partition: PartitionID
        var replicas: [ReplicaFate] = []
        var devices: [MessageFate] = []
        /// Users of whom it is not known which devices they have: their partition did not answer.
        var unknown: [UserID] = []
    }

    private func message(_ request: Request, _ id: MessageID) async throws -> Response {
        let users = try request.ids("user_id", UserID.self, atMost: 1_000)
        var answer = try await locate(id)
        let (location, partition) = (answer.location, answer.partition)
        async let replicas = self.replicas(location, partition)

        let asked = users.isEmpty ? location.readers : location.readers.filter { users.contains($0) }
        let records = try await concurrently(asked) { user -> [DeviceRecord]? in
            if case .devices(let records) = await node.read(.devices(user)) { return records }
            return nil
        }
        let online = await node.presence(of: asked).filter(\.online)
        answer.devices = records.flatMap { $0 ?? [] }.map { MessageFate(location, device: $0, online: online) }
        answer.unknown = zip(asked, records).filter { $0.1 == nil }.map(\.0)
        answer.replicas = try await replicas
        let complete = answer
        return .json { Self.write(id, complete, into: &$0) }
    }

    private func locate(_ id: MessageID) async throws(Problem) -> Answer {
        var refusal: Rejection?
        for (number, answer) in await node.readAll({ _ in .message(id) }).enumerated() {
            switch answer {
            case .located(let location): return Answer(location: location, partition: PartitionID(UInt16(number)))
            case .rejected(let rejection): refusal = rejection
            default: break
            }
        }
        throw Problem(refusal ?? .unknownMessage)
    }

    private func replicas(_ location: MessageLocation, _ partition: PartitionID) async throws -> [ReplicaFate] {
        try await concurrently(location.replicas) { replica in
            let status = await node.within(milliseconds: Self.replicaMilliseconds) {
                await node.replicaStatus(of: partition, index: location.index, at: replica.node)
            }
            return ReplicaFate(location, replica, status)
        }
    }

    private static func write(_ id: MessageID, _ answer: Answer, into json: inout JSONText) {
        let location = answer.location
        json.object {
            $0.field("id", id.description)
            $0.field("conversation_id", location.conversation.description)
            $0.field("seq", location.seq)
            $0.field("sender_id", location.sender.description)
            $0.field("origin_device_id", location.originDevice.text)
            $0.field("sent_at", microseconds: location.sentAt)
            $0.field("partition", Int(answer.partition.value))
            $0.field("index", location.index)
            $0.field("term", location.term)
            $0.field("leader", location.leader.name)
            $0.key("replicas")
            $0.array(answer.replicas) { $0.replica($1) }
            $0.key("readers")
            $0.array(location.readers) { $0.value($1.description) }
            $0.key("devices")
            $0.array(answer.devices) { $0.fate($1) }
            $0.key("devices_unknown")
            $0.array(answer.unknown) { $0.value($1.description) }
        }
    }
}

/// What one replica has of a message.
struct ReplicaFate: Sendable, Equatable {
    let node: NodeID
    let isVoter: Bool
    /// Nil where the replica did not answer in time.
    let holds: Bool?
    /// To the second, by the replica's clock; microseconds since 1970.
    let syncedAt: Int64?
    let applied: Bool?
    let lastIndex: UInt64?

    init(_ location: MessageLocation, _ replica: MessageReplica, _ status: ReplicaStatus?) {
        node = replica.node
        isVoter = replica.isVoter
        // An entry of another term at this index is one that was never committed, and will be replaced.
        let holds = status.map { $0.term == location.term }
        self.holds = holds
        applied = status.map { holds == true && $0.appliedIndex >= location.index }
        lastIndex = status?.lastIndex
        // The recorded time is up to a second early: not before the message was sent, where that second leaves room.
        syncedAt = holds == true ? status?.syncedAt.map { max($0, min(location.sentAt, $0 + 1_000_000)) } : nil
    }
}

extension JSONText {
    mutating func replica(_ replica: ReplicaFate) {
        object {
            $0.field("node_id", replica.node.name)
            $0.field("role", replica.isVoter ? "voter" : "learner")
            $0.field("answered", replica.holds != nil)
            $0.key("holds")
            if let holds = replica.holds { $0.value(holds) } else { $0.value(nil) }
            if let syncedAt = replica.syncedAt {
                $0.field("synced_at", microseconds: syncedAt)
            } else {
                $0.field("synced_at", nil)
            }
            $0.key("applied")
            if let applied = replica.applied { $0.value(applied) } else { $0.value(nil) }
            $0.key("last_index")
            if let index = replica.lastIndex { $0.value(index) } else { $0.value(nil) }
        }
    }

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
            $0.field("online_since", fate.session.map { Timestamps.rfc3339($0.since) })
            $0.field("explanation", fate.explanation)
        }
    }
}
