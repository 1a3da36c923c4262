internal import Foundation
internal import Hummingbird
internal import NIOCore
internal import NIOHTTP1
internal import RoostModel
internal import RoostProtocol

extension Request {
    /// The body as a JSON object.
    /// - Throws: 400 that names the field at fault, one that stands there twice too: no two readers would agree on it.
    func json<Body: Decodable>(_ type: Body.Type) async throws -> Body {
        guard let value = try await optionalJSON(type) else {
            throw Problem(.badRequest, "invalid_json", "a JSON object is expected as the body")
        }
        return value
    }

    /// The same; nil where there is no body.
    func optionalJSON<Body: Decodable>(_ type: Body.Type) async throws -> Body? {
        let bytes = try await body.collect(upTo: .max)
        guard bytes.readableBytes > 0 else { return nil }
        do {
            if let name = try JSONBody.duplicate(in: bytes) { throw Problem.invalid("\(name) stands there twice") }
        } catch let flaw as JSONBody.Flaw {
            throw Problem(
                .badRequest, "invalid_json", "the body is not a JSON object: byte \(flaw.offset): \(flaw.reason)")
        }
        do {
            return try JSONDecoder().decode(type, from: Data(bytes.readableBytesView))
        } catch let error as DecodingError {
            throw Problem(error)
        }
    }

    func query(_ name: String) -> String? {
        uri.queryParameters[Substring(name)].map { String($0) }
    }

    /// A query parameter that is a whole number in `range`.
    func query<Number: FixedWidthInteger>(_ name: String, in range: ClosedRange<Number>) throws(Problem) -> Number? {
        guard let text = query(name) else { return nil }
        guard let number = Number(text), range.contains(number) else {
            throw .invalid("\(name) must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// A query parameter that is an id.
    func id<Kind>(_ name: String, _ type: Identifier<Kind>.Type) throws(Problem) -> Identifier<Kind>? {
        guard let text = query(name), !text.isEmpty else { return nil }
        guard let id = Identifier<Kind>(text) else { throw .invalid("\(name) must be a UUID") }
        return id
    }

    /// Ids separated by commas, each once, sorted.
    func ids<Kind>(_ name: String, _ type: Identifier<Kind>.Type, atMost limit: Int) throws(Problem)
        -> [Identifier<Kind>]
    {
        guard let text = query(name), !text.isEmpty else { return [] }
        return try RoostServer.ids(text.split(separator: ",").map(String.init), name, atMost: limit)
    }
}

/// Ids as written in a list, each once, sorted.
func ids<Kind>(_ texts: [String], _ name: String, atMost limit: Int) throws(Problem) -> [Identifier<Kind>] {
    guard texts.count <= limit else { throw .invalid("\(name) may hold at most \(limit) ids") }
    var found: Set<Identifier<Kind>> = []
    for text in texts {
        guard let id = Identifier<Kind>(text) else { throw .invalid("\(name) holds something that is not a UUID") }
        found.insert(id)
    }
    return found.sorted()
}

extension APIContext {
    /// An id in the path.
    func id<Kind>(_ name: String, _ type: Identifier<Kind>.Type = Identifier<Kind>.self) throws(Problem)
        -> Identifier<Kind>
    {
        guard let text = parameters.get(name), let id = Identifier<Kind>(text) else {
            throw .invalid("\(name) must be a UUID")
        }
        return id
    }
}

extension Problem {
    init(_ error: DecodingError) {
        switch error {
        case .keyNotFound(let key, let context):
            self = .missing(Self.field(context.codingPath + [key]))
        case .valueNotFound(_, let context), .typeMismatch(_, let context):
            guard !context.codingPath.isEmpty else {
                self.init(.badRequest, "invalid_json", "a JSON object is expected as the body")
                return
            }
            self = .invalid("\(Self.field(context.codingPath)) is of the wrong type")
        case .dataCorrupted(let context):
            guard !context.codingPath.isEmpty else {
                self.init(.badRequest, "invalid_json", "the body is not valid JSON")
                return
            }
            self = .invalid("\(Self.field(context.codingPath)) has a wrong value")
        @unknown default: self.init(.badRequest, "invalid_json", "the body is not as expected")
        }
    }

    private static func field(_ path: [any CodingKey]) -> String {
        path.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }.joined(separator: ".")
            .replacing(".[", with: "[")
    }
}
