import RoostStorage
import Testing

@Suite struct CRC32CTests {
    /// RFC 3720, appendix B.4.
    @Test func knownValues() {
        #expect(crc([UInt8](repeating: 0, count: 32)) == 0x8a91_36aa)
        #expect(crc([UInt8](repeating: 0xff, count: 32)) == 0x62a8_ab43)
        #expect(crc((0..<32).map { UInt8($0) }) == 0x46dd_794e)
        #expect(crc((0..<32).reversed().map { UInt8($0) }) == 0x113f_db5c)
        #expect(crc(Array("123456789".utf8)) == 0xe306_9283)
        #expect(crc([]) == 0)
    }

    @Test func partsMakeTheWhole() {
        let bytes = (0..<100).map { UInt8(truncatingIfNeeded: $0 &* 37) }
        for split in 0...bytes.count {
            var parts = CRC32C()
            bytes[..<split].withUnsafeBytes { parts.add($0) }
            bytes[split...].withUnsafeBytes { parts.add($0) }
            #expect(parts.value == crc(bytes))
        }
    }

    @Test func aWordIsItsBytes() {
        var word = CRC32C()
        word.add(0x0807_0605_0403_0201)
        #expect(word.value == crc([1, 2, 3, 4, 5, 6, 7, 8]))
    }

    private func crc(_ bytes: [UInt8]) -> UInt32 {
        var crc = CRC32C()
        bytes.withUnsafeBytes { crc.add($0) }
        return crc.value
    }
}
