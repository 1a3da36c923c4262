/// Why a text is not JSON.
struct JSONError: Error, Equatable {
    /// Bytes before the one that cannot stand there.
    var offset: Int
    var reason: String
}

/// Where a JSON value stands in a text, without white space around it.
struct JSONValue: Equatable {
    enum Kind: Equatable { case object, array, string, number, bool, null }
    var kind: Kind
    /// Bytes of the value; a string's quotes included.
    var range: Range<Int>
    /// A string with a backslash in it.
    var escaped = false
}

/// A strict reader of JSON (RFC 8259) that finds values without decoding them. It is ours because a message's content
/// passes byte for byte, and readers that build a tree no longer know the bytes. Stricter than the RFC's grammar where
/// receivers would differ: a lone surrogate, invalid UTF-8, a byte order mark and nesting deeper than 64 are errors.
struct JSONScanner {
    static let maxDepth = 64

    let bytes: UnsafeRawBufferPointer
    private(set) var at = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func skip(to offset: Int) { at = offset }

    /// The only value of the text.
    static func check(_ bytes: UnsafeRawBufferPointer) throws(JSONError) -> JSONValue {
        var scanner = JSONScanner(bytes)
        let value = try scanner.value()
        try scanner.end()
        return value
    }

    /// The next value, with the white space before it skipped.
    mutating func value(depth: Int = 0) throws(JSONError) -> JSONValue {
        skipSpace()
        let start = at
        guard let first = peek() else { throw error("the text ends where a value should be") }
        switch first {
        case UInt8(ascii: "\""):
            return try string()
        case UInt8(ascii: "{"):
            try object(depth: depth) { _, _ in }
            return JSONValue(kind: .object, range: start..<at)
        case UInt8(ascii: "["):
            try array(depth: depth) { _ in }
            return JSONValue(kind: .array, range: start..<at)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            try number()
            return JSONValue(kind: .number, range: start..<at)
        case UInt8(ascii: "t"):
            try literal("true")
            return JSONValue(kind: .bool, range: start..<at)
        case UInt8(ascii: "f"):
            try literal("false")
            return JSONValue(kind: .bool, range: start..<at)
        case UInt8(ascii: "n"):
            try literal("null")
            return JSONValue(kind: .null, range: start..<at)
        default:
            throw error("no value begins with this")
        }
    }

    /// Nothing but white space may follow.
    mutating func end() throws(JSONError) {
        skipSpace()
        guard at == bytes.count else { throw error("something follows the value") }
    }

    /// An object, whose first byte is next, with its members handed out in their order.
    mutating func object(depth: Int, _ member: (_ key: JSONValue, _ value: JSONValue) -> Void) throws(JSONError) {
        guard depth < Self.maxDepth else { throw error("nested deeper than 64") }
        at += 1
        skipSpace()
        if take(UInt8(ascii: "}")) { return }
        while true {
            skipSpace()
            guard peek() == UInt8(ascii: "\"") else { throw error("a member's name should be here") }
            let key = try string()
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw error("a colon should be here") }
            member(key, try value(depth: depth + 1))
            skipSpace()
            if take(UInt8(ascii: "}")) { return }
            guard take(UInt8(ascii: ",")) else { throw error("a comma or the object's end should be here") }
        }
    }

    /// An array, whose first byte is next, with its elements handed out in their order.
    mutating func array(depth: Int, _ element: (JSONValue) -> Void) throws(JSONError) {
        guard depth < Self.maxDepth else { throw error("nested deeper than 64") }
        at += 1
        skipSpace()
        if take(UInt8(ascii: "]")) { return }
        while true {
            element(try value(depth: depth + 1))
            skipSpace()
            if take(UInt8(ascii: "]")) { return }
            guard take(UInt8(ascii: ",")) else { throw error("a comma or the array's end should be here") }
        }
    }

    private mutating func string() throws(JSONError) -> JSONValue {
        let start = at
        var escaped = false
        at += 1
        while let byte = peek() {
            switch byte {
            case UInt8(ascii: "\""):
                at += 1
                return JSONValue(kind: .string, range: start..<at, escaped: escaped)
            case UInt8(ascii: "\\"):
                escaped = true
                try escape()
            case 0..<0x20:
                throw error("a control character stands in a string")
            case 0x80...:
                guard let length = utf8Length(at: at) else { throw error("not UTF-8") }
                at += length
            default:
                at += 1
            }
        }
        throw error("a string does not end")
    }

    private mutating func escape() throws(JSONError) {
        at += 1
        switch peek() {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            at += 1
        case UInt8(ascii: "u"):
            at += 1
            let unit = try hexUnit()
            if (0xdc00...0xdfff).contains(unit) { throw error("a lone surrogate") }
            if (0xd800...0xdbff).contains(unit) {
                guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")), (0xdc00...0xdfff).contains(try hexUnit())
                else { throw error("a lone surrogate") }
            }
        default:
            throw error("an unknown escape")
        }
    }

    private mutating func hexUnit() throws(JSONError) -> UInt16 {
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let byte = peek(), let digit = hexDigit(byte) else { throw error("four hex digits should be here") }
            unit = unit << 4 | UInt16(digit)
            at += 1
        }
        return unit
    }

    private mutating func number() throws(JSONError) {
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")) { try digits() }
        if take(UInt8(ascii: ".")) { try digits() }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            try digits()
        }
    }

    private mutating func digits() throws(JSONError) {
        let start = at
        while let byte = peek(), isDigit(byte) { at += 1 }
        guard at > start else { throw error("a digit should be here") }
    }

    private mutating func literal(_ text: StaticString) throws(JSONError) {
        for offset in 0..<text.utf8CodeUnitCount {
            guard take(text.utf8Start[offset]) else { throw error("no value begins with this") }
        }
    }

    private mutating func skipSpace() {
        while let byte = peek(), byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { at += 1 }
    }

    @inline(__always)
    private func peek() -> UInt8? { at < bytes.count ? bytes[at] : nil }

    @inline(__always)
    private mutating func take(_ byte: UInt8) -> Bool {
        guard at < bytes.count, bytes[at] == byte else { return false }
        at += 1
        return true
    }

    /// Bytes of the well-formed sequence of more than one byte that begins here (Unicode, table 3-7).
    private func utf8Length(at start: Int) -> Int? {
        let length: Int
        var second: ClosedRange<UInt8> = 0x80...0xbf
        switch bytes[start] {
        case 0xc2...0xdf: length = 2
        case 0xe0: (length, second) = (3, 0xa0...0xbf)
        case 0xed: (length, second) = (3, 0x80...0x9f)
        case 0xe1...0xef: length = 3
        case 0xf0: (length, second) = (4, 0x90...0xbf)
        case 0xf1...0xf3: length = 4
        case 0xf4: (length, second) = (4, 0x80...0x8f)
        default: return nil
        }
        guard start + length <= bytes.count, second.contains(bytes[start + 1]) else { return nil }
        for offset in 2..<max(2, length) where bytes[start + offset] & 0xc0 != 0x80 { return nil }
        return length
    }

    private func error(_ reason: String) -> JSONError { JSONError(offset: at, reason: reason) }
}

@inline(__always)
func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}
