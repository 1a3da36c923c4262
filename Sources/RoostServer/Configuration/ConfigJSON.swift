/// A JSON value as it stands in a configuration file. Members keep their order, and a key twice is an error, which
/// is why this is not `JSONDecoder`.
enum ConfigValue: Equatable {
    case object([Member])
    case array([ConfigValue])
    case string(String)
    case integer(Int)
    /// A number with a fraction or an exponent, or beyond 64 bits.
    case number(Double)
    case bool(Bool)
    case null

    struct Member: Equatable {
        var key: String
        var value: ConfigValue
    }

    /// For messages: what was found instead.
    var kind: String {
        switch self {
        case .object: "an object"
        case .array: "an array"
        case .string: "a string"
        case .integer, .number: "a number"
        case .bool: "a boolean"
        case .null: "null"
        }
    }
}

/// A strict parser of RFC 8259, for small files. Errors name line and column.
struct ConfigJSONParser {
    private static let maxDepth = 16

    private let bytes: [UInt8]
    private var position = 0
    private var depth = 0

    struct SyntaxError: Error, Equatable {
        var line: Int
        var column: Int
        var reason: String
    }

    static func parse(_ bytes: [UInt8]) throws(SyntaxError) -> ConfigValue {
        var parser = ConfigJSONParser(bytes: bytes)
        let value = try parser.value()
        parser.skipSpace()
        guard parser.position == bytes.count else { throw parser.error("something follows the object") }
        return value
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private func error(_ reason: String) -> SyntaxError {
        let before = bytes[..<min(position, bytes.count)]
        let line = before.count { $0 == UInt8(ascii: "\n") } + 1
        let start = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        return SyntaxError(line: line, column: before.count - start + 1, reason: reason)
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { position += 1 }
    }

    private mutating func take(_ byte: Character) -> Bool {
        skipSpace()
        guard let ascii = byte.asciiValue, next == ascii else { return false }
        position += 1
        return true
    }

    private mutating func value() throws(SyntaxError) -> ConfigValue {
        skipSpace()
        guard let byte = next else { throw error("the file ends too early") }
        switch byte {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        default: return try word()
        }
    }

    private mutating func enter() throws(SyntaxError) {
        depth += 1
        guard depth <= Self.maxDepth else { throw error("nested too deep") }
        position += 1
    }

    private mutating func object() throws(SyntaxError) -> ConfigValue {
        try enter()
        defer { depth -= 1 }
        var members: [ConfigValue.Member] = []
        if take("}") { return .object([]) }
        repeat {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw error("a key in quotes is expected") }
            let key = try string()
            guard !members.contains(where: { $0.key == key }) else { throw error("the key \"\(key)\" stands twice") }
            guard take(":") else { throw error("':' is expected") }
            members.append(.init(key: key, value: try value()))
        } while take(",")
        guard take("}") else { throw error("',' or '}' is expected") }
        return .object(members)
    }

    private mutating func array() throws(SyntaxError) -> ConfigValue {
        try enter()
        defer { depth -= 1 }
        var values: [ConfigValue] = []
        if take("]") { return .array([]) }
        repeat { values.append(try value()) } while take(",")
        guard take("]") else { throw error("',' or ']' is expected") }
        return .array(values)
    }

    private mutating func word() throws(SyntaxError) -> ConfigValue {
        let words: [(String, ConfigValue)] = [("true", .bool(true)), ("false", .bool(false)), ("null", .null)]
        for (word, value) in words where bytes[position...].starts(with: word.utf8) {
            position += word.utf8.count
            return value
        }
        throw error("not a JSON value")
    }

    private mutating func number() throws(SyntaxError) -> ConfigValue {
        let start = position
        while let byte = next, "+-.eE0123456789".utf8.contains(byte) { position += 1 }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        let leadingZero = digits.hasPrefix("0") && digits.dropFirst().first?.isNumber == true
        guard digits.first?.isNumber == true, digits.last?.isNumber == true, !leadingZero else {
            throw error("not a number")
        }
        if let integer = Int(text) { return .integer(integer) }
        guard let double = Double(text), double.isFinite else { throw error("not a number") }
        return .number(double)
    }

    private mutating func string() throws(SyntaxError) -> String {
        position += 1
        var text: [UInt8] = []
        while let byte = next {
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let valid = String(validating: text, as: UTF8.self) else { throw error("not UTF-8") }
                return valid
            case UInt8(ascii: "\\"): try escape(into: &text)
            case 0..<0x20: throw error("a control character in a string")
            default: text.append(byte)
            }
        }
        throw error("a string is not closed")
    }

    private mutating func escape(into text: inout [UInt8]) throws(SyntaxError) {
        guard let byte = next else { throw error("a string is not closed") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0c)
        case UInt8(ascii: "n"): text.append(0x0a)
        case UInt8(ascii: "r"): text.append(0x0d)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"): text += try unicodeEscape()
        default: throw error("unknown escape")
        }
    }

    private mutating func unicodeEscape() throws(SyntaxError) -> [UInt8] {
        let first = try hexadecimal()
        var code = UInt32(first)
        if (0xd800..<0xdc00).contains(first) {
            guard next == UInt8(ascii: "\\") else { throw error("half a surrogate pair") }
            position += 1
            guard next == UInt8(ascii: "u") else { throw error("half a surrogate pair") }
            position += 1
            let second = try hexadecimal()
            guard (0xdc00..<0xe000).contains(second) else { throw error("half a surrogate pair") }
            code = 0x10000 + (UInt32(first) - 0xd800) << 10 + (UInt32(second) - 0xdc00)
        }
        guard let scalar = Unicode.Scalar(code) else { throw error("half a surrogate pair") }
        return Array(String(Character(scalar)).utf8)
    }

    private mutating func hexadecimal() throws(SyntaxError) -> UInt16 {
        guard position + 4 <= bytes.count else { throw error("a string is not closed") }
        let digits = String(decoding: bytes[position..<position + 4], as: UTF8.self)
        guard digits.allSatisfy(\.isHexDigit), let value = UInt16(digits, radix: 16) else {
            throw error("four hexadecimal digits are expected")
        }
        position += 4
        return value
    }
}
