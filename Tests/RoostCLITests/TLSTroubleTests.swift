import Foundation
import NIOCore
import NIOPosix
import RoostClient
import RoostServer
import Testing

/// What a client is told of a server whose certificate it does not believe: in one line, what is wrong and what to do.
@Suite("TLS trouble of clients", .timeLimit(.minutes(2))) struct TLSTroubleTests {
    private static let group = MultiThreadedEventLoopGroup.singleton

    private struct Nobodys: HTTPService {
        func answer(_ call: HTTPCall) async -> RoostServer.HTTPAnswer {
            .reply(Problem.unauthorized("nobody").reply)
        }
    }

    /// A port with a certificate for `names`, made so many days ago, and the file of the CA that it is of.
    private func serving(
        _ names: [String], daysAgo: Int = 0, maxConnections: Int = 100,
        _ body: (_ port: Int, _ caFile: String) async throws -> Void
    ) async throws {
        let directory = NSTemporaryDirectory() + "roost-tls-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let made = Date() - Double(daysAgo) * 86_400
        let authority = try CertificateAuthority(name: "test", now: made)
        let leaf = try authority.issue(names, now: made)
        let files = CertificateFiles(directory: directory, name: "server")
        try files.write(
            authorityPEM: authority.certificatePEM, certificatePEM: leaf.certificatePEM, keyPEM: leaf.keyPEM)
        let listener = try await HTTPListener.start(
            group: Self.group, host: "127.0.0.1", port: 0, limits: HTTPLimits(headMilliseconds: 10_000, maxBody: 1_024),
            connections: ConnectionLimits(total: maxConnections),
            tls: ListenerTLS(certificate: files.certificate, key: files.key), service: Nobodys())
        do {
            try await body(listener.port, files.authority)
        } catch {
            await listener.stop()
            throw error
        }
        await listener.stop()
    }

    /// The error of a login by HTTP, and why a session by WebSocket is not there.
    private func trouble(_ url: String, caFile: String?) async throws -> (http: RoostError?, session: String) {
        let client = try RoostClient(servers: [url], tls: try ClientTLS(caFile: caFile))
        var http: RoostError?
        do throws(RoostError) {
            _ = try await client.login(Credentials(username: "alice", password: "correct horse"))
        } catch {
            http = error
        }
        await client.shutdown()
        let server = try #require(ServerAddress(url))
        let request = DialRequest(
            server: server, tls: try ClientTLS(caFile: caFile), target: "/", protocols: "roost.v1")
        do {
            let channel = try await WebSocketDialer.dial(request, on: Self.group.next(), delegate: Nobody()).get()
            try await channel.close()
            return (http, "")
        } catch {
            return (http, "\(error)")
        }
    }

    private func expect(
        _ line: String, _ url: String, caFile: String?, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let (http, session) = try await trouble(url, caFile: caFile)
        #expect(http?.code == .unreachable, sourceLocation: sourceLocation)
        #expect(http?.detail.contains(line) == true, "\(String(describing: http))", sourceLocation: sourceLocation)
        #expect(session.contains(line), sourceLocation: sourceLocation)
        for text in [http?.detail ?? "", session] {
            #expect(!text.contains("SSL") && !text.contains("\n"), sourceLocation: sourceLocation)
        }
    }

    @Test func anUnknownCA() async throws {
        try await serving(["127.0.0.1"]) { port, _ in
            try await expect(
                "its certificate is of a CA that is not known here: --ca-file", "https://127.0.0.1:\(port)", caFile: nil
            )
        }
    }

    @Test func anotherName() async throws {
        try await serving(["roost.example", "192.0.2.1"]) { port, ca in
            try await expect(
                "its certificate is not of 127.0.0.1, but of roost.example, 192.0.2.1", "https://127.0.0.1:\(port)",
                caFile: ca)
            try await expect("its certificate is not of localhost, but of", "https://localhost:\(port)", caFile: ca)
        }
    }

    @Test func anExpiredOne() async throws {
        try await serving(["127.0.0.1"], daysAgo: 400) { port, ca in
            try await expect("its certificate has expired, at 20", "https://127.0.0.1:\(port)", caFile: ca)
        }
    }

    @Test func plainTextWhereTLSIsAsked() async throws {
        let listener = try await HTTPListener.start(
            group: Self.group, host: "127.0.0.1", port: 0, limits: HTTPLimits(headMilliseconds: 10_000, maxBody: 1_024),
            connections: ConnectionLimits(total: 10), service: Nobodys())
        try await expect("it speaks no TLS", "https://127.0.0.1:\(listener.port)", caFile: nil)
        await listener.stop()
    }

    @Test func whatIsBelievedIsAnswered() async throws {
        try await serving(["127.0.0.1", "localhost"]) { port, ca in
            for host in ["127.0.0.1", "localhost"] {
                let (http, session) = try await trouble("https://\(host):\(port)", caFile: ca)
                #expect(http?.status == 401)
                #expect(session.contains("401"))
            }
        }
    }

    /// Beyond the limit of connections TLS shakes hands all the same, for that answer.
    @Test func anOverloadedServerSaysSo() async throws {
        try await serving(["127.0.0.1"], maxConnections: 0) { port, ca in
            let (http, session) = try await trouble("https://127.0.0.1:\(port)", caFile: ca)
            #expect(http?.code == .unavailable && http?.retryAfterMilliseconds != nil)
            #expect(session.contains("503"))
        }
    }
}

private final class Nobody: WebSocketDelegate, Sendable {
    func webSocketReceived(_ messages: [ByteBuffer]) {}
    func webSocketClosed(code: UInt16?, reason: String) {}
    func webSocketWritabilityChanged(_ writable: Bool) {}
}
