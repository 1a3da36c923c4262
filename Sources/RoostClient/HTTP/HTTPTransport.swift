package import AsyncHTTPClient
internal import Foundation
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// An HTTP answer, whatever its status.
public struct HTTPAnswer: Sendable {
    public let status: Int
    public let body: [UInt8]
    /// Of Retry-After, in milliseconds.
    public let retryAfterMilliseconds: Int?
    public var isSuccess: Bool { (200..<300).contains(status) }
}

/// Asks one of several servers: where one can't be reached, or says 503, the next is asked.
package struct HTTPTransport: Sendable {
    private static let maxBody = 16 * 1_048_576

    private let client: HTTPClient
    package let servers: [ServerAddress]
    /// Of one request to one server.
    private let timeout: TimeAmount

    package init(client: HTTPClient, servers: [ServerAddress], timeoutSeconds: Int = 30) {
        self.client = client
        self.servers = servers
        timeout = .seconds(Int64(timeoutSeconds))
    }

    /// - Parameters:
    ///   - target: path and query, with a leading slash.
    ///   - repeatable: the request may be sent again though it may have been carried out.
    /// - Throws: `unreachable` where no server answered.
    package func call(
        _ method: String, _ target: String, token: String? = nil, body: [UInt8]? = nil, repeatable: Bool
    ) async throws(RoostError) -> HTTPAnswer {
        var failure = RoostError(.unreachable, "there is no server to ask", retryable: true)
        var refusal: HTTPAnswer?
        for server in servers {
            var request = HTTPClientRequest(url: server.description + target)
            request.method = HTTPMethod(rawValue: method)
            if let token { request.headers.add(name: "Authorization", value: "Bearer \(token)") }
            if let body {
                request.headers.add(name: "Content-Type", value: "application/json")
                request.body = .bytes(ByteBuffer(bytes: body))
            }
            do {
                let answer = try await execute(request)
                guard answer.status == 503 else { return answer }
                refusal = answer
                // The outcome of what a 503 refused is unknown: only what is safe twice is asked again.
                guard repeatable else { return answer }
            } catch {
                failure = RoostError(.unreachable, "\(server): \(await describe(error, of: server))", retryable: true)
                guard repeatable || Self.neverSent(error), !Task.isCancelled else { throw failure }
            }
        }
        if let refusal { return refusal }
        guard servers.count > 1 else { throw failure }
        throw RoostError(
            .unreachable, "none of \(servers.count) servers was reached; the last: \(failure.detail)", retryable: true)
    }

    private func execute(_ request: HTTPClientRequest) async throws -> HTTPAnswer {
        let response = try await client.execute(request, timeout: timeout)
        let body = try await response.body.collect(upTo: Self.maxBody)
        let seconds = response.headers.first(name: "retry-after").flatMap { Double($0) }
        return HTTPAnswer(
            status: Int(response.status.code), body: Array(body.readableBytesView),
            retryAfterMilliseconds: seconds.map { Int(min(max($0, 0), 3_600) * 1_000) })
    }

    private static func neverSent(_ error: any Error) -> Bool {
        if error is NIOConnectionError { return true }
        if let error = error as? IOError { return error.errnoCode == ECONNREFUSED }
        guard let error = error as? HTTPClientError else { return false }
        return error == .connectTimeout
    }

    private func describe(_ error: any Error, of server: ServerAddress) async -> String {
        let isCertificate = TLSTrouble.isCertificate(error)
        let shown = isCertificate ? await ClientTLS.certificate(of: server, on: client.eventLoopGroup) : nil
        return TLSTrouble.text(error, host: server.host, leaf: shown) ?? Self.describe(error)
    }

    private static func describe(_ error: any Error) -> String {
        if error is NIOConnectionError || error is IOError { return WebSocketDialer.describe(error) }
        guard let error = error as? HTTPClientError else { return String(describing: error) }
        return error.shortDescription
    }
}

/// Turns answers into values or errors, as RFC 9457 problems tell them.
package enum HTTPAnswers {
    private struct Problem: Decodable {
        var title: String?
        var detail: String?
        var code: String?
    }

    static func decode<Value: Decodable>(_ type: Value.Type, from answer: HTTPAnswer) throws(RoostError) -> Value {
        guard answer.isSuccess else { throw error(of: answer) }
        do {
            return try JSONDecoder().decode(type, from: Data(answer.body))
        } catch {
            throw RoostError(.protocol, "the server's answer can't be read: \(error)", status: answer.status)
        }
    }

    package static func error(of answer: HTTPAnswer) -> RoostError {
        let problem = try? JSONDecoder().decode(Problem.self, from: Data(answer.body))
        let code: RoostError.Code =
            switch (answer.status, problem?.code) {
            case (401, _): .unauthorized
            case (_, let code?): .init(rawValue: code)
            case (429, _): .rateLimited
            case (503, _): .unavailable
            default: .init(rawValue: "http_\(answer.status)")
            }
        return RoostError(
            code, problem?.detail ?? problem?.title ?? "HTTP status \(answer.status)",
            retryable: answer.status == 429 || answer.status == 503,
            retryAfterMilliseconds: answer.retryAfterMilliseconds, status: answer.status)
    }

    /// Any JSON value; Foundation takes scalars too.
    static func value(of content: ByteBuffer) throws -> JSONValue {
        try JSONDecoder().decode(JSONValue.self, from: Data(content.readableBytesView))
    }

    static func encode(_ value: some Encodable) throws(RoostError) -> [UInt8] {
        do {
            return Array(try JSONEncoder().encode(value))
        } catch {
            throw RoostError(.protocol, "can't be written as JSON: \(error)")
        }
    }
}
