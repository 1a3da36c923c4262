import RoostModel
import Testing

@Suite("Identifiers")
struct IdentifierTests {
    @Test("Ids derived from names never change: accounts would be lost")
    func derivedIDs() throws {
        let alice = UserID(foldedUsername: "alice")
        let bob = UserID(foldedUsername: "bob")
        #expect(alice.description == "c0e1f62d-392b-5303-9083-1abd633fe589")
        #expect(bob.description == "183851d1-5e40-56cd-99d1-e435bd09f7bc")
        #expect(UserID(foldedUsername: "zoë").description == "cbf9b171-0295-5ce4-87b8-b55de2a151a7")
        #expect(ConversationID(direct: alice, bob).description == "0d38f03a-47f2-5cc7-9ecd-4649b758d3b1")
        #expect(ConversationID(direct: bob, alice) == ConversationID(direct: alice, bob))
        #expect(ConversationID(direct: alice, alice).description == "090b59f2-1b76-52f7-8da5-243e797e64b6")
    }

    @Test(
        "Device names: 1 to 64 of letters, digits, dot, underscore, hyphen",
        arguments: ["a", "Z", "0", ".", "_", "-", "phone-1_A.b", String(repeating: "x", count: 64)])
    func goodDevices(text: String) { #expect(DeviceID(text)?.text == text) }

    @Test(
        "Other device names are refused",
        arguments: [
            "", " ", "a b", "a/b", "é", "a\u{0}", "a\n", "@", "[", "`", "{", ":", ",", "😀", "a\u{301}",
            String(repeating: "x", count: 65),
        ])
    func badDevices(text: String) { #expect(DeviceID(text) == nil) }

    @Test("Partitions of ids never change: every message would be in the wrong log")
    func partitions() throws {
        #expect(PartitionID(of: .zero, count: 32) == 15)
        #expect(PartitionID(of: UUID128(high: 0x0011_2233_4455_6677, low: 0x8899_aabb_ccdd_eeff), count: 32) == 26)
        #expect(PartitionID(of: UserID(foldedUsername: "alice").uuid, count: 32) == 15)
        #expect(PartitionID(of: .zero, count: 1) == 0)
        #expect(PartitionID(of: .zero, count: 0) == 0)
    }

    @Test("Ids are spread evenly over the partitions")
    func spread() {
        var generator = SeededGenerator(seed: 2)
        var counts = [Int](repeating: 0, count: 32)
        for _ in 0..<32_000 {
            counts[Int(PartitionID(of: UUID128.version4(using: &generator), count: 32).value)] += 1
        }
        // 1,000 each are expected, with a standard deviation of 31.
        #expect(counts.allSatisfy { (840...1_160).contains($0) })
    }

    @Test("Stores and sessions are written as 16 hex digits")
    func hex() {
        #expect(StoreID(0xab).description == "00000000000000ab")
        #expect(SessionID(.max).description == "ffffffffffffffff")
        #expect(SessionID(0).description == "0000000000000000")
    }

    @Test("A generation of a later term is newer, whatever its count")
    func generations() {
        let ascending = [
            Generation(term: 0, count: 0), Generation(term: 0, count: 9), Generation(term: 1, count: 0),
            Generation(term: 1, count: 1), Generation(term: 2, count: 0),
        ]
        #expect(ascending == ascending.reversed().sorted())
        #expect(!(ascending[0] < ascending[0]))
    }

    @Test("Names of types and roles lead back to them")
    func names() {
        for type in ConversationType.allCases { #expect(ConversationType(name: type.name) == type) }
        for action in MembershipAction.allCases { #expect(MembershipAction(name: action.name) == action) }
        for role in AccountRole.allCases { #expect(AccountRole(name: role.name) == role) }
        #expect(ConversationType(name: "Group") == nil)
        #expect(AccountRole(name: "owner") == nil)
    }

    @Test("Raw values never change: they are on disk")
    func rawValues() {
        #expect(ConversationType.allCases.map(\.rawValue) == [1, 2, 3, 4])
        #expect(ConversationType.allCases.map(\.name) == ["direct", "group", "channel", "self"])
        #expect(MemberRole.allCases.map(\.name) == ["member", "admin", "owner"])
        #expect(MemberRole.allCases.map(\.rawValue) == [0, 1, 2])
        #expect(AccountRole.allCases.map(\.rawValue) == [0, 1])
        #expect(MembershipAction.allCases.map(\.rawValue) == [1, 2, 3, 4])
    }
}
