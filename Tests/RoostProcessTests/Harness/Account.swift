@testable import RoostCLI

/// A user with a token.
struct Account: Sendable {
    var name: String
    var id: String
    var token: String
}

extension ProcessCluster {
    static let password = "a long enough password"

    static func credentials(_ name: String) -> String { #"{"username":"\#(name)","password":"\#(password)"}"# }

    /// Registers and logs in.
    func account(_ name: String, at node: Int = 0) async throws -> Account {
        let registered = try await api(node, "POST", "register", body: Self.credentials(name))
        guard registered.status == 200 else { throw HarnessError("register \(name): \(registered.status)") }
        let login = try await api(node, "POST", "login", body: Self.credentials(name))
        guard let id = login.json["user_id"].string, let token = login.json["access_token"].string else {
            throw HarnessError("login \(name): \(login.status)")
        }
        return Account(name: name, id: id, token: token)
    }

    /// - Returns: its id.
    func conversation(
        _ type: String, _ owner: Account, with others: [Account], name: String = "talk", at node: Int = 0
    ) async throws -> String {
        let users = others.map { "\"\($0.id)\"" }.joined(separator: ",")
        let answer = try await api(
            node, "POST", "conversations", body: #"{"type":"\#(type)","name":"\#(name)","user_ids":[\#(users)]}"#,
            token: owner.token)
        return try answer.json["id"].string.orThrow("conversations: \(answer.status) \(answer.json)")
    }

    func session(
        _ account: Account, _ device: String, at node: Int, options: WireSession.Options = .init()
    ) async throws -> WireSession {
        try await WireSession.open(
            port: nodes[node].clientPort, user: account.id, token: account.token, device: device, options: options)
    }

    /// Opened, and all that was unread has come.
    func live(
        _ account: Account, _ device: String, at node: Int, options: WireSession.Options = .init()
    ) async throws -> WireSession {
        let session = try await session(account, device, at: node, options: options)
        try await session.caughtUp()
        return session
    }
}
