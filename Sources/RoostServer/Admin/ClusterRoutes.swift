internal import Foundation
internal import Hummingbird
internal import RoostModel
internal import RoostNode
internal import RoostProtocol

/// The cluster as this node sees it: members, partitions, links, presence; and draining it.
struct ClusterRoutes {
    private static let maxUsers = 1_000
    private static let maxPage: UInt32 = 10_000

    let node: any NodeService
    var certificates: NodeCertificates?

    func add(to table: RouteTable) {
        table.get("/admin/cluster") { _, _ in cluster(await node.view()) }
        table.get("/admin/partitions") { _, _ in partitions(await node.view()) }
        table.get("/admin/links") { _, _ in links(await node.view()) }
        table.get("/admin/presence") { request, _ in try await presence(request) }
        table.post("/admin/leave") { request, context in try await leave(request, context.audit) }
        table.post("/admin/remove") { request, context in try await remove(request, context.audit) }
        table.post("/admin/drain") { _, _ in
            await node.drain()
            return .json { $0.object { $0.field("status", "drained") } }
        }
    }

    // MARK: The ring

    private func leave(_ request: Request, _ audit: AuditNote) async throws -> Response {
        guard let name = try await RingBody(request).node else { throw Problem.invalid("node_id is missing") }
        audit.set("node_id=\(name.name)")
        return try answer(await node.leave(name), "leaving")
    }

    private func remove(_ request: Request, _ audit: AuditNote) async throws -> Response {
        let body = try await RingBody(request)
        guard let name = body.node else { throw Problem.invalid("node_id is missing") }
        audit.set("node_id=\(name.name) force=\(body.force)")
        return try answer(await node.remove(name, force: body.force), "removed")
    }

    private func answer(_ result: Result<Void, RingRefusal>, _ status: String) throws -> Response {
        if case .failure(let refusal) = result {
            throw refusal.retry ? Problem.unavailable(refusal.reason) : Problem.conflict(refusal.reason)
        }
        return .json { $0.object { $0.field("status", status) } }
    }

    private func cluster(_ view: NodeView) -> Response {
        .json {
            $0.object {
                $0.field("cluster", view.cluster)
                $0.field("cluster_id", view.clusterID.description)
                $0.field("node_id", view.node.name)
                $0.field("status", view.phase.rawValue)
                $0.field("waiting_for", view.waitingFor)
                $0.field("sessions", view.localSessions)
                $0.field("unfilled_replicas", view.unfilled)
                $0.field("unsettled_partitions", view.unsettled)
                $0.key("filling")
                $0.array(view.filling) { json, filling in
                    json.object {
                        $0.field("node_id", filling.node.name)
                        $0.field("replicas", filling.replicas)
                        $0.field("missing_entries", filling.missingEntries)
                    }
                }
                $0.field("online_devices", view.onlineDevices)
                $0.key("certificates")
                $0.array(certificates?.expiries ?? []) { json, expiry in
                    json.object {
                        $0.field("kind", expiry.kind)
                        $0.field("expires_at", Int(expiry.date.timeIntervalSince1970))
                    }
                }
                $0.key("storage")
                $0.storage(view.storage)
                $0.key("members")
                $0.array(view.members) { json, member in
                    json.object {
                        $0.field("id", member.id.name)
                        $0.field("status", member.status.name)
                        $0.field("epoch", member.epoch)
                        $0.field("incarnation", member.incarnation)
                        $0.field("host", member.host)
                        if let port = member.clientPort { $0.field("client_port", port) }
                        if let port = member.adminPort { $0.field("admin_port", port) }
                    }
                }
                $0.key("ring")
                $0.object {
                    $0.field("version", view.ringVersion)
                    $0.field("replication", view.replication)
                    $0.field("partitions", node.configuration.partitions)
                    $0.key("members")
                    $0.array(view.ring) { json, member in
                        json.object {
                            $0.field("id", member.node.name)
                            $0.field("state", member.state.name)
                            $0.field("host", member.host)
                            $0.field("peer_port", Int(member.peerPort))
                        }
                    }
                }
            }
        }
    }

    private func partitions(_ view: NodeView) -> Response {
        .json {
            $0.array(view.partitions) { json, partition in
                json.object {
                    $0.field("id", Int(partition.id.value))
                    $0.field("leader", partition.leader?.name)
                    $0.field("term", partition.term)
                    $0.key("replicas")
                    $0.array(partition.replicas) { $0.replica($1, asLeader: partition.leader == node.nodeID) }
                    $0.field("last_index", partition.lastIndex)
                    $0.field("commit_index", partition.commitIndex)
                    $0.field("applied_index", partition.appliedIndex)
                    $0.field("conversations", partition.conversations)
                    $0.field("accounts", partition.accounts)
                    $0.field("hibernating", partition.hibernating)
                }
            }
        }
    }

    private func links(_ view: NodeView) -> Response {
        .json {
            $0.array(view.links) { json, link in
                json.object {
                    $0.field("node_id", link.node.name)
                    $0.field("connected", link.connected)
                    $0.field("store_id", link.store?.description)
                    if let epoch = link.epoch { $0.field("epoch", epoch) }
                    $0.field("bytes_in", link.bytesIn)
                    $0.field("bytes_out", link.bytesOut)
                    $0.field("frames_in", link.framesIn)
                    $0.field("frames_out", link.framesOut)
                    $0.field("queued_bytes", link.queuedBytes)
                    if let trip = link.roundTripMicroseconds { $0.field("round_trip_us", trip) }
                    $0.field("last_error", link.lastError)
                }
            }
        }
    }

    private func presence(_ request: Request) async throws -> Response {
        let view = await node.view()
        var users = try request.ids("user_id", UserID.self, atMost: Self.maxUsers)
        var next: UserID?
        if users.isEmpty {
            let limit: UInt32 = try request.query("limit", in: 1...Self.maxPage) ?? 1_000
            let after = try request.id("after", UserID.self)
            users = await node.onlineUsers(after: after, limit: Int(limit))
            if users.count == Int(limit) { next = users.last }
        }
        let nextAfter = next
        let devices = await node.presence(of: users).sorted { ($0.user, $0.device) < ($1.user, $1.device) }
        return .json {
            $0.object {
                $0.key("version")
                $0.object { json in
                    for part in view.presenceVersions { json.field(part.node.name, part.version) }
                }
                $0.field("online_devices", view.onlineDevices)
                $0.key("users")
                $0.array(devices.chunked { $0.user == $1.user }) { json, group in
                    json.object {
                        $0.field("user_id", group[0].user.description)
                        $0.key("devices")
                        $0.array(group) { $0.presence($1) }
                    }
                }
                $0.field("next_after", nextAfter?.description)
            }
        }
    }
}

extension JSONText {
    /// - Parameter asLeader: this node leads, and so knows how far the replica is.
    mutating func replica(_ replica: NodeView.Replica, asLeader: Bool) {
        object {
            $0.field("node_id", replica.node.name)
            $0.field("role", replica.isVoter ? "voter" : "learner")
            $0.key("match_index")
            if asLeader, let match = replica.matchIndex { $0.value(match) } else { $0.value(nil) }
        }
    }

    mutating func storage(_ view: NodeView.Storage) {
        object {
            $0.field("full", view.isFull)
            $0.field("damaged_rows", view.damagedRows)
            $0.field("repaired_rows", view.repairedRows)
            $0.field("waiting_rows", view.waitingRows)
            $0.field("rebuilt_partitions", view.statesRebuilt)
            $0.key("scrub")
            $0.object {
                $0.field("rows", view.scrubbedRows)
                $0.field("percent", Int(view.scrubProgress * 100))
                $0.field("started_at", view.scrubStartedAt.map(Timestamps.rfc3339))
                $0.field("last_pass_at", view.lastScrubAt.map(Timestamps.rfc3339))
            }
        }
    }

    mutating func presence(_ view: PresenceView) {
        object {
            $0.field("device_id", view.device.text)
            $0.field("node_id", view.node.name)
            $0.field("session", view.session.description)
            $0.field("online", view.online)
            $0.field("since", Timestamps.rfc3339(view.since))
        }
    }
}

/// `{"node_id":…,"force":…}`: values of a command line are texts.
private struct RingBody {
    let node: NodeID?
    let force: Bool

    private struct Fields: Decodable {
        var node: String?
        var force: String?

        enum CodingKeys: String, CodingKey {
            case node = "node_id"
            case force
        }
    }

    init(_ request: Request) async throws {
        let fields = try await request.json(Fields.self)
        node = fields.node.map { NodeID($0) }
        force = fields.force == "true"
    }
}
