public import NIOCore
public import RoostModel

/// JSON written straight into a buffer.
extension ByteBuffer {
    /// A string with its quotes. Escaped is only what RFC 8259 demands.
    public mutating func writeJSON(string text: String) {
        writeInteger(UInt8(ascii: "\""))
        if text.utf8.allSatisfy({ $0 >= 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) {
            writeString(text)
        } else {
            for byte in text.utf8 { writeEscaped(byte) }
        }
        writeInteger(UInt8(ascii: "\""))
    }

    private mutating func writeEscaped(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): writeStaticString("\\\"")
        case UInt8(ascii: "\\"): writeStaticString("\\\\")
        case 0x08: writeStaticString("\\b")
        case 0x09: writeStaticString("\\t")
        case 0x0a: writeStaticString("\\n")
        case 0x0c: writeStaticString("\\f")
        case 0x0d: writeStaticString("\\r")
        case 0..<0x20:
            writeStaticString("\\u00")
            writeInteger(byte < 0x10 ? UInt8(ascii: "0") : UInt8(ascii: "1"))
            let low = byte & 0xf
            writeInteger(low < 10 ? UInt8(ascii: "0") + low : UInt8(ascii: "a") + low - 10)
        default: writeInteger(byte)
        }
    }

    public mutating func writeJSON(number: UInt64) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: 20) { bytes in
            var length = 1
            var rest = number / 10
            while rest > 0 {
                length += 1
                rest /= 10
            }
            rest = number
            for position in stride(from: length - 1, through: 0, by: -1) {
                bytes[position] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            }
            return length
        }
    }

    /// Microseconds as a number of seconds with six decimals, exactly.
    public mutating func writeJSON(secondsOf microseconds: Int64) {
        if microseconds < 0 { writeInteger(UInt8(ascii: "-")) }
        let (seconds, fraction) = microseconds.magnitude.quotientAndRemainder(dividingBy: 1_000_000)
        writeJSON(number: seconds)
        writeWithUnsafeMutableBytes(minimumWritableBytes: 7) { bytes in
            bytes[0] = UInt8(ascii: ".")
            var rest = fraction
            for position in stride(from: 6, through: 1, by: -1) {
                bytes[position] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            }
            return 7
        }
    }

    /// The lower-case form in quotes.
    public mutating func writeJSON<Kind>(id: Identifier<Kind>) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: 38) { bytes in
            var position = 1
            bytes[0] = UInt8(ascii: "\"")
            id.uuid.forEachASCII { byte in
                bytes[position] = byte
                position += 1
            }
            bytes[37] = UInt8(ascii: "\"")
            return 38
        }
    }
}

/// A message as a JSON object, as it stands in answers over HTTP; the same members are in a `message` frame.
public enum JSONMessage {
    public static func write(_ message: Message, into buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt8(ascii: "{"))
        writeMembers(of: message, into: &buffer)
        buffer.writeInteger(UInt8(ascii: "}"))
    }

    static func writeMembers(of message: Message, into buffer: inout ByteBuffer) {
        buffer.writeStaticString("\"id\":")
        buffer.writeJSON(id: message.id)
        buffer.writeStaticString(",\"conversation_id\":")
        buffer.writeJSON(id: message.conversation)
        buffer.writeStaticString(",\"seq\":")
        buffer.writeJSON(number: message.seq)
        buffer.writeStaticString(",\"sender_id\":")
        buffer.writeJSON(id: message.sender)
        buffer.writeStaticString(",\"origin_device_id\":")
        buffer.writeJSON(string: message.originDevice.text)
        buffer.writeStaticString(",\"type\":")
        buffer.writeJSON(string: message.type)
        buffer.writeStaticString(",\"content\":")
        buffer.writeImmutableBuffer(message.content)
        buffer.writeStaticString(",\"sent_at\":")
        buffer.writeJSON(secondsOf: message.sentAt)
    }

    /// About how long the object is, in bytes: what to reserve.
    static func estimate(_ message: Message) -> Int {
        288 + message.type.utf8.count + message.originDevice.text.utf8.count + message.content.readableBytes
    }
}
