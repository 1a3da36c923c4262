package import NIOCore

/// Reads a client's frames (RFC 6455, section 5): checks them before their payload is buffered, unmasks, puts fragments
/// together, and says with which code the connection must end where a rule is broken. Pure.
package struct WebSocketReader: Sendable {
    package enum Event: Sendable, Equatable {
        /// A whole text message, valid UTF-8.
        case text(ByteBuffer)
        case ping(ByteBuffer)
        case pong(ByteBuffer)
        /// Nothing is read after it. `code` is what the other end gave, nil for none.
        case close(code: UInt16?)
        /// Nothing is read after it.
        case failed(code: UInt16, reason: String)
    }

    private struct Header {
        var isFinal: Bool
        var opcode: WebSocketOpcode
        var length: Int
        var mask: UInt32
        var bytes: Int
    }

    /// Bytes of a message, whether in one frame or in fragments.
    private let maxFrame: Int
    private var buffer = ByteBuffer()
    /// The fragments so far; nil outside a fragmented message.
    private var fragments: ByteBuffer?
    private var isDone = false

    package init(maxFrame: Int) { self.maxFrame = maxFrame }

    /// Takes what was read from the socket and appends what it completes.
    package mutating func read(_ bytes: ByteBuffer, into events: inout [Event]) {
        guard !isDone else { return }
        if buffer.readableBytes == 0 {
            buffer = bytes
        } else {
            buffer.writeImmutableBuffer(bytes)
        }
        while !isDone {
            switch peekHeader() {
            case .needsMore:
                buffer.discardReadBytes()
                return
            case .failed(let code, let reason): fail(code, reason, &events)
            case .header(let header):
                guard buffer.readableBytes >= header.bytes + header.length else {
                    if buffer.readerIndex > 0 { buffer.discardReadBytes() }
                    return
                }
                buffer.moveReaderIndex(forwardBy: header.bytes)
                guard var payload = buffer.readSlice(length: header.length) else { return }
                Self.unmask(&payload, header.mask)
                take(header, payload, &events)
            }
        }
    }

    private mutating func take(_ header: Header, _ payload: ByteBuffer, _ events: inout [Event]) {
        switch header.opcode {
        case .ping: events.append(.ping(payload))
        case .pong: events.append(.pong(payload))
        case .close: takeClose(payload, &events)
        case .text, .continuation:
            if header.isFinal, fragments == nil {
                finish(payload, &events)
            } else {
                var whole = fragments ?? ByteBuffer()
                fragments = nil
                whole.writeImmutableBuffer(payload)
                if header.isFinal { finish(whole, &events) } else { fragments = whole }
            }
        case .binary: break
        }
    }

    private mutating func finish(_ message: ByteBuffer, _ events: inout [Event]) {
        guard UTF8Check.isValid(message) else { return fail(1007, "not valid UTF-8", &events) }
        events.append(.text(message))
    }

    private mutating func takeClose(_ payload: ByteBuffer, _ events: inout [Event]) {
        var payload = payload
        guard payload.readableBytes > 0 else {
            isDone = true
            return events.append(.close(code: nil))
        }
        guard let code = payload.readInteger(as: UInt16.self), Self.mayBeSent(code) else {
            return fail(1002, "a close frame with a wrong code", &events)
        }
        guard UTF8Check.isValid(payload) else { return fail(1007, "not valid UTF-8", &events) }
        isDone = true
        events.append(.close(code: code))
    }

    private mutating func fail(_ code: UInt16, _ reason: String, _ events: inout [Event]) {
        isDone = true
        buffer = ByteBuffer()
        fragments = nil
        events.append(.failed(code: code, reason: reason))
    }

    /// Section 7.4: the codes that may stand in a frame.
    private static func mayBeSent(_ code: UInt16) -> Bool {
        switch code {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }

    // MARK: Headers

    private enum HeaderResult {
        case needsMore
        case header(Header)
        case failed(UInt16, String)
    }

    /// Looks at the next header without taking it, and judges it as early as its bytes are there.
    private func peekHeader() -> HeaderResult {
        let start = buffer.readerIndex
        guard let first = buffer.getInteger(at: start, as: UInt8.self) else { return .needsMore }
        guard first & 0x70 == 0 else { return .failed(1002, "a reserved bit is set") }
        guard let opcode = WebSocketOpcode(rawValue: first & 0x0f) else { return .failed(1002, "a reserved opcode") }
        let isFinal = first & 0x80 != 0
        if let failure = check(opcode, isFinal) { return failure }
        guard let second = buffer.getInteger(at: start + 1, as: UInt8.self) else { return .needsMore }
        guard second & 0x80 != 0 else { return .failed(1002, "an unmasked frame") }
        let short = Int(second & 0x7f)
        guard !opcode.isControl || short <= 125 else { return .failed(1002, "a control frame above 125 bytes") }

        let length: UInt64
        let lengthBytes: Int
        switch short {
        case 126:
            guard let wide = buffer.getInteger(at: start + 2, as: UInt16.self) else { return .needsMore }
            (length, lengthBytes) = (UInt64(wide), 2)
        case 127:
            guard let wide = buffer.getInteger(at: start + 2, as: UInt64.self) else { return .needsMore }
            (length, lengthBytes) = (wide, 8)
        default: (length, lengthBytes) = (UInt64(short), 0)
        }
        let before = UInt64(opcode.isControl ? 0 : fragments?.readableBytes ?? 0)
        guard length <= UInt64(maxFrame), opcode.isControl || length + before <= UInt64(maxFrame) else {
            return .failed(1009, "larger than max_frame, \(maxFrame) bytes")
        }
        guard let mask = buffer.getInteger(at: start + 2 + lengthBytes, as: UInt32.self) else { return .needsMore }
        return .header(
            Header(isFinal: isFinal, opcode: opcode, length: Int(length), mask: mask, bytes: 6 + lengthBytes))
    }

    private func check(_ opcode: WebSocketOpcode, _ isFinal: Bool) -> HeaderResult? {
        switch opcode {
        case .binary: .failed(1003, "only text is taken")
        case .ping, .pong, .close: isFinal ? nil : .failed(1002, "a fragmented control frame")
        case .text: fragments == nil ? nil : .failed(1002, "a new message within a fragmented one")
        case .continuation: fragments == nil ? .failed(1002, "a continuation of nothing") : nil
        }
    }

    /// Section 5.3, eight bytes at a time.
    private static func unmask(_ payload: inout ByteBuffer, _ mask: UInt32) {
        guard mask != 0, payload.readableBytes > 0 else { return }
        payload.withUnsafeMutableReadableBytes { bytes in
            let wide = (UInt64(mask) << 32 | UInt64(mask)).bigEndian
            var index = 0
            while index + 8 <= bytes.count {
                let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                bytes.storeBytes(of: word ^ wide, toByteOffset: index, as: UInt64.self)
                index += 8
            }
            while index < bytes.count {
                bytes[index] ^= UInt8(truncatingIfNeeded: mask >> UInt32(24 - index % 4 * 8))
                index += 1
            }
        }
    }
}

/// The opcodes of RFC 6455, section 11.8.
package enum WebSocketOpcode: UInt8, Sendable {
    case continuation = 0
    case text = 1
    case binary = 2
    case close = 8
    case ping = 9
    case pong = 10

    var isControl: Bool { rawValue >= 8 }
}
