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
        var calls = 0
        let registered = try await served {
            calls += 1
            return try await api(node, "POST", "register", body: Self.credentials(name))
        }
        // 409: what was answered by 503 was done.
        guard registered.status == 200 || registered.status == 409 && calls > 1 else {
            throw HarnessError("register \(name): \(registered.status)")
        }
        let login = try await served { try await api(node, "POST", "login", body: Self.credentials(name)) }
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
        let answer = try await served {
            try await api(
                node, "POST", "conversations",
                body: #"{"type":"\#(type)","name":"\#(name)","user_ids":[\#(users)]}"#, token: owner.token)
        }
        return try answer.json["id"].string.orThrow("conversations: \(answer.status) \(answer.json)")
    }

    func session(
        _ account: Account, _ device: String, at node: Int, options: WireSession.Options = .init()
    ) async throws -> WireSession {
        let deadline = Self.patience
        while true {
            do {
                return try await WireSession.open(
                    port: nodes[node].clientPort, user: account.id, token: account.token, device: device,
                    options: options)
            } catch let refused as WireSession.Refused
                where refused.answer.status == 503 && ContinuousClock.now < deadline
            {
                try await pause(for: .milliseconds(100))
            }
        }
    }

    /// As a client does: 503 says that a call may be made again.
    func served(_ call: () async throws -> HTTPResult) async throws -> HTTPResult {
        let deadline = Self.patience
        while true {
            let answer = try await call()
            guard answer.status == 503, ContinuousClock.now < deadline else { return answer }
            try await pause(for: .milliseconds(100))
        }
    }

    private static var patience: ContinuousClock.Instant { .now + Patience.times(.seconds(15)) }

    /// Opened, and all that was unread has come.
    func live(
        _ account: Account, _ device: String, at node: Int, options: WireSession.Options = .init()
    ) async throws -> WireSession {
        let session = try await session(account, device, at: node, options: options)
        try await session.caughtUp()
        return session
    }
}
