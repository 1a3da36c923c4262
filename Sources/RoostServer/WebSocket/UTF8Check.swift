internal import NIOCore

enum UTF8Check {
    static func isValid(_ bytes: ByteBuffer) -> Bool {
        let isASCII = bytes.withUnsafeReadableBytes { raw in
            var index = 0
            var bits: UInt64 = 0
            while index + 8 <= raw.count {
                bits |= raw.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                index += 8
            }
            while index < raw.count {
                bits |= UInt64(raw[index])
                index += 1
            }
            return bits & 0x8080_8080_8080_8080 == 0
        }
        if isASCII { return true }
        return (try? UTF8Span(validating: bytes.readableBytesUInt8Span)) != nil
    }
}
