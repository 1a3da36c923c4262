internal import RoostModel

/// The members of a JSON object that somebody asked for; others are skipped.
struct JSONObject {
    private let bytes: UnsafeRawBufferPointer
    private let keys: [StaticString]
    private var values: [JSONValue?]
    /// Index of the first asked-for member that stands there twice: no two readers would agree on it.
    private(set) var duplicate: Int?

    /// Throws where the whole text is not one JSON object.
    init(_ bytes: UnsafeRawBufferPointer, keys: [StaticString]) throws(JSONError) {
        var values = [JSONValue?](repeating: nil, count: keys.count)
        var duplicate: Int?
        try Self.forEachMember(of: bytes) { key, value in
            guard let index = Self.index(of: key, in: bytes, among: keys) else { return }
            if values[index] != nil { duplicate = duplicate ?? index }
            values[index] = value
        }
        self.bytes = bytes
        self.keys = keys
        self.values = values
        self.duplicate = duplicate
    }

    /// Throws where the whole text is not one JSON object.
    static func forEachMember(
        of bytes: UnsafeRawBufferPointer, _ member: (_ key: JSONValue, _ value: JSONValue) -> Void
    ) throws(JSONError) {
        let start = bytes.firstIndex { $0 != 0x20 && $0 != 0x0a && $0 != 0x0d && $0 != 0x09 } ?? bytes.count
        guard start < bytes.count, bytes[start] == UInt8(ascii: "{") else {
            _ = try JSONScanner.check(bytes)
            throw JSONError(offset: start, reason: "not an object")
        }
        var scanner = JSONScanner(bytes)
        scanner.skip(to: start)
        try scanner.object(depth: 0, member)
        try scanner.end()
    }

    subscript(index: Int) -> JSONValue? { values[index] }

    /// The text of a string; nil for another kind.
    func string(_ value: JSONValue) -> String? {
        value.kind == .string ? Self.decode(value, in: bytes) : nil
    }

    /// The UUID that a string spells, in any case.
    func uuid(_ value: JSONValue) -> UUID128? {
        guard value.kind == .string else { return nil }
        if value.escaped { return UUID128(utf8: Self.decode(value, in: bytes).utf8) }
        return UUID128(utf8: inner(value))
    }

    /// The UUIDs that an array of strings spells; nil for anything else.
    func uuids(_ value: JSONValue) -> [UUID128]? {
        guard value.kind == .array else { return nil }
        var scanner = JSONScanner(bytes)
        scanner.skip(to: value.range.lowerBound)
        var found: [UUID128]? = []
        do {
            try scanner.array(depth: 0) { element in
                if let uuid = self.uuid(element) { found?.append(uuid) } else { found = nil }
            }
        } catch {
            return nil
        }
        return found
    }

    /// A number without sign, fraction and exponent.
    func unsigned(_ value: JSONValue) -> UInt64? {
        guard value.kind == .number else { return nil }
        var result: UInt64 = 0
        for byte in bytes[value.range] {
            guard isDigit(byte) else { return nil }
            let (product, over) = result.multipliedReportingOverflow(by: 10)
            let (sum, above) = product.addingReportingOverflow(UInt64(byte - UInt8(ascii: "0")))
            guard !over, !above else { return nil }
            result = sum
        }
        return result
    }

    func bool(_ value: JSONValue) -> Bool? {
        value.kind == .bool ? bytes[value.range.lowerBound] == UInt8(ascii: "t") : nil
    }

    /// A number of seconds in whole microseconds, exact where it is written without an exponent; what is finer than a
    /// microsecond is cut off. Nil where it does not fit.
    func microseconds(_ value: JSONValue) -> Int64? {
        guard value.kind == .number else { return nil }
        var whole: Int64 = 0
        var decimals = -1
        var negative = false
        for byte in bytes[value.range] {
            switch byte {
            case UInt8(ascii: "-"): negative = true
            case UInt8(ascii: "."): decimals = 0
            case UInt8(ascii: "e"), UInt8(ascii: "E"):
                let text = String(decoding: bytes[value.range], as: UTF8.self)
                return Double(text).flatMap { Int64(exactly: ($0 * 1_000_000).rounded(.toNearestOrEven)) }
            default:
                if decimals == 6 { continue }
                if decimals >= 0 { decimals += 1 }
                guard let next = Self.append(byte, to: whole) else { return nil }
                whole = next
            }
        }
        for _ in max(0, decimals)..<6 {
            guard let next = Self.append(UInt8(ascii: "0"), to: whole) else { return nil }
            whole = next
        }
        return negative ? -whole : whole
    }

    private static func append(_ digit: UInt8, to number: Int64) -> Int64? {
        let (product, over) = number.multipliedReportingOverflow(by: 10)
        let (sum, above) = product.addingReportingOverflow(Int64(digit - UInt8(ascii: "0")))
        return over || above ? nil : sum
    }

    private func inner(_ value: JSONValue) -> UnsafeRawBufferPointer.SubSequence {
        bytes[value.range.lowerBound + 1..<value.range.upperBound - 1]
    }

    private static func index(
        of key: JSONValue, in bytes: UnsafeRawBufferPointer, among keys: [StaticString]
    ) -> Int? {
        if key.escaped {
            let text = decode(key, in: bytes)
            return keys.firstIndex { $0.withUTF8Buffer { $0.elementsEqual(text.utf8) } }
        }
        let start = key.range.lowerBound + 1
        let length = key.range.count - 2
        return keys.firstIndex { name in
            guard name.utf8CodeUnitCount == length else { return false }
            for offset in 0..<length where name.utf8Start[offset] != bytes[start + offset] { return false }
            return true
        }
    }

    /// The text of a string value that the scanner has passed.
    static func decode(_ value: JSONValue, in bytes: UnsafeRawBufferPointer) -> String {
        let inner = bytes[value.range.lowerBound + 1..<value.range.upperBound - 1]
        guard value.escaped else { return String(decoding: inner, as: UTF8.self) }
        var units: [UInt8] = []
        units.reserveCapacity(inner.count)
        var at = inner.startIndex
        func hex(_ position: Int) -> UInt32 {
            (0..<4).reduce(0) { $0 << 4 | UInt32(hexDigit(bytes[position + $1]) ?? 0) }
        }
        while at < inner.endIndex {
            guard bytes[at] == UInt8(ascii: "\\") else {
                units.append(bytes[at])
                at += 1
                continue
            }
            let kind = bytes[at + 1]
            at += 2
            switch kind {
            case UInt8(ascii: "b"): units.append(0x08)
            case UInt8(ascii: "f"): units.append(0x0c)
            case UInt8(ascii: "n"): units.append(0x0a)
            case UInt8(ascii: "r"): units.append(0x0d)
            case UInt8(ascii: "t"): units.append(0x09)
            case UInt8(ascii: "u"):
                var code = hex(at)
                at += 4
                if (0xd800...0xdbff).contains(code) {
                    code = 0x10000 + (code - 0xd800) << 10 + (hex(at + 2) - 0xdc00)
                    at += 6
                }
                if let scalar = Unicode.Scalar(code) { units.append(contentsOf: UTF8.encode(scalar) ?? .init()) }
            default: units.append(kind)
            }
        }
        return String(decoding: units, as: UTF8.self)
    }
}
