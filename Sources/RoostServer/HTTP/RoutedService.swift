internal import HTTPTypes
internal import Hummingbird
package import Logging
internal import NIOCore
internal import NIOHTTP1

/// Answers calls by a Hummingbird router; connections and bounds are `HTTPExchangeHandler`'s.
package struct RoutedService: HTTPService {
    private let responder: RouterResponder<APIContext>
    private let logger: Logger

    package init(routes: RouteTable, logger: Logger) {
        responder = routes.router.buildResponder()
        self.logger = logger
    }

    package func answer(_ call: HTTPCall) async -> HTTPAnswer {
        var fields = HTTPFields()
        for header in call.head.headers {
            guard let name = HTTPField.Name(header.name) else { continue }
            fields.append(HTTPField(name: name, value: header.value))
        }
        guard let method = HTTPRequest.Method(call.head.method.rawValue) else {
            return .reply(Problem(.badRequest, "invalid_http", "unknown method").reply)
        }
        let head = HTTPRequest(
            method: method, scheme: "http", authority: call.head.headers.first(name: "host"), path: call.head.uri,
            headerFields: fields)
        let request = Request(head: head, body: RequestBody(buffer: call.body))
        let context = APIContext(source: APIContextSource(logger: logger, address: call.address))
        do {
            return .reply(try await HTTPReply(responder.respond(to: request, context: context)))
        } catch {
            logger.error("no answer could be written", metadata: ["path": "\(call.path)", "error": "\(error)"])
            return .reply(Problem(.internalServerError, "internal", "the server failed on this call").reply)
        }
    }
}

extension HTTPReply {
    init(_ response: Response) async throws {
        let collector = BodyCollector()
        try await response.body.write(collector)
        self.init(
            status: HTTPResponseStatus(statusCode: response.status.code, reasonPhrase: response.status.reasonPhrase),
            body: collector.bytes)
        for field in response.headers where field.name != .contentLength {
            headers.add(name: field.name.rawName, value: field.value)
        }
    }
}

extension Response {
    init(_ reply: HTTPReply) {
        self.init(
            status: HTTPResponse.Status(
                code: Int(reply.status.code), reasonPhrase: reply.status.reasonPhrase),
            body: ResponseBody(byteBuffer: reply.body))
        for header in reply.headers {
            guard let name = HTTPField.Name(header.name) else { continue }
            headers.append(HTTPField(name: name, value: header.value))
        }
    }

    static func json(_ text: JSONText) -> Response {
        Response(status: .ok, headers: [.contentType: "application/json"], body: ResponseBody(byteBuffer: text.bytes))
    }

    static func json(_ write: (inout JSONText) -> Void) -> Response {
        var text = JSONText()
        write(&text)
        return json(text)
    }
}

private final class BodyCollector: ResponseBodyWriter {
    private(set) var bytes = ByteBuffer()
    func write(_ buffer: ByteBuffer) async throws { bytes.writeImmutableBuffer(buffer) }
    func finish(_ trailingHeaders: HTTPFields?) async throws {}
}
