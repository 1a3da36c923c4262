package import NIOCore

/// Writes a server's frames: unfragmented, unmasked (RFC 6455, section 5.1).
package enum WebSocketFrames {
    /// At most so many bytes stand before a payload.
    package static let maxHeader = 10

    package static func write(_ opcode: WebSocketOpcode, _ payload: ByteBuffer, into buffer: inout ByteBuffer) {
        buffer.writeInteger(0x80 | opcode.rawValue)
        let length = payload.readableBytes
        switch length {
        case ...125: buffer.writeInteger(UInt8(length))
        case ...65_535:
            buffer.writeInteger(126 as UInt8)
            buffer.writeInteger(UInt16(length))
        default:
            buffer.writeInteger(127 as UInt8)
            buffer.writeInteger(UInt64(length))
        }
        buffer.writeImmutableBuffer(payload)
    }

    /// A close frame; the reason is clipped to the 123 bytes that it may have.
    package static func writeClose(code: UInt16?, reason: String, into buffer: inout ByteBuffer) {
        var payload = ByteBuffer()
        if let code {
            payload.writeInteger(code)
            var clipped = reason
            while clipped.utf8.count > 123 { clipped.removeLast() }
            payload.writeString(clipped)
        }
        write(.close, payload, into: &buffer)
    }
}
