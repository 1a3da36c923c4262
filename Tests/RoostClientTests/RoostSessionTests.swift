import NIOCore
import NIOHTTP1
import RoostModel
import RoostProtocol
import Testing

@testable import RoostClient

/// The library's session against a real socket.
@Suite(.timeLimit(.minutes(5))) struct RoostSessionTests {
    private let target = SendTarget.conversation(MachineHarness.conversation)
    private let token = Identity.token(AccessToken(token: "t.o.k", userID: UserID(.zero), expiresIn: 60))

    /// Runs `body` with a session whose servers are the test's, in order.
    private func with(
        _ servers: [TestServer], _ change: (inout SessionOptions) -> Void = { _ in },
        _ body: (RoostSession) async throws -> Void
    ) async throws {
        let client = try RoostClient(servers: servers.map(\.url))
        var options = SessionOptions()
        options.beginsWithFirstServer = true
        options.minBackoff = 4
        options.ackDelay = 1
        change(&options)
        let session = await client.connect(token, device: DeviceID(validated: "phone"), options: options)
        do {
            try await body(session)
        } catch {
            await session.close()
            await client.shutdown()
            for server in servers { await server.close() }
            throw error
        }
        await session.close()
        await client.shutdown()
        for server in servers { await server.close() }
    }

    @Test func asksForTheSessionAndSends() async throws {
        let server = try await TestServer()
        try await with([server]) { session in
            let connection = try await server.connection()
            #expect(connection.head.uri == "/api/ws/\(UserID(.zero))?device_id=phone&start=all")
            #expect(connection.head.headers.first(name: "sec-websocket-protocol") == "roost.v1, t.o.k")
            connection.welcome()
            async let accepted = session.send("hello \"you\"", to: target)
            let send = try #require(await connection.nextSend())
            #expect(send.content == ByteBuffer(string: #""hello \"you\"""#))
            #expect(send.conversation == MachineHarness.conversation)
            connection.accept(send, seq: 17)
            #expect(try await accepted.seq == 17)
        }
    }

    @Test func goesToAnotherNodeAndSendsAgainWithTheSameId() async throws {
        let first = try await TestServer()
        let second = try await TestServer()
        try await with([first, second]) { session in
            let before = try await first.connection()
            before.welcome()
            let tickets = [
                await session.submit(content: ByteBuffer(string: "1"), to: target),
                await session.submit(content: ByteBuffer(string: "2"), to: target),
                await session.submit(content: ByteBuffer(string: "3"), to: target),
            ]
            let one = try #require(await before.nextSend())
            #expect(await before.nextSend()?.id == tickets[1].id)
            before.accept(one, seq: 1)
            #expect(try await tickets[0].accepted().seq == 1)
            before.close(code: 1012)

            let after = try await second.connection()
            after.welcome()
            let two = try #require(await after.nextSend())
            let three = try #require(await after.nextSend())
            #expect([two.id, three.id] == [tickets[1].id, tickets[2].id])
            after.accept(two, seq: 2)
            after.accept(three, seq: 3)
            #expect(try await tickets[2].accepted().seq == 3)
        }
    }

    @Test func survivesABrokenConnectionAndANodeThatIsGone() async throws {
        let gone = try await TestServer()
        let alive = try await TestServer()
        try await with([gone, alive]) { session in
            try await gone.connection().drop()
            await gone.close()
            for _ in 0..<3 {
                let connection = try await alive.connection()
                connection.welcome()
                connection.drop()
            }
            let connection = try await alive.connection()
            connection.welcome()
            async let accepted = session.send("x", to: target)
            connection.accept(try #require(await connection.nextSend()), seq: 1)
            #expect(try await accepted.seq == 1)
        }
    }

    @Test func filtersWhatComesTwiceAndAcknowledgesAfterTheConsumer() async throws {
        let server = try await TestServer()
        try await with([server]) { session in
            let first = try await server.connection()
            first.welcome()
            for seq in 1...3 as ClosedRange<UInt64> { first.message(seq, seq: seq) }
            let messages = session.messages.makeAsyncIterator()
            #expect(try await messages.next()?.text == "m1")
            #expect(try await messages.next()?.seq == 2)
            #expect(await first.nextAck() == 1)
            first.drop()

            let second = try await server.connection()
            second.welcome()
            for seq in 2...4 as ClosedRange<UInt64> { second.message(seq - 1, seq: seq) }
            #expect(try await messages.next()?.seq == 3)
            #expect(await second.nextAck() == 1)
            #expect(try await messages.next()?.seq == 4)
            #expect(await second.nextAck() == 2)
        }
    }

    @Test func aConsumerThatDoesNotComeIsNotAcknowledgedFor() async throws {
        let server = try await TestServer()
        try await with([server]) { session in
            let connection = try await server.connection()
            connection.welcome(window: 4)
            for seq in 1...4 as ClosedRange<UInt64> { connection.message(seq, seq: seq) }
            // A round trip behind the messages: had they been acknowledged, it would have come before.
            let ticket = await session.submit(content: ByteBuffer(string: "1"), to: target)
            guard case .send(let send)? = await connection.frame() else {
                return #expect(Bool(false), "something before the send")
            }
            connection.accept(send, seq: 5)
            _ = try await ticket.accepted()
            let second = await session.submit(content: ByteBuffer(string: "2"), to: target)
            guard case .send(let again)? = await connection.frame() else {
                return #expect(Bool(false), "something before the send")
            }
            #expect(again.id == second.id)
            connection.accept(again, seq: 6)
            let messages = session.messages.makeAsyncIterator()
            for seq in 1...4 as ClosedRange<UInt64> { #expect(try await messages.next()?.seq == seq) }
        }
    }

    @Test func endsWithTheReason() async throws {
        let server = try await TestServer()
        try await with([server]) { session in
            let connection = try await server.connection()
            connection.welcome()
            connection.close(code: 4409)
            let messages = session.messages.makeAsyncIterator()
            let error = await #expect(throws: RoostError.self) { try await messages.next() }
            #expect(error?.code == .replaced)
            let late = await #expect(throws: RoostError.self) { try await session.send("x", to: target) }
            #expect(late?.code == .closed)
        }
    }

    @Test func aTokenThatIsRefusedEndsIt() async throws {
        let server = try await TestServer(refusingWith: .unauthorized)
        try await with([server]) { session in
            let messages = session.messages.makeAsyncIterator()
            let error = await #expect(throws: RoostError.self) { try await messages.next() }
            #expect(error?.code == .unauthorized)
        }
    }

    @Test func closingEndsTheSequence() async throws {
        let server = try await TestServer()
        try await with([server]) { session in
            let connection = try await server.connection()
            connection.welcome()
            async let message = session.messages.makeAsyncIterator().next()
            await session.close()
            #expect(try await message == nil)
            #expect(await connection.frame() == nil)
        }
    }

    @Test func cancellingTheConsumerDoesNotEndTheSession() async throws {
        let server = try await TestServer()
        try await with([server]) { session in
            let connection = try await server.connection()
            connection.welcome()
            let message = try await withThrowingTaskGroup(of: Message?.self) { group in
                group.addTask { try await session.messages.makeAsyncIterator().next() }
                group.cancelAll()
                return try await group.next() ?? nil
            }
            #expect(message == nil)
            connection.message(1, seq: 1)
            #expect(try await session.messages.makeAsyncIterator().next()?.seq == 1)
        }
    }
}
