package import NIOCore

/// Writes a client's frames, which are masked (RFC 6455, section 5.3).
package enum WebSocketFrameWriter {
    package enum Opcode: UInt8, Sendable {
        case text = 0x1
        case close = 0x8
        case ping = 0x9
        case pong = 0xa
    }

    /// - Parameter mask: four random bytes, so that a page's content can't imitate another protocol towards a proxy. A
    ///   load generator may pass 0, which leaves the payload as it is.
    package static func write(
        _ opcode: Opcode, _ payload: ByteBufferView, mask: UInt32, into out: inout ByteBuffer
    ) {
        out.reserveCapacity(minimumWritableBytes: payload.count + 14)
        out.writeInteger(0x80 | opcode.rawValue)
        switch payload.count {
        case ...125: out.writeInteger(0x80 | UInt8(payload.count))
        case ...0xffff:
            out.writeInteger(0x80 | 126 as UInt8)
            out.writeInteger(UInt16(payload.count))
        default:
            out.writeInteger(0x80 | 127 as UInt8)
            out.writeInteger(UInt64(payload.count))
        }
        out.writeInteger(mask)
        let start = out.writerIndex
        out.writeBytes(payload)
        guard mask != 0 else { return }
        let key = mask.bigEndian
        out.withUnsafeMutableReadableBytes { bytes in
            let body = UnsafeMutableRawBufferPointer(rebasing: bytes[(bytes.count - payload.count)...])
            withUnsafeBytes(of: key) { key in
                for index in body.indices { body[index] ^= key[index & 3] }
            }
        }
        assert(out.writerIndex - start == payload.count)
    }

    /// The payload of a close frame.
    package static func closePayload(code: UInt16, reason: String = "") -> ByteBuffer {
        var payload = ByteBuffer()
        payload.writeInteger(code)
        payload.writeString(String(reason.prefix(100)))
        return payload
    }
}
