internal import AsyncHTTPClient
internal import Foundation
internal import NIOCore
public import RoostModel

/// A client of a Roost cluster: accounts, conversations and history by HTTP, and `connect` for the live session.
///
/// Any node answers any call; where one can't be reached, the next of the list is asked. Close it with `shutdown()`.
public final class RoostClient: Sendable {
    public let servers: [ServerAddress]
    private let http: HTTPClient
    private let transport: HTTPTransport
    /// Nil where no server is secure.
    let tls: ClientTLS?

    /// - Parameters:
    ///   - servers: `http://host:port` or `https://host:port` of one or more nodes.
    ///   - tls: which certificates are believed at `https://`; nil: those of the system's CAs.
    /// - Throws: `invalid_field` where the list is empty or an URL can't be used.
    public init(servers: [String], tls: ClientTLS? = nil) throws(RoostError) {
        var addresses: [ServerAddress] = []
        for url in servers {
            guard let address = ServerAddress(url) else {
                throw RoostError(.invalidField, "\"\(url)\" is not http://host:port")
            }
            if !addresses.contains(address) { addresses.append(address) }
        }
        guard !addresses.isEmpty else { throw RoostError(.invalidField, "no server is given") }
        self.servers = addresses
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = .seconds(5)
        // A dead node is answered by asking the next, not by dialling it again.
        configuration.connectionPool.retryConnectionEstablishment = false
        var tls = tls
        if tls == nil, addresses.contains(where: \.isSecure) { tls = try ClientTLS() }
        self.tls = tls
        if let tls { configuration.tlsConfiguration = tls.configuration }
        http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        transport = HTTPTransport(client: http, servers: addresses)
    }

    /// Ends the HTTP connections. Sessions go on: they are closed by themselves.
    public func shutdown() async { try? await http.shutdown() }

    // MARK: Accounts

    /// - Throws: code `username_taken` or the like with status 409 where the name is taken.
    @discardableResult
    public func register(
        username: String, password: String, role: String? = nil, token: String? = nil
    ) async throws(RoostError) -> Registration {
        let body = try HTTPAnswers.encode(AccountBody(username: username, password: password, role: role))
        let answer = try await transport.call("POST", "/api/register", token: token, body: body, repeatable: false)
        return try HTTPAnswers.decode(Registration.self, from: answer)
    }

    /// - Throws: `unauthorized` where name or password are wrong or the account is disabled.
    /// - Parameter device: the token is for this device alone, and ends with it; nil: for all of them.
    public func login(_ credentials: Credentials, device: DeviceID? = nil) async throws(RoostError) -> AccessToken {
        let body = try HTTPAnswers.encode(
            AccountBody(
                username: credentials.username, password: credentials.password, role: nil, device: device?.text))
        let answer = try await transport.call("POST", "/api/login", body: body, repeatable: true)
        return try HTTPAnswers.decode(AccessToken.self, from: answer)
    }

    public func user(named name: String, token: String) async throws(RoostError) -> User {
        try await get("/api/users", [("username", name)], token)
    }

    // MARK: Conversations

    /// Makes a conversation of type `group`, `channel`, `direct` or `self`. The caller becomes its owner.
    /// - Parameter id: makes trying again safe; chosen here where nil (direct and self ones have none to choose).
    public func createConversation(
        type: ConversationType, name: String? = nil, users: [UserID], id: ConversationID? = nil, token: String
    ) async throws(RoostError) -> Conversation {
        let chosen: ConversationID? =
            type == .direct || type == .self ? nil : id ?? ConversationID(ClientIDs.uuid())
        let body = try HTTPAnswers.encode(
            ConversationBody(
                id: chosen?.description, type: type.name, name: name, users: users.map(\.description)))
        let answer = try await transport.call("POST", "/api/conversations", token: token, body: body, repeatable: true)
        return try HTTPAnswers.decode(Conversation.self, from: answer)
    }

    public func conversations(token: String) async throws(RoostError) -> [Conversation] {
        try await get("/api/conversations", [], token)
    }

    public func conversation(_ id: ConversationID, token: String) async throws(RoostError) -> Conversation {
        try await get("/api/conversations/\(id)", [], token)
    }

    public func changeMembers(
        of id: ConversationID, _ action: MembershipAction, users: [UserID], token: String
    ) async throws(RoostError) {
        let body = try HTTPAnswers.encode(MembersBody(users: users.map(\.description), action: action.name))
        let answer = try await transport.call(
            "POST", "/api/conversations/\(id)/members", token: token, body: body, repeatable: true)
        guard answer.isSuccess else { throw HTTPAnswers.error(of: answer) }
    }

    // MARK: Reading

    /// Newest first; with `after`, oldest first from behind that `seq`. At most 100.
    public func history(
        of id: ConversationID, before: UInt64? = nil, after: UInt64? = nil, size: Int = 50, token: String
    ) async throws(RoostError) -> [StoredMessage] {
        var query = [("size", String(size))]
        if let before { query.append(("before", String(before))) }
        if let after { query.append(("after", String(after))) }
        return try await get("/api/conversations/\(id)/messages", query, token)
    }

    /// One's own messages sent at or after `since` (UNIX seconds), oldest first.
    public func sync(
        user: UserID, since: Double, cursor: String? = nil, limit: Int? = nil, token: String
    ) async throws(RoostError) -> SyncPage {
        var query = [("user_id", user.description), ("since", String(since))]
        if let cursor { query.append(("cursor", cursor)) }
        if let limit { query.append(("limit", String(limit))) }
        return try await get("/api/sync", query, token)
    }

    public func presence(of user: UserID, token: String) async throws(RoostError) -> [DevicePresence] {
        try await get("/api/presence/\(user)", [], token)
    }

    public func settings(token: String) async throws(RoostError) -> AccountSettings {
        try await get("/api/settings", [], token)
    }

    @discardableResult
    public func change(settings: AccountSettings, token: String) async throws(RoostError) -> AccountSettings {
        let body = try HTTPAnswers.encode(settings)
        let answer = try await transport.call("PUT", "/api/settings", token: token, body: body, repeatable: true)
        return try HTTPAnswers.decode(AccountSettings.self, from: answer)
    }

    /// Any call of the API. `target` is path and query behind `/api`, with a leading slash. Asked again of other
    /// servers only where that is safe: for GET.
    public func call(
        _ method: String, _ target: String, token: String?, body: [UInt8]? = nil
    ) async throws(RoostError) -> HTTPAnswer {
        try await transport.call(method, "/api" + target, token: token, body: body, repeatable: method == "GET")
    }

    /// Ends the token, or all of the user's.
    public func logout(everywhere: Bool = false, token: String) async throws(RoostError) {
        let body = try HTTPAnswers.encode(["everywhere": everywhere])
        let answer = try await transport.call("POST", "/api/logout", token: token, body: body, repeatable: true)
        guard answer.isSuccess else { throw HTTPAnswers.error(of: answer) }
    }

    /// One's own.
    public func devices(token: String) async throws(RoostError) -> [OwnDevice] {
        try await get("/api/devices", [], token)
    }

    /// Ends the device's session and its tokens, and forgets what it has acknowledged.
    public func remove(_ device: DeviceID, token: String) async throws(RoostError) {
        let answer = try await transport.call("DELETE", "/api/devices/\(device.text)", token: token, repeatable: true)
        guard answer.isSuccess else { throw HTTPAnswers.error(of: answer) }
    }

    private func get<Value: Decodable>(
        _ path: String, _ query: [(String, String)], _ token: String
    ) async throws(RoostError) -> Value {
        var target = path
        for (index, (key, value)) in query.enumerated() {
            target += "\(index == 0 ? "?" : "&")\(key)=\(PercentEncoding.encode(value))"
        }
        let answer = try await transport.call("GET", target, token: token, repeatable: true)
        return try HTTPAnswers.decode(Value.self, from: answer)
    }
}

/// Name and password of an account.
public struct Credentials: Sendable, Equatable {
    public var username: String
    public var password: String
    public init(username: String, password: String) {
        self.username = username
        self.password = password
    }
}

private struct AccountBody: Encodable {
    var username: String
    var password: String
    var role: String?
    var device: String?
    private enum CodingKeys: String, CodingKey { case username, password, role, device = "device_id" }
}

private struct ConversationBody: Encodable {
    var id: String?
    var type: String
    var name: String?
    var users: [String]
    private enum CodingKeys: String, CodingKey { case id, type, name, users = "user_ids" }
}

private struct MembersBody: Encodable {
    var users: [String]
    var action: String
    private enum CodingKeys: String, CodingKey { case action, users = "user_ids" }
}
