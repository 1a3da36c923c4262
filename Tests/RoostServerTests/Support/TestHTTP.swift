import Foundation
import NIOCore

/// An HTTP answer as it came over the wire.
struct TestResponse: Sendable {
    var status: Int
    /// Names in lower case.
    var headers: [String: String]
    var body: ByteBuffer

    var text: String { String(buffer: body) }
    var json: Any? { try? JSONSerialization.jsonObject(with: Data(body.readableBytesView)) }
    var object: [String: Any] { json as? [String: Any] ?? [:] }
    var array: [[String: Any]] { json as? [[String: Any]] ?? [] }
    /// Of problem details.
    var code: String? { object["code"] as? String }
}

extension TestConnection {
    /// The next answer.
    func response(toHead: Bool = false) async throws -> TestResponse {
        try await read { buffer in
            let view = buffer.readableBytesView
            guard let end = view.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
            let head = String(decoding: view[..<end.lowerBound], as: UTF8.self)
            var lines = head.split(separator: "\r\n")
            let words = lines.removeFirst().split(separator: " ")
            var headers: [String: String] = [:]
            for line in lines {
                let parts = line.split(separator: ":", maxSplits: 1)
                headers[parts[0].lowercased()] = parts.count > 1 ? parts[1].trimmingCharacters(in: .whitespaces) : ""
            }
            let length = toHead ? 0 : headers["content-length"].flatMap { Int($0) } ?? 0
            guard view.distance(from: end.upperBound, to: view.endIndex) >= length else { return nil }
            buffer.moveReaderIndex(to: end.upperBound)
            guard let body = buffer.readSlice(length: length) else { return nil }
            return TestResponse(status: Int(words[1]) ?? 0, headers: headers, body: body)
        }
    }

    func call(_ method: String, _ path: String, token: String? = nil, body: String? = nil) async throws -> TestResponse
    {
        var text = "\(method) \(path) HTTP/1.1\r\nhost: test\r\n"
        if let token { text += "authorization: Bearer \(token)\r\n" }
        if let body { text += "content-length: \(body.utf8.count)\r\n" }
        text += "\r\n" + (body ?? "")
        try await send(text)
        return try await response(toHead: method == "HEAD")
    }
}
