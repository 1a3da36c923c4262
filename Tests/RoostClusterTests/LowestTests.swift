import RoostCluster
import RoostModel
import RoostProtocol
import Testing

@Suite struct LowestTests {
    @Test(arguments: 0..<60) func agreesWithSorting(_ round: Int) {
        var generator = SeededGenerator(seed: UInt64(round))
        let limit = round % 12
        let values = (0..<Int.random(in: 0...400, using: &generator)).map { _ in
            Int.random(in: 0...(round % 2 == 0 ? 20 : 10_000), using: &generator)
        }
        var lowest = Lowest<Int>(limit)
        for value in values { lowest.insert(value) }
        #expect(lowest.take() == Array(Set(values).sorted().prefix(limit)))
    }

    @Test func usersOnlineComeInPages() {
        var table = PresenceTable(me: "a", epoch: 1, limits: PresenceLimits())
        for number in [5, 1, 9, 3, 7] as [UInt64] {
            table.announce(presenceEntry(number), now: 0)
            table.announce(presenceEntry(number, "desk"), now: 0)
        }
        func page(_ after: UInt64?, _ limit: Int) -> [UserID] {
            table.users(after: after.map { presenceUser($0) }, limit: limit)
        }
        #expect(page(nil, 10) == [1, 3, 5, 7, 9].map { presenceUser($0) })
        #expect(page(nil, 2) == [1, 3].map { presenceUser($0) })
        #expect(page(3, 2) == [5, 7].map { presenceUser($0) })
        #expect(page(4, 2) == [5, 7].map { presenceUser($0) })
        #expect(page(9, 2).isEmpty)
    }
}
