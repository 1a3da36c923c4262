package import NIOCore
internal import RoostModel

/// Tells whether a message sent again under its id is the same one. It stands in tables, so it never changes.
/// Not cryptographic: who makes collisions deceives only himself, since his own ids are compared with each other.
package enum ContentHash {
    package static func of(type: String, content: ByteBuffer) -> UInt64 {
        var type = type
        let state = type.withUTF8 { fold(UnsafeRawBufferPointer($0), into: 0x2d35_8dcc_aa6c_78a5) }
        return StableHash.mix(content.withUnsafeReadableBytes { fold($0, into: state) })
    }

    /// Eight bytes a step, then the rest, then the length, which keeps the parts apart.
    private static func fold(_ bytes: UnsafeRawBufferPointer, into start: UInt64) -> UInt64 {
        var state = start
        var offset = 0
        while bytes.count - offset >= 8 {
            state = step(state, UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
            offset += 8
        }
        var rest: UInt64 = 0
        var shift: UInt64 = 0
        while offset < bytes.count {
            rest |= UInt64(bytes[offset]) << shift
            offset += 1
            shift += 8
        }
        return step(step(state, rest), UInt64(bytes.count))
    }

    /// The two halves of a 128-bit product, folded: one multiplication mixes all 64 bits.
    private static func step(_ state: UInt64, _ word: UInt64) -> UInt64 {
        let product = (state ^ word).multipliedFullWidth(by: 0x9e37_79b9_7f4a_7c15)
        return (product.high ^ product.low) &+ 0xd1b5_4a32_d192_ed03
    }
}
