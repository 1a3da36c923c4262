import RoostModel
import Testing

/// Fixed values, computed by another implementation. They may never change: where a replica lies and what a digest on
/// the wire says depend on them.
@Suite("Stable hashes")
struct StableHashTests {
    @Test("SplitMix64's finaliser")
    func mix() {
        #expect(StableHash.mix(0) == 0xe220_a839_7b1d_cdaf)
        #expect(StableHash.mix(1) == 0x910a_2dec_8902_5cc1)
        #expect(StableHash.mix(0x9e37_79b9_7f4a_7c15) == 0x6e78_9e6a_a1b9_65f4)
        #expect(StableHash.mix(.max) == 0xe4d9_7177_1b65_2c20)
    }

    @Test("Texts and bytes")
    func texts() {
        #expect(StableHash.of("") == 0xc381_7c01_6ba4_ff30)
        #expect(StableHash.of("a") == 0x5f29_c2aa_dd9b_8527)
        #expect(StableHash.of("foobar") == 0x5df2_9541_3403_de4f)
        #expect(StableHash.of("node-1") == 0x94a9_d409_86da_123d)
        #expect(StableHash.of([UInt8](repeating: 0x61, count: 1)) == StableHash.of("a"))
    }

    @Test("UUIDs")
    func uuids() {
        #expect(StableHash.of(UUID128.zero) == 0xa706_dd2f_4d19_7e6f)
        #expect(
            StableHash.of(UUID128(high: 0x0011_2233_4455_6677, low: 0x8899_aabb_ccdd_eeff)) == 0x4524_0359_ba67_225a)
    }

    @Test("The seeded generator is SplitMix64: its published sequence for seed 1234567")
    func generator() {
        var generator = SeededGenerator(seed: 1_234_567)
        #expect(generator.next() == 6_457_827_717_110_365_317)
        #expect(generator.next() == 0x2c73_f084_5854_0fa5)
        #expect(generator.next() == 0x883e_bce5_a3f2_7c77)
    }
}
