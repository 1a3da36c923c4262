/// CRC-32C (Castagnoli; RFC 3720, appendix B.4), eight bytes a step by eight tables (Kounavis and Berry, "A Systematic
/// Approach to Building High Performance Software-based CRC Generators", 2005).
package struct CRC32C: Sendable {
    /// Table k holds the remainder of each byte followed by k zero bytes.
    private static let tables: [UInt32] = makeTables()
    private var state: UInt32 = .max

    package init() {}

    package var value: UInt32 { ~state }

    /// Adds the eight bytes of a word, least significant first.
    package mutating func add(_ word: UInt64) {
        state = Self.tables.withUnsafeBufferPointer { Self.step(state, word, $0) }
    }

    package mutating func add(_ bytes: UnsafeRawBufferPointer) {
        var crc = state
        Self.tables.withUnsafeBufferPointer { tables in
            var offset = 0
            while offset + 8 <= bytes.count {
                let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                crc = Self.step(crc, word, tables)
                offset += 8
            }
            while offset < bytes.count {
                crc = crc >> 8 ^ tables[Int(UInt8(truncatingIfNeeded: crc) ^ bytes[offset])]
                offset += 1
            }
        }
        state = crc
    }

    @inline(__always)
    private static func step(_ crc: UInt32, _ word: UInt64, _ tables: UnsafeBufferPointer<UInt32>) -> UInt32 {
        let mixed = word ^ UInt64(crc)
        var result: UInt32 = 0
        for byte in 0..<8 {
            result ^= tables[(7 - byte) << 8 | Int(UInt8(truncatingIfNeeded: mixed >> UInt64(byte * 8)))]
        }
        return result
    }

    private static func makeTables() -> [UInt32] {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var remainder = UInt32(byte)
            for _ in 0..<8 { remainder = remainder & 1 == 1 ? remainder >> 1 ^ 0x82f6_3b78 : remainder >> 1 }
            tables[byte] = remainder
        }
        for table in 1..<8 {
            for byte in 0..<256 {
                let shorter = tables[(table - 1) << 8 | byte]
                tables[table << 8 | byte] = shorter >> 8 ^ tables[Int(UInt8(truncatingIfNeeded: shorter))]
            }
        }
        return tables
    }
}
