import NIOCore

@testable import RoostServer

/// Frames as a client writes them, rules kept or broken.
enum TestFrame {
    static func text(_ text: String) -> [UInt8] { make(.text, Array(text.utf8)) }

    static func make(
        _ opcode: WebSocketOpcode, _ payload: [UInt8], isFinal: Bool = true, masked: Bool = true
    ) -> [UInt8] {
        var bytes: [UInt8] = [(isFinal ? 0x80 : 0) | opcode.rawValue]
        let maskBit: UInt8 = masked ? 0x80 : 0
        switch payload.count {
        case ...125: bytes.append(maskBit | UInt8(payload.count))
        case ...65_535: bytes += [maskBit | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xff)]
        default:
            bytes.append(maskBit | 127)
            bytes += (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> ((7 - $0) * 8)) }
        }
        guard masked else { return bytes + payload }
        let key: [UInt8] = [0x1f, 0x80, 0xc3, 0x5a]
        return bytes + key + payload.enumerated().map { $1 ^ key[$0 % 4] }
    }
}

/// A frame that the server sent.
struct ServerFrameSeen: Equatable, Sendable {
    var opcode: UInt8
    var payload: [UInt8]
    var text: String { String(decoding: payload, as: UTF8.self) }
    /// Of a close frame.
    var closeCode: Int? { opcode == 8 && payload.count >= 2 ? Int(payload[0]) << 8 | Int(payload[1]) : nil }
}

extension TestConnection {
    func frame() async throws -> ServerFrameSeen {
        try await read { buffer in
            var copy = buffer
            guard let first: UInt8 = copy.readInteger(), let second: UInt8 = copy.readInteger() else { return nil }
            var length = Int(second)
            if second == 126 {
                guard let wide: UInt16 = copy.readInteger() else { return nil }
                length = Int(wide)
            } else if second == 127 {
                guard let wide: UInt64 = copy.readInteger() else { return nil }
                length = Int(wide)
            }
            guard let payload = copy.readBytes(length: length) else { return nil }
            buffer = copy
            return ServerFrameSeen(opcode: first & 0x0f, payload: payload)
        }
    }

    func send(frame: [UInt8]) async throws { try await send(ByteBuffer(bytes: frame)) }
}
