import NIOCore
import RoostProtocol

/// A value's encoding in a buffer of its own.
func encoded(_ encode: (inout ByteBuffer) -> Void) -> ByteBuffer {
    var buffer = ByteBuffer()
    encode(&buffer)
    return buffer
}

func hex(_ buffer: ByteBuffer) -> String {
    buffer.readableBytesView.map { byte in
        let text = String(byte, radix: 16)
        return byte < 16 ? "0" + text : text
    }.joined()
}

/// Nil where the text is not an even number of hex digits.
func bytes(fromHex text: some StringProtocol) -> ByteBuffer? {
    let digits = text.compactMap(\.hexDigitValue)
    guard digits.count == text.count, digits.count % 2 == 0 else { return nil }
    return ByteBuffer(
        bytes: stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) })
}

func decodeFrame(_ wire: ByteBuffer) throws -> PeerFrame? {
    var wire = wire
    guard var frame = try PeerFrameCodec.nextFrame(from: &wire) else { return nil }
    let decoded = try PeerFrameCodec.decode(&frame)
    guard wire.readableBytes == 0 else { throw PeerCodecError.trailingBytes }
    return decoded
}
