/// What a node prints when it serves: `ready node-1 client=127.0.0.1:8001 admin=127.0.0.1:9001`.
struct ReadyLine: Equatable {
    var node: String
    var client: String
    var admin: String

    init?(_ line: String) {
        let words = line.split(separator: " ")
        guard words.count >= 4, words[0] == "ready" else { return nil }
        node = String(words[1])
        var values: [Substring: Substring] = [:]
        for word in words[2...] {
            guard let equals = word.firstIndex(of: "=") else { return nil }
            values[word[..<equals]] = word[word.index(after: equals)...]
        }
        guard let client = values["client"], let admin = values["admin"] else { return nil }
        self.client = Self.url(client)
        self.admin = Self.url(admin)
    }

    private static func url(_ text: Substring) -> String { text.contains("://") ? String(text) : "http://\(text)" }
}

/// Puts a child's output together into lines.
struct LineSplitter {
    /// A longer line is cut into pieces.
    private static let maxLine = 65_536
    private var rest: [UInt8] = []

    mutating func feed(_ bytes: some Sequence<UInt8>) -> [String] {
        var lines: [String] = []
        for byte in bytes {
            if byte == UInt8(ascii: "\n") || rest.count >= Self.maxLine { lines.append(take()) }
            if byte != UInt8(ascii: "\n") { rest.append(byte) }
        }
        return lines
    }

    /// What the end of the output left.
    mutating func finish() -> [String] { rest.isEmpty ? [] : [take()] }

    private mutating func take() -> String {
        defer { rest.removeAll(keepingCapacity: true) }
        return String(decoding: rest, as: UTF8.self)
    }
}
