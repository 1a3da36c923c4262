import RoostModel
import Testing

@Suite("UUIDs")
struct UUID128Tests {
    /// Hands out the words it was given, then zeros.
    private struct Fixed: RandomNumberGenerator {
        var words: [UInt64]
        mutating func next() -> UInt64 { words.isEmpty ? 0 : words.removeFirst() }
    }

    @Test("Text in any case is read, and written in lower case")
    func text() throws {
        let text = "00112233-4455-6677-8899-aabbccddeeff"
        let uuid = UUID128(high: 0x0011_2233_4455_6677, low: 0x8899_aabb_ccdd_eeff)
        #expect(UUID128(text) == uuid)
        #expect(UUID128(text.uppercased()) == uuid)
        #expect(UUID128("00112233-4455-6677-8899-AAbbCCddEEff") == uuid)
        #expect(uuid.description == text)
        #expect(UUID128(utf8: Array(text.utf8)) == uuid)
        #expect(UserID(text)?.description == text)
    }

    @Test(
        "Anything else is refused",
        arguments: [
            "", "0", "00112233445566778899aabbccddeeff", "{00112233-4455-6677-8899-aabbccddeeff}",
            "00112233-4455-6677-8899-aabbccddeef", "00112233-4455-6677-8899-aabbccddeeff0",
            "00112233-4455-6677-8899-aabbccddeefg", "0011223-34455-6677-8899-aabbccddeeff",
            "00112233-4455-6677-8899_aabbccddeeff", " 00112233-4455-6677-8899-aabbccddeeff",
            "00112233-4455-6677-8899-aabbccddeéf", "--------", "00112233--455-6677-8899-aabbccddeeff",
        ])
    func refused(text: String) { #expect(UUID128(text) == nil) }

    @Test("Bytes stand in network order")
    func bytes() {
        let uuid = UUID128(high: 0x0011_2233_4455_6677, low: 0x8899_aabb_ccdd_eeff)
        #expect(uuid.bytes == (0...15).map { UInt8($0 * 0x11) })
    }

    @Test("Order is that of the bytes")
    func order() {
        let ascending = [
            UUID128.zero, UUID128(high: 0, low: 1), UUID128(high: 0, low: .max), UUID128(high: 1, low: 0),
            UUID128(high: 1 << 63, low: 0), UUID128(high: .max, low: .max),
        ]
        for (position, uuid) in ascending.enumerated() {
            for other in ascending[..<position] {
                #expect(other < uuid)
                #expect(!(uuid < other))
                #expect(other.description < uuid.description)
            }
        }
    }

    @Test("Version 5: the example of RFC 9562, appendix A.4, and others from another implementation")
    func version5() {
        let dns = UUID128(high: 0x6ba7_b810_9dad_11d1, low: 0x80b4_00c0_4fd4_30c8)
        let url = UUID128(high: 0x6ba7_b811_9dad_11d1, low: 0x80b4_00c0_4fd4_30c8)
        #expect(
            UUID128.version5(namespace: dns, name: "www.example.com".utf8).description
                == "2ed6657d-e927-568b-95e1-2665a8aea6a2")
        #expect(
            UUID128.version5(namespace: dns, name: "python.org".utf8).description
                == "886313e1-3b8a-5372-9b90-0c9aee199e5d")
        #expect(UUID128.version5(namespace: url, name: []).description == "1b4db7eb-4057-5ddf-91e0-36dec72071f5")
    }

    @Test("Version 4 and 7 carry their version and variant, and all other bits they were given")
    func random() {
        var zeros = Fixed(words: [])
        #expect(UUID128.version4(using: &zeros).description == "00000000-0000-4000-8000-000000000000")
        var ones = Fixed(words: [.max, .max])
        #expect(UUID128.version4(using: &ones).description == "ffffffff-ffff-4fff-bfff-ffffffffffff")
        // RFC 9562, appendix A.6.
        var example = Fixed(words: [0xcc3, 0x18c4_dc0c_0c07_398f])
        #expect(
            UUID128.version7(milliseconds: 0x017f_22e2_79b0, using: &example).description
                == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
    }

    @Test("Version 7 sorts by time")
    func sorted() {
        var generator = SeededGenerator(seed: 1)
        let uuids = (0..<100).map { UUID128.version7(milliseconds: 1_700_000_000_000 + $0, using: &generator) }
        #expect(uuids == uuids.sorted())
    }
}
