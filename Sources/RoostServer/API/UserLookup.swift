internal import NIOHTTP1
internal import RoostModel
internal import RoostNode
internal import RoostProtocol

extension NodeService {
    /// - Throws: 404 that names the users who do not exist, 503.
    func requireUsers(_ users: [UserID]) async throws {
        let found = try await concurrently(users) { try await exists($0) }
        let unknown = zip(users, found).filter { !$0.1 }.map(\.0)
        guard unknown.isEmpty else {
            let names = unknown.sorted().map(\.description).joined(separator: ", ")
            throw Problem(.notFound, "unknown_user", "there is no such user: \(names)")
        }
    }

    private func exists(_ user: UserID) async throws -> Bool {
        switch await read(.account(user)) {
        case .account: return true
        case .none: return false
        case .rejected(let rejection): throw Problem(rejection)
        default: throw Problem.unavailable("the answer was not understood")
        }
    }

    /// The conversations in which the user is a member now, from every partition.
    /// - Throws: 503 rather than a part of them.
    func conversations(of user: UserID) async throws -> [ConversationSnapshot] {
        var found: [ConversationSnapshot] = []
        for answer in await readAll({ _ in .conversations(user) }) {
            switch answer {
            case .conversations(let part): found += part
            case .none: break
            case .rejected(let rejection): throw Problem(rejection)
            default: throw Problem.unavailable("the answer was not understood")
            }
        }
        return found.filter { conversation in conversation.members.contains { $0.user == user && $0.current } }
            .sorted { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
    }
}
