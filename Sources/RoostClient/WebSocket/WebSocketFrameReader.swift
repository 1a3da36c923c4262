package import NIOCore

/// What a server's byte stream says, one frame or fragment put together at a time.
package enum WebSocketInput: Equatable, Sendable {
    case text(ByteBuffer)
    case binary
    case ping(ByteBuffer)
    case pong(ByteBuffer)
    /// `code` is nil where the frame had none.
    case close(code: UInt16?, reason: String)
}

package enum WebSocketViolation: Error, Equatable, Sendable {
    /// A masked frame from a server, a reserved bit or opcode, a broken fragment.
    case protocolError(String)
    case tooLarge
}

/// Reads the unmasked frames of a server (RFC 6455, section 5.2). Strict, and bounded by `maxMessage`.
package struct WebSocketFrameReader {
    private let maxMessage: Int
    private var buffer = ByteBuffer()
    private var fragments: ByteBuffer?
    private var fragmentsAreText = false

    /// - Parameter maxMessage: largest message, put together from its fragments, in bytes.
    package init(maxMessage: Int) { self.maxMessage = maxMessage }

    package mutating func feed(_ bytes: inout ByteBuffer) {
        if buffer.readableBytes == 0 {
            // The channel's own buffer is taken over: no copy where a read ends at a frame's end.
            buffer = bytes
        } else {
            buffer.discardReadBytes()
            buffer.writeBuffer(&bytes)
        }
    }

    /// The next message or control frame; nil until more bytes came.
    package mutating func next() throws(WebSocketViolation) -> WebSocketInput? {
        while let (opcode, final, payload) = try frame() {
            switch opcode {
            case 0x0:
                guard var whole = fragments else { throw .protocolError("a continuation of nothing") }
                guard whole.readableBytes + payload.readableBytes <= maxMessage else { throw .tooLarge }
                whole.writeImmutableBuffer(payload)
                fragments = final ? nil : whole
                if final { return fragmentsAreText ? .text(whole) : .binary }
            case 0x1, 0x2:
                guard fragments == nil else { throw .protocolError("a new message within another") }
                if final { return opcode == 0x1 ? .text(payload) : .binary }
                fragments = payload
                fragmentsAreText = opcode == 0x1
            case 0x8: return close(payload)
            case 0x9: return .ping(payload)
            case 0xa: return .pong(payload)
            default: throw .protocolError("reserved opcode \(opcode)")
            }
        }
        return nil
    }

    private mutating func frame() throws(WebSocketViolation) -> (opcode: UInt8, final: Bool, payload: ByteBuffer)? {
        let start = buffer.readerIndex
        guard let first = buffer.getInteger(at: start, as: UInt8.self),
            let second = buffer.getInteger(at: start + 1, as: UInt8.self)
        else { return nil }
        guard first & 0x70 == 0 else { throw .protocolError("a reserved bit is set") }
        guard second & 0x80 == 0 else { throw .protocolError("a server's frame is masked") }
        let opcode = first & 0x0f
        let final = first & 0x80 != 0
        var length = Int(second & 0x7f)
        var header = 2
        if opcode >= 0x8 {
            guard final, length <= 125 else { throw .protocolError("a broken control frame") }
        } else if length == 126 {
            guard let long = buffer.getInteger(at: start + 2, as: UInt16.self) else { return nil }
            length = Int(long)
            header = 4
        } else if length == 127 {
            guard let long = buffer.getInteger(at: start + 2, as: UInt64.self) else { return nil }
            guard long <= UInt64(maxMessage) else { throw .tooLarge }
            length = Int(long)
            header = 10
        }
        guard length <= maxMessage else { throw .tooLarge }
        guard let payload = buffer.getSlice(at: start + header, length: length) else { return nil }
        buffer.moveReaderIndex(forwardBy: header + length)
        return (opcode, final, payload)
    }

    private func close(_ payload: ByteBuffer) -> WebSocketInput {
        var payload = payload
        let code = payload.readInteger(as: UInt16.self)
        return .close(code: code, reason: String(buffer: payload))
    }
}
