internal import Hummingbird
internal import RoostNode
internal import RoostProtocol

/// The keys that sign tokens.
struct AdminKeyRoutes {
    let node: any NodeService

    func add(to table: RouteTable) {
        table.get("/admin/keys") { _, _ in try await list() }
        table.post("/admin/keys/rotate") { _, _ in try await rotate() }
        table.delete("/admin/keys/:id") { _, context in try await remove(context.parameters.get("id") ?? "") }
    }

    private func list() async throws -> Response {
        guard let keys = await node.refreshSigningKeys() else {
            throw Problem.unavailable("the signing keys cannot be read")
        }
        let signing = SigningKey.signing(among: keys)?.id
        return .json {
            $0.array(keys.sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }) { $0.key($1, signing: signing) }
        }
    }

    private func rotate() async throws -> Response {
        switch await node.rotateSigningKey() {
        case .success(let key): return .json { $0.key(key, signing: nil) }
        case .failure(.limitExceeded):
            throw Problem.conflict("too many keys verify at once: old ones go when what they signed has expired")
        case .failure(let rejection): throw Problem(rejection)
        }
    }

    private func remove(_ id: String) async throws -> Response {
        switch await node.propose(.removeSigningKey(id: id)) {
        case .rejected(.notAllowed): throw Problem.conflict("this key signs: rotate first")
        case .rejected(let rejection): throw Problem(rejection)
        default: return .json { $0.object { $0.field("status", "removed") } }
        }
    }
}

extension JSONText {
    /// All but its secret.
    fileprivate mutating func key(_ key: SigningKey, signing: String?) {
        object {
            $0.field("id", key.id)
            $0.field("created_at", Timestamps.rfc3339(key.createdAt))
            $0.field("active_at", key.activeAt == 0 ? nil : Timestamps.rfc3339(key.activeAt))
            $0.field("signs", key.id == signing)
        }
    }
}
