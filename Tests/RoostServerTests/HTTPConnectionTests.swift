import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOPosix
import RoostNode
import Testing

@testable import RoostServer

/// What holds of every HTTP connection, whatever is asked.
@Suite(.timeLimit(.minutes(5))) struct HTTPConnectionTests {
    @Test func unknownPathsAndMethodsAreProblems() async throws {
        try await TestServer.run { server in
            let connection = try await server.connect()
            let missing = try await connection.call("GET", "/api/nothing")
            #expect(missing.status == 404)
            #expect(missing.headers["content-type"] == "application/problem+json")
            #expect(missing.object["type"] as? String == "about:blank")
            #expect(missing.object["title"] as? String == "Not Found")
            #expect(missing.object["status"] as? Int == 404)
            #expect(missing.object["detail"] is String)
            #expect(missing.code == "not_found")
            let wrong = try await connection.call("GET", "/api/login")
            #expect(wrong.status == 405)
            #expect(wrong.headers["allow"] == "POST")
        }
    }

    @Test func oneConnectionServesManyCallsInOrder() async throws {
        try await TestServer.run { server in
            let connection = try await server.connectAdmin()
            func get(_ path: String) -> String { "GET \(path) HTTP/1.1\r\nhost: x\r\n\r\n" }
            try await connection.send(get("/livez") + get("/nothing") + get("/readyz") + get("/livez"))
            var seen: [Int] = []
            for _ in 0..<4 { seen.append(try await connection.response().status) }
            #expect(seen == [200, 404, 200, 200])
        }
    }

    @Test(arguments: ["", "host: a\r\nhost: a\r\n"])
    func oneHostIsNeeded(_ headers: String) async throws {
        try await TestServer.run { server in
            let connection = try await server.connectAdmin()
            try await connection.send("GET /livez HTTP/1.1\r\n\(headers)\r\n")
            let response = try await connection.response()
            #expect(response.status == 400)
            #expect(response.code == "invalid_http")
            _ = await connection.readToEnd()
        }
    }

    @Test func headHasNoBody() async throws {
        try await TestServer.run { server in
            let connection = try await server.connectAdmin()
            let head = try await connection.call("HEAD", "/livez")
            #expect(head.status == 200)
            #expect(try await connection.call("GET", "/livez").object["status"] as? String == "ok")
        }
    }

    @Test(arguments: ["GET /livez HTTP/1.0\r\n\r\n", "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"])
    func aClientThatWantsItCloses(_ request: String) async throws {
        try await TestServer.run { server in
            let connection = try await server.connectAdmin()
            try await connection.send(request)
            let response = try await connection.response()
            #expect(response.status == 200)
            #expect(response.headers["connection"] == "close")
            #expect(await connection.readToEnd().readableBytes == 0)
        }
    }

    @Test func aBodyAboveTheBoundIsRefused() async throws {
        try await TestServer.run { server in
            let announced = try await server.connect()
            try await announced.send("POST /api/login HTTP/1.1\r\nhost: x\r\ncontent-length: 1025\r\n\r\n")
            #expect(try await announced.response().status == 413)
            _ = await announced.readToEnd()

            let chunked = try await server.connect()
            try await chunked.send("POST /api/login HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
            let chunk = "200\r\n" + String(repeating: "a", count: 512) + "\r\n"
            try await chunked.send(chunk + chunk + chunk)
            let response = try await chunked.response()
            #expect(response.status == 413)
            #expect(response.code == "too_large")
            _ = await chunked.readToEnd()

            let fits = try await server.connect()
            let body = String(repeating: " ", count: 1_024)
            #expect(try await fits.call("POST", "/api/login", body: body).status == 400)
        }
    }

    @Test(arguments: [
        "nonsense\r\n\r\n", "GET / HTTP/3.0\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}",
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\nx: " + String(repeating: "a", count: 40_000) + "\r\n\r\n",
    ])
    func whatIsNotHTTPEndsTheConnection(_ bytes: String) async throws {
        try await TestServer.run { server in
            let connection = try await server.connect()
            try await connection.send(bytes)
            let rest = String(buffer: await connection.readToEnd())
            #expect(rest.isEmpty || rest.hasPrefix("HTTP/1.1 400"))
        }
    }

    @Test func whoSaysNothingIsClosed() async throws {
        try await TestServer.run(limits: HTTPLimits(headMilliseconds: 20, maxBody: 10)) { server in
            let silent = try await server.connect()
            #expect(await silent.readToEnd().readableBytes == 0)
            let slow = try await server.connect()
            // The time may be over before this is written.
            try? await slow.send("GET / HTTP/1.1\r\nhost:")
            #expect(await slow.readToEnd().readableBytes == 0)
        }
    }

    @Test func aBodyThatDoesNotComeTimesOut() async throws {
        var limits = HTTPLimits.patient(maxBody: 10)
        limits.bodyMilliseconds = 20
        limits.lingerMilliseconds = 20
        try await TestServer.run(limits: limits) { server in
            let connection = try await server.connect()
            try await connection.send("POST /api/login HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc")
            #expect(try await connection.response().status == 408)
            _ = await connection.readToEnd()
        }
    }

    @Test func anIdleConnectionIsClosed() async throws {
        var limits = HTTPLimits.patient(maxBody: 10)
        limits.idleMilliseconds = 20
        try await TestServer.run(limits: limits) { server in
            let connection = try await server.connectAdmin()
            #expect(try await connection.call("GET", "/livez").status == 200)
            #expect(await connection.readToEnd().readableBytes == 0)
        }
    }

    @Test func tooManyConnectionsAreTurnedAway() async throws {
        try await TestServer.run(maxConnections: 1) { server in
            let first = try await server.connect()
            #expect(try await first.call("GET", "/api/nothing").status == 404)
            let second = try await server.connect()
            let refused = try await second.response()
            #expect(refused.status == 503)
            #expect(refused.headers["retry-after"] != nil)
            _ = await second.readToEnd()
            #expect(try await first.call("GET", "/api/nothing").status == 404)
        }
    }

    /// Whatever a call waits for, it is answered.
    @Test func aCallWithoutAnAnswerIsUnavailable() async throws {
        var limits = HTTPLimits(headMilliseconds: 30_000, maxBody: 1_024)
        limits.answerMilliseconds = 20
        try await TestServer.run(limits: limits) { server in
            let alice = try await server.user("alice")
            let promise = server.core.makePromise(of: Void.self)
            server.node.gate.withLockedValue { $0 = promise.futureResult }
            let connection = try await server.connect()
            try await connection.send(TestUpgrade.request(user: "\(alice.id)", protocols: alice.token))
            let response = try await connection.response()
            #expect(response.status == 503)
            #expect(response.code == "unavailable")
            #expect(response.headers["retry-after"] == "1")
            promise.succeed()
            #expect(try await server.node.sessions.next().next() == .abandoned)
            _ = await connection.readToEnd()
        }
    }

    /// All that a call asks of the node has one deadline, within the call's time.
    @Test func oneDeadlineHoldsForAllQuestionsOfACall() async throws {
        try await TestServer.run { server in
            let alice = try await server.user("alice")
            let bob = try await server.user("bob")
            let seen = NIOLockedValueBox<[UInt64?]>([])
            server.node.state.withLockedValue {
                $0.onRead = { _ in
                    seen.withLockedValue { $0.append(CallDeadline.current) }
                    return nil
                }
            }
            let start = server.node.now()
            let body = #"{"type":"group","user_ids":["\#(bob.id)"]}"#
            let connection = try await server.connect()
            #expect(
                try await connection.call("POST", "/api/conversations", token: alice.token, body: body).status == 200)
            let deadlines = seen.withLockedValue { $0 }
            // The gate's question has less time; that about Bob all of it.
            #expect(deadlines == [start + 1_000_000_000, start + 4_500_000_000])
        }
    }

    @Test(arguments: [
        #"{"username":"a","password":"x","username":"b"}"#, #"{"username":"a","password":"x","user\u006eame":"b"}"#,
    ])
    func aMemberThatStandsThereTwiceIsRefused(_ body: String) async throws {
        try await TestServer.run { server in
            let connection = try await server.connect()
            for path in ["/api/register", "/api/login"] {
                let response = try await connection.call("POST", path, body: body)
                #expect(response.status == 400)
                #expect(response.code == "invalid_field")
                #expect(response.object["detail"] as? String == "username stands there twice")
            }
            #expect(server.node.state.withLockedValue { $0.accounts.isEmpty })
        }
    }

    @Test func expectationsAreMet() async throws {
        try await TestServer.run { server in
            let connection = try await server.connect()
            try await connection.send(
                "POST /api/login HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n")
            #expect(try await connection.response().status == 100)
            try await connection.send("{}")
            #expect(try await connection.response().code == "missing_field")
        }
    }

    private final class Large: HTTPService {
        /// More than two sockets' buffers take.
        static let size = 24 << 20
        let asked = NIOLockedValueBox(0)
        func answer(_ call: HTTPCall) async -> HTTPAnswer {
            let isLarge = call.head.uri == "/large"
            if isLarge { asked.withLockedValue { $0 += 1 } }
            let size = isLarge ? Self.size : 0
            return .reply(HTTPReply(status: .ok, body: ByteBuffer(repeating: 7, count: size)))
        }
    }

    private func serving(
        _ limits: HTTPLimits, _ body: (Large, HTTPListener) async throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let service = Large()
        let listener = try await HTTPListener.start(
            group: group, host: "127.0.0.1", port: 0, limits: limits, connections: ConnectionLimits(total: 9),
            service: service)
        do { try await body(service, listener) } catch { Issue.record(error) }
        await listener.stop()
        try await group.shutdownGracefully()
    }

    /// Who takes no answers is given no more: they would lie in memory.
    @Test func whoTakesNoAnswerIsNotAnsweredFurther() async throws {
        try await serving(.patient(maxBody: 10)) { service, listener in
            let connection = try await TestConnection.connect(port: listener.port)
            try await connection.stopReading()
            try await connection.send(String(repeating: "GET /large HTTP/1.1\r\nhost: x\r\n\r\n", count: 3))
            let other = try await TestConnection.connect(port: listener.port)
            for _ in 0..<50 { #expect(try await other.call("GET", "/").status == 200) }
            #expect(service.asked.withLockedValue { $0 } == 1)
            try await connection.startReading()
            for _ in 0..<3 { #expect(try await connection.response().body.readableBytes == Large.size) }
            #expect(service.asked.withLockedValue { $0 } == 3)
            await connection.close()
            await other.close()
        }
    }

    /// A connection that ends after an answer ends after all of it, however slowly the client takes it.
    @Test(arguments: [
        ("GET /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", false),
        ("GET /large HTTP/1.0\r\n\r\n", false), ("GET /large HTTP/1.1\r\nhost: x\r\n\r\n", true),
    ])
    func aLargeAnswerComesWhole(_ request: String, endsOutput: Bool) async throws {
        var limits = HTTPLimits.patient(maxBody: 10)
        limits.lingerMilliseconds = 1
        try await serving(limits) { _, listener in
            let connection = try await TestConnection.connect(port: listener.port)
            try await connection.stopReading()
            try await connection.send(request)
            if endsOutput { try await connection.endOutput() }
            // Meanwhile the server has written what fits, and waited for longer than it lingers.
            let other = try await TestConnection.connect(port: listener.port)
            for _ in 0..<50 { #expect(try await other.call("GET", "/").status == 200) }
            try await connection.startReading()
            #expect(try await connection.response().body.readableBytes == Large.size)
            await connection.close()
            await other.close()
        }
    }
}
