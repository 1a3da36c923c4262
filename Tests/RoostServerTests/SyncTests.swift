import NIOConcurrencyHelpers
import NIOCore
import RoostModel
import RoostNode
import RoostProtocol
import Testing

@testable import RoostServer

@Suite(.timeLimit(.minutes(5))) struct SyncTests {
    private static func message(_ conversation: UInt64, _ seq: UInt64) -> Message {
        Message(
            id: MessageID(UUID128(high: conversation, low: seq)),
            conversation: ConversationID(UUID128(high: 0, low: conversation)), seq: seq,
            sender: UserID(foldedUsername: "bob"), originDevice: DeviceID(validated: "d"), type: "text",
            content: ByteBuffer(string: "1"), sentAt: Int64(seq))
    }

    @Test func cursorsReadBack() throws {
        var cursor = SyncCursor(partitions: 3)
        cursor[0] = 127
        cursor[1] = 128
        cursor[2] = UInt64(Int64.max)
        #expect(SyncCursor(cursor.text, partitions: 3) == cursor)
        #expect(SyncCursor(cursor.text, partitions: 4) == nil)
        #expect(SyncCursor(cursor.text, partitions: 2) == nil)
        for wrong in ["", "A", "AQ", "!!", "AgAAAA", cursor.text + "A", "Af" + String(repeating: "_", count: 500)] {
            #expect(SyncCursor(wrong, partitions: 3) == nil, "\(wrong)")
        }
    }

    @Test func theLimitLeavesWholePartitionsForLater() throws {
        let answers: [ReadResponse] = [
            .synced(messages: [], through: 10),
            .synced(messages: [Self.message(1, 1), Self.message(1, 2)], through: 20),
            .synced(messages: [Self.message(2, 1), Self.message(2, 2)], through: 30),
            .synced(messages: [Self.message(3, 1)], through: 40),
            .synced(messages: [], through: 50),
        ]
        var cursor = SyncCursor(partitions: 5)
        let first = try SyncRoutes.collect(answers, limit: 3, into: &cursor)
        #expect(first.map(\.seq) == [1, 2])
        #expect(cursor.covered == [10, 20, 0, 0, 50])
        var everything = SyncCursor(partitions: 5)
        #expect(try SyncRoutes.collect(answers, limit: 5, into: &everything).count == 5)
        #expect(everything.covered == [10, 20, 30, 40, 50])
        // The first that has any always fits.
        var least = SyncCursor(partitions: 5)
        #expect(try SyncRoutes.collect(answers, limit: 2, into: &least).count == 2)
        #expect(throws: Problem.self) { try SyncRoutes.collect([.rejected(.unavailable)], limit: 1, into: &least) }
    }

    @Test(arguments: [
        ("0", 0), ("1700000000", 1_700_000_000_000_000), ("1700000000.123456", 1_700_000_000_123_456),
        ("1795375687.480675", 1_795_375_687_480_675), ("1700000000.9999995", 1_700_000_001_000_000),
        ("-1.5", -1_500_000), ("1e3", 1_000_000_000),
    ])
    func sinceIsExactToTheMicrosecond(_ text: String, _ expected: Int64) throws {
        #expect(try SyncRoutes.since(text) == expected)
    }

    @Test(arguments: ["x", "nan", "inf", "1e300", "1,5"])
    func otherTimesAreRefused(_ text: String) {
        #expect(throws: Problem.self) { try SyncRoutes.since(text) }
    }

    @Test func resultsAreGroupedAndTheCursorGoesOn() async throws {
        try await TestServer.run { server in
            let alice = try await server.user("alice")
            let seen = NIOLockedValueBox<[PartitionID: ReadRequest]>([:])
            server.node.state.withLockedValue {
                $0.onReadAll = { partition, request in
                    seen.withLockedValue { $0[partition] = request }
                    guard case .sync(_, _, let after, _, _) = request else { return nil }
                    guard partition == 1, after == 0 else { return .synced(messages: [], through: 7) }
                    return .synced(
                        messages: [Self.message(2, 1), Self.message(1, 1), Self.message(2, 2)], through: 9)
                }
            }
            let connection = try await server.connect()
            let path = "/api/sync?user_id=\(alice.id)&since=1.5"
            let first = try await connection.call("GET", path, token: alice.token)
            let groups = first.object["synced"] as? [[String: Any]] ?? []
            #expect(groups.compactMap { $0["conversation_id"] as? String }.count == 2)
            let seqs = groups.map { ($0["messages"] as? [[String: Any]] ?? []).compactMap { $0["seq"] as? Int } }
            #expect(seqs == [[1], [1, 2]])
            let asked = seen.withLockedValue { $0[1] }
            #expect(asked == .sync(user: alice.id, since: 1_500_000, afterIndex: 0, conversations: [], limit: 500))

            let cursor = try #require(first.object["next_cursor"] as? String)
            let conversation = UUID128(high: 0, low: 2)
            let second = try await connection.call(
                "GET", "\(path)&limit=10&conversations=\(conversation)&cursor=\(cursor)", token: alice.token)
            #expect(second.object["synced"] as? [String] == [])
            let then = seen.withLockedValue { $0[1] }
            #expect(
                then
                    == .sync(
                        user: alice.id, since: 1_500_000, afterIndex: 9,
                        conversations: [ConversationID(conversation)], limit: 10))
            #expect(try await connection.call("GET", path + "&cursor=zzz", token: alice.token).status == 400)
            #expect(try await connection.call("GET", path + "&limit=1001", token: alice.token).status == 400)
            let foreign = "/api/sync?user_id=\(UserID(foldedUsername: "bob"))"
            #expect(try await connection.call("GET", foreign, token: alice.token).status == 403)
        }
    }
}

@Suite struct TimestampTests {
    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000000Z"), (-1, "1969-12-31T23:59:59.999999Z"),
        (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
        (1_709_251_199_999_999, "2024-02-29T23:59:59.999999Z"),
        (4_107_542_400_000_001, "2100-03-01T00:00:00.000001Z"),
    ])
    func datesAreGregorian(_ microseconds: Int64, _ text: String) {
        #expect(Timestamps.rfc3339(microseconds) == text)
    }
}
