internal import Hummingbird
internal import RoostModel
internal import RoostNode
internal import RoostProtocol

/// `/presence`: who is connected where.
struct PresenceRoutes {
    private static let maxUsers = 1_000

    let node: any NodeService

    func add(to table: RouteTable) {
        table.get("/api/presence/nodes") { request, context in try await byNode(request, context.caller()) }
        table.get("/api/presence/:user") { _, context in try await ofUser(context.id("user"), context.caller()) }
    }

    private func ofUser(_ user: UserID, _ caller: Caller) async throws -> Response {
        try await check(caller, maySee: user)
        let devices: [DeviceRecord]
        // Hidden from others, not from oneself and from those who operate the cluster.
        let isHidden: Bool
        let partition = PartitionID(of: user.uuid, count: node.configuration.partitions)
        switch await node.read(.lastSeen([user]), of: partition) {
        case .lastSeen(let found):
            guard let seen = found.first else { throw Problem(.unknownUser) }
            devices = seen.devices
            isHidden = seen.isHidden && caller.user != user && caller.role != .admin
        case .none: throw Problem(.unknownUser)
        case .rejected(let rejection): throw Problem(rejection)
        default: throw Problem.unavailable("the answer was not understood")
        }
        let present = await node.presence(of: [user]).filter(\.online)
        let now = node.wall()
        var rows: [(record: DeviceRecord, node: NodeID?, last: Int64)] = []
        for record in devices.sorted(by: { $0.device < $1.device }) {
            if let view = present.first(where: { $0.device == record.device }) {
                rows.append((record, view.node, now))
            } else {
                // Of a device whose last session is forgotten, what the log knows is what remains.
                let last = await node.lastOnline(user: user, device: record.device) ?? record.seenAt
                rows.append((record, nil, last))
            }
        }
        return .json {
            $0.array(rows) { json, row in
                json.object {
                    $0.field("device_id", row.record.device.text)
                    $0.field("node_id", row.node?.name)
                    $0.field("status", row.node == nil ? "offline" : "online")
                    $0.field("last_online", isHidden ? nil : Timestamps.rfc3339(row.last))
                }
            }
        }
    }

    private func check(_ caller: Caller, maySee user: UserID) async throws {
        if caller.user == user || caller.role == .admin { return }
        let shared = try await node.conversations(of: caller.user).contains { conversation in
            conversation.members.contains { $0.user == user && $0.current }
        }
        guard shared else { throw Problem.forbidden("presence is for those who share a conversation") }
    }

    private func byNode(_ request: Request, _ caller: Caller) async throws -> Response {
        guard caller.role == .admin else { throw Problem.forbidden("this is for admins") }
        let users = try request.ids("user_ids", UserID.self, atMost: Self.maxUsers)
        let online = await node.presence(of: users).filter(\.online)
            .sorted { ($0.node, $0.user, $0.device) < ($1.node, $1.user, $1.device) }
        return .json {
            $0.object { json in
                for group in online.chunked({ $0.node == $1.node }) {
                    json.key(group[0].node.name)
                    json.array(group) { json, view in
                        json.object {
                            $0.field("user_id", view.user.description)
                            $0.field("device_id", view.device.text)
                        }
                    }
                }
            }
        }
    }
}
