import RoostCluster
import Testing

@Suite struct TokenBucketTests {
    private static let second: UInt64 = 1_000_000_000

    @Test func aBurstThenTheRate() throws {
        let limit = try #require(RateLimit(10, perSeconds: 1, atOnce: 2))
        var bucket = TokenBucket()
        let start = 50 * Self.second
        for _ in 0..<20 { #expect(bucket.take(limit, now: start) == nil) }
        #expect(bucket.take(limit, now: start) == Self.second / 10)
        // What is refused takes nothing.
        #expect(bucket.take(limit, now: start) == Self.second / 10)
        #expect(bucket.take(limit, now: start + Self.second / 10) == nil)
        #expect(bucket.take(limit, now: start + Self.second / 10) == Self.second / 10)
        var letThrough = 0
        for step in 0..<1_000 where bucket.take(limit, now: start + Self.second + UInt64(step) * 10_000_000) == nil {
            letThrough += 1
        }
        #expect((100...120).contains(letThrough), "\(letThrough) in 10 s")
    }

    @Test func anHonestClientNeverWaitsTwice() throws {
        let limit = try #require(RateLimit(3, perSeconds: 60))
        var bucket = TokenBucket()
        var now = Self.second
        for _ in 0..<50 {
            if let wait = bucket.take(limit, now: now) {
                now += wait
                #expect(bucket.take(limit, now: now) == nil)
            }
        }
    }

    @Test func zeroIsNoLimit() {
        #expect(RateLimit(0) == nil)
        var table = BucketTable<Int>(RateLimit(0))
        for _ in 0..<1_000 { #expect(table.take(1, now: 1) == nil) }
        #expect(table.count == 0 && table.wait(1, now: 1) == nil)
    }

    @Test func keysDoNotShare() {
        var table = BucketTable<Int>(RateLimit(1))
        #expect(table.take(1, now: Self.second) == nil && table.take(1, now: Self.second) == Self.second)
        #expect(table.wait(1, now: Self.second) == Self.second && table.wait(2, now: Self.second) == nil)
        #expect(table.take(2, now: Self.second) == nil)
    }

    /// Keys that are made up by the million take no memory, and get no more than one.
    @Test func atTheBoundNewKeysShareOneBucket() {
        var table = BucketTable<Int>(RateLimit(1), capacity: 8)
        for key in 0..<8 { #expect(table.take(key, now: Self.second) == nil) }
        #expect(table.take(100, now: Self.second) == nil)
        #expect(table.take(101, now: Self.second) != nil && table.wait(102, now: Self.second) != nil)
        #expect(table.count == 8)
        // Those there keep theirs.
        #expect(table.take(3, now: 2 * Self.second) == nil)
        // Full ones make room.
        #expect(table.take(103, now: 4 * Self.second) == nil)
        #expect(table.count == 1)
    }
}
