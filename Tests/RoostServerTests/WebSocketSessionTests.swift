import NIOConcurrencyHelpers
import NIOCore
import RoostModel
import RoostNode
import Testing

@testable import RoostServer

@Suite(.timeLimit(.minutes(5))) struct WebSocketAdmissionTests {
    private func refusal(
        _ server: TestServer, user: UserID, query: String = "?device_id=d", protocols: String? = nil,
        headers: String = "", version: Int = 13
    ) async throws -> TestResponse {
        let connection = try await server.connect()
        try await connection.send(
            TestUpgrade.request(user: "\(user)", query: query, protocols: protocols, headers: headers, version: version)
        )
        return try await connection.response()
    }

    @Test func theProtocolIsAnswered() async throws {
        try await TestServer.run { server in
            let alice = try await server.user("alice")
            func open(_ protocols: String?, _ headers: String = "", _ query: String = "?device_id=d") async throws
                -> (TestResponse, SessionRequest)
            {
                let connection = try await server.connect()
                try await connection.send(
                    TestUpgrade.request(user: "\(alice.id)", query: query, protocols: protocols, headers: headers))
                let response = try await connection.response()
                let session = try await server.node.sessions.next()
                return (response, session.request)
            }
            let (modern, request) = try await open("roost.v1, \(alice.token)")
            #expect(modern.status == 101)
            #expect(modern.headers["sec-websocket-protocol"] == "roost.v1")
            // The key and answer of RFC 6455, section 1.3.
            #expect(modern.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            #expect(request.modern && request.clientAcks)
            #expect(request.user == alice.id && request.device.text == "d" && request.start == .all)
            #expect(request.tokenExpires == 1_700_086_400)

            let (raw, old) = try await open(alice.token)
            #expect(raw.headers["sec-websocket-protocol"] == alice.token)
            #expect(!old.modern && !old.clientAcks)

            let bearer = "authorization: Bearer \(alice.token)\r\n"
            let (header, plain) = try await open(nil, bearer, "?ack=client&start=now&device_id=a.B_c-9")
            #expect(header.status == 101)
            #expect(header.headers["sec-websocket-protocol"] == nil)
            #expect(!plain.modern && plain.clientAcks && plain.start == .now)

            let (both, auto) = try await open("roost.v1", bearer, "?device_id=d&ack=auto&start=1700000000.5")
            #expect(both.headers["sec-websocket-protocol"] == "roost.v1")
            #expect(auto.modern && !auto.clientAcks && auto.start == .at(1_700_000_000.5))
        }
    }

    @Test func refusalsAreHTTP() async throws {
        try await TestServer.run { server in
            let alice = try await server.user("alice")
            let bob = try await server.user("bob")
            #expect(try await refusal(server, user: alice.id).status == 401)
            #expect(try await refusal(server, user: alice.id, protocols: "a.b.c").status == 401)
            #expect(try await refusal(server, user: bob.id, protocols: alice.token).status == 403)
            for query in [
                "", "?device_id=", "?device_id=a%20b", "?device_id=d&start=soon", "?device_id=d&start=-1",
                "?device_id=d&start=nan", "?device_id=d&ack=never", "?device_id=" + String(repeating: "a", count: 65),
            ] {
                let response = try await refusal(server, user: alice.id, query: query, protocols: alice.token)
                #expect(response.status == 400, "\(query)")
                #expect(response.headers["content-type"] == "application/problem+json")
            }
            let version = try await refusal(server, user: alice.id, protocols: alice.token, version: 8)
            #expect(version.status == 426)
            #expect(version.headers["sec-websocket-version"] == "13")

            let plain = try await server.connect()
            #expect(try await plain.call("GET", "/api/ws/\(alice.id)", token: alice.token).status == 426)
            #expect(try await plain.call("GET", "/api/ws/x?device_id=d", token: alice.token).status == 426)
        }
    }

    @Test(
        arguments: [
            (SessionRefusal.disabled, 401, nil), (.tooManyDevices, 429, "30"), (.unavailable, 503, "1"),
            (.draining, 503, "1"), (.tooMany(afterMilliseconds: 12_001), 503, "13"),
        ] as [(SessionRefusal, Int, String?)])
    func theNodesRefusalsAreToldBeforeTheUpgrade(_ refusal: SessionRefusal, _ status: Int, _ retryAfter: String?)
        async throws
    {
        try await TestServer.run { server in
            let alice = try await server.user("alice")
            server.node.state.withLockedValue { $0.refusal = refusal }
            let response = try await self.refusal(server, user: alice.id, protocols: alice.token)
            #expect(response.status == status)
            #expect(response.headers["retry-after"] == retryAfter)
            #expect(response.headers["connection"] == "close")
        }
    }

    /// The end of what a client sends, right behind its handshake, comes before there is a session to be told.
    @Test func anEndBehindTheHandshakeLeavesNoSession() async throws {
        // The client that says no more is told nothing, however long the test has to wait for a processor.
        let node = FakeNode { $0.timing.httpTimeoutMilliseconds = 300_000 }
        var limits = HTTPLimits(headMilliseconds: 300_000, maxBody: 1_024)
        limits.answerMilliseconds = 300_000
        try await TestServer.run(node: node, limits: limits) { server in
            let alice = try await server.user("alice")
            let promise = server.core.makePromise(of: Void.self)
            server.node.gate.withLockedValue { $0 = promise.futureResult }
            let connection = try await server.connect()
            try await connection.send(TestUpgrade.request(user: "\(alice.id)", protocols: alice.token))
            try await connection.endOutput()
            let session = try await server.node.sessions.next()
            // What comes after it on another connection has passed the loop behind it.
            #expect(try await server.connect().call("GET", "/api/nothing").status == 404)
            promise.succeed()
            #expect(try await session.next() == .abandoned)
            let said = await connection.readToEnd()
            #expect(said.readableBytes == 0, "\(String(buffer: said))")
        }
    }

    @Test func whoGoesDuringTheAdmissionIsAbandoned() async throws {
        try await TestServer.run { server in
            let alice = try await server.user("alice")
            let promise = server.core.makePromise(of: Void.self)
            server.node.gate.withLockedValue { $0 = promise.futureResult }
            let connection = try await server.connect()
            try await connection.send(TestUpgrade.request(user: "\(alice.id)", protocols: alice.token))
            let session = try await server.node.sessions.next()
            try await connection.reset()
            while server.client.openConnections > 0 {
                try Task.checkCancellation()
                await Task.yield()
            }
            promise.succeed()
            #expect(try await session.next() == .abandoned)
        }
    }
}

@Suite(.timeLimit(.minutes(5))) struct WebSocketSessionTests {
    private func open(
        _ server: TestServer, with first: [UInt8] = []
    ) async throws -> (connection: TestConnection, session: FakeSession) {
        let alice = try await server.user("alice")
        let connection = try await server.connect()
        var request = ByteBuffer(
            string: TestUpgrade.request(user: "\(alice.id)", protocols: "roost.v1, \(alice.token)"))
        request.writeBytes(first)
        try await connection.send(request)
        let session = try await server.node.sessions.next()
        #expect(try await connection.response().status == 101)
        #expect(try await session.next() == .attached)
        #expect(try await connection.frame().text == #"{"op":"welcome"}"#)
        return (connection, session)
    }

    @Test(arguments: [false, true])
    func framesGoBothWaysInBatches(_ separateCore: Bool) async throws {
        try await TestServer.run(separateCore: separateCore) { server in
            let (connection, session) = try await open(server)
            try await connection.send(
                frame: TestFrame.text("a") + TestFrame.text("é") + TestFrame.make(.pong, [112])
                    + TestFrame.text(""))
            #expect(try await session.next() == .received(["a", "é"]))
            #expect(try await session.next() == .pong("p"))
            #expect(try await session.next() == .received([""]))

            let long = String(repeating: "x", count: 70_000)
            server.core.execute {
                session.socket?.write([ByteBuffer(string: "1"), ByteBuffer(string: long), ByteBuffer(string: "3")])
                session.socket?.ping(ByteBuffer(string: "hello"))
            }
            #expect(try await connection.frame().text == "1")
            #expect(try await connection.frame().text == long)
            #expect(try await connection.frame().text == "3")
            #expect(try await connection.frame() == ServerFrameSeen(opcode: 9, payload: Array("hello".utf8)))

            try await connection.send(frame: TestFrame.make(.ping, Array("you".utf8)))
            #expect(try await connection.frame() == ServerFrameSeen(opcode: 10, payload: Array("you".utf8)))
        }
    }

    @Test(arguments: [false, true])
    func framesSentWithTheRequestAreNotLost(_ separateCore: Bool) async throws {
        try await TestServer.run(separateCore: separateCore) { server in
            let (connection, session) = try await open(server, with: TestFrame.text("early") + TestFrame.text("bird"))
            #expect(try await session.next() == .received(["early", "bird"]))
            await connection.close()
            #expect(try await session.next() == .closed)
        }
    }

    @Test(
        arguments: [
            (TestFrame.make(.text, [97], masked: false), 1002), ([0xc1, 0x80, 0, 0, 0, 0], 1002),
            ([0x83, 0x80, 0, 0, 0, 0], 1002), (TestFrame.make(.ping, [], isFinal: false), 1002),
            (TestFrame.make(.binary, [1]), 1003), (TestFrame.make(.text, [0xff]), 1007),
            (TestFrame.make(.text, Array(repeating: 97, count: 65_537)), 1009),
        ] as [([UInt8], Int)])
    func brokenRulesEndTheSession(_ bytes: [UInt8], _ code: Int) async throws {
        try await TestServer.run { server in
            let (connection, session) = try await open(server)
            try await connection.send(frame: TestFrame.text("before") + bytes)
            #expect(try await session.next() == .received(["before"]))
            #expect(try await connection.frame().closeCode == code)
            try? await connection.send(frame: TestFrame.make(.close, [UInt8(code >> 8), UInt8(code & 0xff)]))
            await connection.close()
            #expect(try await session.next() == .closed)
        }
    }

    /// Nothing that such a client sends is understood any more, its close frame neither: our end is closed at once.
    @Test func aBrokenSessionIsNotWaitedFor() async throws {
        try await TestServer.run { server in
            // The best of a few, since a machine may stall.
            var best = Duration.seconds(60)
            for _ in 0..<10 where best > .milliseconds(100) {
                let (connection, session) = try await open(server)
                let clock = ContinuousClock()
                let start = clock.now
                try await connection.send(frame: TestFrame.make(.binary, [1]))
                #expect(try await connection.frame().closeCode == 1003)
                // A client that does as it should closes when the server's end is there.
                #expect(await connection.readToEnd().readableBytes == 0)
                #expect(try await session.next() == .closed)
                best = min(best, clock.now - start)
            }
            #expect(best < .milliseconds(450))
        }
    }

    @Test func theClientCloses() async throws {
        try await TestServer.run { server in
            let (connection, session) = try await open(server)
            try await connection.send(
                frame: TestFrame.text("last") + TestFrame.make(.close, [0x03, 0xe8]) + TestFrame.text("too late"))
            #expect(try await session.next() == .received(["last"]))
            #expect(try await connection.frame().closeCode == 1000)
            #expect(await connection.readToEnd().readableBytes == 0)
            #expect(try await session.next() == .closed)
        }
    }

    @Test func theServerCloses() async throws {
        try await TestServer.run { server in
            let (connection, session) = try await open(server)
            server.core.execute {
                session.socket?.close(code: 4409, reason: String(repeating: "é", count: 100))
                // Nothing follows a close frame.
                session.socket?.write([ByteBuffer(string: "late")])
                session.socket?.close(code: 1000, reason: "")
            }
            let close = try await connection.frame()
            #expect(close.closeCode == 4409)
            #expect(close.payload.count == 2 + 122)
            try await connection.send(frame: TestFrame.text("ignored") + TestFrame.make(.close, [0x11, 0x39]))
            #expect(await connection.readToEnd().readableBytes == 0)
            #expect(try await session.next() == .closed)
        }
    }

    @Test func aClientThatDoesNotAnswerACloseIsNotWaitedFor() async throws {
        try await TestServer.run { server in
            let (connection, session) = try await open(server)
            server.core.execute { session.socket?.close(code: 1012, reason: "draining") }
            #expect(try await connection.frame().closeCode == 1012)
            #expect(await connection.readToEnd().readableBytes == 0)
            #expect(try await session.next() == .closed)
        }
    }

    @Test func aSocketThatIsNotReadIsNotWritable() async throws {
        try await TestServer.run { server in
            let (connection, session) = try await open(server)
            // Nobody reads: the kernel's buffers fill, then ours.
            let chunk = ByteBuffer(string: String(repeating: "x", count: 60_000))
            try await connection.stopReading()
            let written = NIOLockedValueBox(0)
            @Sendable func fill() {
                while session.socket?.isWritable == true {
                    session.socket?.write([chunk])
                    written.withLockedValue { $0 += 1 }
                }
            }
            server.core.execute { fill() }
            #expect(try await session.next() == .writabilityChanged)
            try await connection.startReading()
            #expect(try await session.next() == .writabilityChanged)
            #expect(written.withLockedValue { $0 } > 1)
        }
    }
}
