internal import ArgumentParser
internal import AsyncHTTPClient
internal import Foundation
internal import NIOCore
internal import RoostClient

/// Asks the admin endpoint of one node, or of the first of several that answers.
struct AdminClient {
    private static let timeoutSeconds = 10

    let transport: HTTPTransport
    let token: String?

    /// Runs `body` with a client of the endpoints.
    static func with<Value>(
        urls: [String], token: String?, tls: ClientTLS? = nil, _ body: (AdminClient) async throws -> Value
    ) async throws -> Value {
        let addresses = try urls.map { url in
            guard let address = ServerAddress(url) else {
                throw Failure("--admin: \"\(url)\" is not http://host:port", .usage)
            }
            return address
        }
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = .seconds(2)
        configuration.connectionPool.retryConnectionEstablishment = false
        if addresses.contains(where: \.isSecure) {
            configuration.tlsConfiguration = try await reporting { try tls ?? ClientTLS() }.configuration
        }
        let http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        let client = AdminClient(
            transport: HTTPTransport(client: http, servers: addresses, timeoutSeconds: timeoutSeconds), token: token)
        do {
            let value = try await reporting { try await body(client) }
            try? await http.shutdown()
            return value
        } catch {
            try? await http.shutdown()
            throw error
        }
    }

    func get(_ target: String) async throws -> JSONValue {
        try await call("GET", target, body: nil, repeatable: true)
    }

    func post(_ target: String, _ body: [String: String]) async throws -> JSONValue {
        try await call("POST", target, body: Array(JSONEncoder().encode(body)), repeatable: false)
    }

    func delete(_ target: String) async throws -> JSONValue {
        try await call("DELETE", target, body: nil, repeatable: true)
    }

    private func call(_ method: String, _ target: String, body: [UInt8]?, repeatable: Bool) async throws -> JSONValue {
        let answer = try await transport.call(method, target, token: token, body: body, repeatable: repeatable)
        guard answer.isSuccess else { throw Failure(HTTPAnswers.error(of: answer)) }
        return (try? JSONDecoder().decode(JSONValue.self, from: Data(answer.body))) ?? .null
    }
}
