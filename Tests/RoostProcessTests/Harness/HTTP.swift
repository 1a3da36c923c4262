/// One HTTP call on a connection of its own.
struct HTTPResult: Sendable {
    var status: Int
    /// Lower-case names.
    var headers: [String: String]
    var body: [UInt8]

    var json: JSON { (try? JSON(body)) ?? .null }
    var code: String? { json["code"].string }

    /// What a server wrote until it closed.
    init(parsing bytes: [UInt8]) throws {
        guard let end = bytes.firstRange(of: [13, 10, 13, 10]) else {
            throw HarnessError("no HTTP answer: \(String(decoding: bytes.prefix(200), as: UTF8.self))")
        }
        let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
        let words = lines.first?.split(separator: " ") ?? []
        guard words.count > 1, let status = Int(words[1]) else { throw HarnessError("no HTTP status: \(lines)") }
        self.status = status
        headers = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].drop { $0 == " " }.description
        }
        body = Array(bytes[end.upperBound...])
    }
}

enum HTTP {
    static func call(
        port: Int, _ method: String, _ path: String, body: String? = nil, token: String? = nil,
        headers: [String: String] = [:]
    ) async throws -> HTTPResult {
        var head = "\(method) \(path) HTTP/1.1\r\nhost: 127.0.0.1:\(port)\r\nconnection: close\r\n"
        if let token { head += "authorization: Bearer \(token)\r\n" }
        if let body { head += "content-type: application/json\r\ncontent-length: \(body.utf8.count)\r\n" }
        for (name, value) in headers.sorted(by: { $0.key < $1.key }) { head += "\(name): \(value)\r\n" }
        return try await raw(port: port, Array((head + "\r\n" + (body ?? "")).utf8))
    }

    static func raw(port: Int, _ request: [UInt8]) async throws -> HTTPResult {
        try await onThread {
            let wire = try Wire(port: port)
            try wire.write(request)
            return try HTTPResult(parsing: try wire.readAll())
        }
    }
}
