internal import NIOCore
internal import RoostModel

/// A value with one binary form. Every form is canonical: bytes that can be decoded encode to the same bytes again.
protocol WireValue {
    /// No encoding is shorter, in bytes: bounds the memory that a count can claim.
    static var minimumSize: Int { get }
    func encode(into buffer: inout ByteBuffer)
    init(reading buffer: inout ByteBuffer) throws(PeerCodecError)
}

/// Longest texts in bytes of UTF-8.
enum WireBounds {
    /// Names of nodes and clusters, and addresses.
    static let name = 255
    /// A message's type.
    static let messageType = 64
    /// Everything else that is a text: usernames, password hashes, titles, reasons.
    static let text = 4096
}

// Integers are LEB128 where they are usually small; what is random (UUIDs, stores, sessions, digests) or large
// (times) has a fixed width and stands big endian.
extension ByteBuffer {
    @inline(__always)
    mutating func writeByte(_ value: UInt8) { writeInteger(value) }

    @inline(__always)
    mutating func writeFlag(_ value: Bool) { writeInteger(value ? 1 : 0, as: UInt8.self) }

    @inline(__always)
    mutating func writeVarint(_ value: some UnsignedInteger & FixedWidthInteger) {
        if value < 0x80 {
            writeInteger(UInt8(truncatingIfNeeded: value))
        } else {
            writeLongVarint(UInt64(value))
        }
    }

    private mutating func writeLongVarint(_ value: UInt64) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: 10) { bytes in
            var rest = value
            var length = 0
            while rest >= 0x80 {
                bytes[length] = UInt8(truncatingIfNeeded: rest) | 0x80
                rest >>= 7
                length += 1
            }
            bytes[length] = UInt8(truncatingIfNeeded: rest)
            return length + 1
        }
    }

    @inline(__always)
    mutating func writeID<Kind>(_ id: Identifier<Kind>) { writeUUID(id.uuid) }

    @inline(__always)
    mutating func writeUUID(_ uuid: UUID128) { writeMultipleIntegers(uuid.high, uuid.low) }

    mutating func writeText(_ text: String) {
        writeVarint(UInt(text.utf8.count))
        writeString(text)
    }

    mutating func writeBlob(_ bytes: ByteBuffer) {
        writeVarint(UInt(bytes.readableBytes))
        writeImmutableBuffer(bytes)
    }

    mutating func writeDevice(_ device: DeviceID) { writeText(device.text) }
    mutating func writeNode(_ node: NodeID) { writeText(node.name) }

    mutating func writeArray<Value: WireValue>(_ values: [Value]) {
        writeVarint(UInt(values.count))
        for value in values { value.encode(into: &self) }
    }

    mutating func writeOptional<Value: WireValue>(_ value: Value?) {
        writeFlag(value != nil)
        value?.encode(into: &self)
    }
}

extension ByteBuffer {
    @inline(__always)
    mutating func readFixed<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) throws(PeerCodecError) -> Value {
        guard let value = readInteger(as: Value.self) else { throw .truncated }
        return value
    }

    mutating func readFlag(_ field: String) throws(PeerCodecError) -> Bool {
        let byte: UInt8 = try readFixed()
        guard byte < 2 else { throw .invalid(field) }
        return byte == 1
    }

    /// A value of an enumeration; unknown ones are refused.
    mutating func readTag<Tag: RawRepresentable>(
        _ field: String, as type: Tag.Type = Tag.self
    ) throws(PeerCodecError) -> Tag where Tag.RawValue == UInt8 {
        let byte: UInt8 = try readFixed()
        guard let tag = Tag(rawValue: byte) else { throw .invalid(field) }
        return tag
    }

    @inline(__always)
    mutating func readVarint() throws(PeerCodecError) -> UInt64 {
        let first: UInt8 = try readFixed()
        return first < 0x80 ? UInt64(first) : try readLongVarint(after: first)
    }

    private mutating func readLongVarint(after first: UInt8) throws(PeerCodecError) -> UInt64 {
        var value = UInt64(first & 0x7f)
        var shift: UInt64 = 7
        while true {
            let byte: UInt8 = try readFixed()
            // The tenth byte holds one bit; a last byte of zero would be a second form of the same number.
            if shift == 63 && byte > 1 { throw .invalid("varint") }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 {
                guard byte != 0 else { throw .invalid("varint") }
                return value
            }
            shift += 7
        }
    }

    @inline(__always)
    mutating func readVarint<Value: UnsignedInteger & FixedWidthInteger>(
        as type: Value.Type, _ field: String
    ) throws(PeerCodecError) -> Value {
        guard let value = Value(exactly: try readVarint()) else { throw .invalid(field) }
        return value
    }

    mutating func readUUID() throws(PeerCodecError) -> UUID128 {
        guard let (high, low) = readMultipleIntegers(as: (UInt64, UInt64).self) else { throw .truncated }
        return UUID128(high: high, low: low)
    }

    @inline(__always)
    mutating func readID<Kind>(_ kind: Identifier<Kind>.Type = Identifier<Kind>.self) throws(PeerCodecError)
        -> Identifier<Kind>
    {
        Identifier(try readUUID())
    }

    mutating func readText(_ field: String, max: Int = WireBounds.text) throws(PeerCodecError) -> String {
        let length = try readVarint()
        guard length <= max else { throw .invalid(field) }
        let size = Int(length)
        guard size <= readableBytes else { throw .truncated }
        let text = withUnsafeReadableBytes { bytes in
            String(validating: UnsafeRawBufferPointer(rebasing: bytes[..<size]), as: UTF8.self)
        }
        guard let text else { throw .invalid(field) }
        moveReaderIndex(forwardBy: size)
        return text
    }

    /// A slice of this buffer's storage: nothing is copied.
    mutating func readBlob() throws(PeerCodecError) -> ByteBuffer {
        let length = try readVarint()
        guard length <= readableBytes, let bytes = readSlice(length: Int(length)) else { throw .truncated }
        return bytes
    }

    mutating func readDevice() throws(PeerCodecError) -> DeviceID {
        guard let device = DeviceID(try readText("device", max: 64)) else { throw .invalid("device") }
        return device
    }

    mutating func readNode() throws(PeerCodecError) -> NodeID {
        let name = try readText("node", max: WireBounds.name)
        guard !name.isEmpty else { throw .invalid("node") }
        return NodeID(name)
    }

    /// A count of values of at least `minimumSize` bytes each: never more than the bytes left can hold.
    mutating func readCount(minimumSize: Int) throws(PeerCodecError) -> Int {
        let count = try readVarint()
        guard count <= UInt64(readableBytes / max(1, minimumSize)) else { throw .truncated }
        return Int(count)
    }

    mutating func readArray<Value: WireValue>(of type: Value.Type = Value.self) throws(PeerCodecError) -> [Value] {
        let count = try readCount(minimumSize: Value.minimumSize)
        var values: [Value] = []
        values.reserveCapacity(count)
        for _ in 0..<count { values.append(try Value(reading: &self)) }
        return values
    }

    mutating func readOptional<Value: WireValue>(_ field: String, of type: Value.Type = Value.self)
        throws(PeerCodecError) -> Value?
    {
        try readFlag(field) ? try Value(reading: &self) : nil
    }

    /// Reads a value that takes up the whole buffer.
    mutating func readWhole<Value: WireValue>(_ type: Value.Type = Value.self) throws(PeerCodecError) -> Value {
        let value = try Value(reading: &self)
        guard readableBytes == 0 else { throw .trailingBytes }
        return value
    }
}

extension Identifier: WireValue {
    static var minimumSize: Int { 16 }
    func encode(into buffer: inout ByteBuffer) { buffer.writeID(self) }
    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) { self.init(try buffer.readUUID()) }
}

extension NodeID: WireValue {
    static var minimumSize: Int { 2 }
    func encode(into buffer: inout ByteBuffer) { buffer.writeNode(self) }
    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) { self = try buffer.readNode() }
}

extension PartitionID: WireValue {
    static var minimumSize: Int { 1 }
    func encode(into buffer: inout ByteBuffer) { buffer.writeVarint(value) }
    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(try buffer.readVarint(as: UInt16.self, "partition"))
    }
}

extension Generation: WireValue {
    static var minimumSize: Int { 2 }
    func encode(into buffer: inout ByteBuffer) {
        buffer.writeVarint(term)
        buffer.writeVarint(count)
    }
    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(term: try buffer.readVarint(), count: try buffer.readVarint())
    }
}

extension UInt32: WireValue {
    static var minimumSize: Int { 1 }
    func encode(into buffer: inout ByteBuffer) { buffer.writeVarint(self) }
    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self = try buffer.readVarint(as: UInt32.self, "slot")
    }
}

/// A text with the general bound, as an optional or in an array.
struct WireText: WireValue {
    var text: String
    init(_ text: String) { self.text = text }
    static var minimumSize: Int { 1 }
    func encode(into buffer: inout ByteBuffer) { buffer.writeText(text) }
    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) { text = try buffer.readText("text") }
}

/// A sequence number or index that may be absent.
struct WireNumber: WireValue {
    var value: UInt64
    init(_ value: UInt64) { self.value = value }
    static var minimumSize: Int { 1 }
    func encode(into buffer: inout ByteBuffer) { buffer.writeVarint(value) }
    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) { value = try buffer.readVarint() }
}

struct WireTime: WireValue {
    var value: Int64
    init(_ value: Int64) { self.value = value }
    static var minimumSize: Int { 8 }
    func encode(into buffer: inout ByteBuffer) { buffer.writeInteger(value) }
    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) { value = try buffer.readFixed() }
}
