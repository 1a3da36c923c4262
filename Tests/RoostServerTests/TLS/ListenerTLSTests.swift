import Foundation
import NIOCore
import Testing

@testable import RoostServer

/// The client port's TLS, as OpenSSL's own client sees it.
@Suite("TLS for clients", .timeLimit(.minutes(2)), .enabled(if: OpenSSL.isThere)) struct ListenerTLSTests {
    private func serving(_ body: (_ port: Int, _ ca: TestAuthority, _ tls: ListenerTLS) async throws -> Void)
        async throws
    {
        let ca = try TestAuthority()
        let files = try ca.issue("127.0.0.1")
        let tls = try ListenerTLS(certificate: files.certificate, key: files.key)
        try await TestServer.run(tls: tls) { try await body($0.client.port, ca, tls) }
    }

    private func connect(_ port: Int, _ ca: LocalAuthority, _ options: [String]) async throws -> OpenSSL.Result {
        try await OpenSSL.run(
            [
                "s_client", "-connect", "127.0.0.1:\(port)", "-CAfile", ca.certificate, "-verify_return_error",
                "-verify_ip", "127.0.0.1", "-ign_eof",
            ] + options, input: "GET /api/nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    }

    @Test(arguments: [
        (["-tls1_3"], "TLSv1.3, Cipher is TLS_AES_"), (["-tls1_2"], "TLSv1.2, Cipher is ECDHE-ECDSA-"),
        (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], "ECDHE-ECDSA-AES128-GCM-SHA256"),
        (["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"], "ECDHE-ECDSA-CHACHA20-POLY1305"),
    ])
    func whatIsGood(_ options: [String], _ cipher: String) async throws {
        try await serving { port, ca, _ in
            let result = try await connect(port, ca.local, options)
            #expect(result.status == 0)
            #expect(result.text.contains(cipher))
            #expect(result.text.contains("Verify return code: 0 (ok)"))
            #expect(result.text.contains("HTTP/1.1 404"))
            #expect(result.text.contains("not_found"))
        }
    }

    /// Old versions, and ciphers without forward secrecy or authentication.
    @Test(arguments: [
        ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], ["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
        ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"],
        ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0"],
        ["-tls1_2", "-cipher", "AES128-GCM-SHA256:AES128-SHA:AES256-SHA:@SECLEVEL=0"],
        ["-tls1_2", "-cipher", "aNULL:eNULL:@SECLEVEL=0"],
    ])
    func whatIsOldIsRefused(_ options: [String]) async throws {
        try await serving { port, ca, _ in
            let result = try await connect(port, ca.local, options)
            #expect(result.status != 0)
            #expect(!result.text.contains("HTTP/1.1"))
        }
    }

    @Test func theChainIsWhatItIs() async throws {
        try await serving { port, ca, _ in
            let stranger = try TestAuthority()
            let result = try await connect(port, stranger.local, [])
            #expect(result.status != 0 && result.text.contains("verif"))
            let wrongName = try await OpenSSL.run(
                [
                    "s_client", "-connect", "127.0.0.1:\(port)", "-CAfile", ca.local.certificate,
                    "-verify_return_error", "-verify_hostname", "roost.example",
                ], input: "")
            #expect(wrongName.status != 0 && wrongName.text.contains("ostname mismatch"))
        }
    }

    @Test func plainTextIsNotAnswered() async throws {
        try await serving { port, _, _ in
            let plain = try await TestConnection.connect(port: port)
            try await plain.send("GET /api/nothing HTTP/1.1\r\nhost: x\r\n\r\n")
            let answer = String(buffer: await plain.readToEnd())
            #expect(!answer.contains("HTTP/1.1"))
        }
    }

    @Test func aNewCertificateIsShownToNewConnections() async throws {
        try await serving { port, ca, tls in
            let old = try await connect(port, ca.local, ["-showcerts"])
            let before = tls.expires
            try ca.issue("127.0.0.1")
            #expect(tls.look(TestAuthority.logger) && tls.expires >= before)
            let new = try await connect(port, ca.local, ["-showcerts"])
            func certificate(_ text: String) -> Substring? {
                text.firstMatch(of: /-----BEGIN CERTIFICATE-----[^-]+-----END/)?.0
            }
            #expect(old.status == 0 && new.status == 0)
            #expect(certificate(old.text) != nil && certificate(old.text) != certificate(new.text))
        }
    }

    private func serving(
        headMilliseconds: Int, maxConnections: Int, refusals: Int = 64,
        _ body: (TestServer, TestAuthority) async throws -> Void
    ) async throws {
        let ca = try TestAuthority()
        let files = try ca.issue("127.0.0.1")
        let tls = try ListenerTLS(certificate: files.certificate, key: files.key)
        var limits = HTTPLimits.patient()
        limits.headMilliseconds = headMilliseconds
        try await TestServer.run(
            limits: limits, maxConnections: maxConnections, refusals: refusals, tls: tls
        ) { try await body($0, ca) }
    }

    @Test func oneTooManyIsToldWhenToComeAgain() async throws {
        try await serving(headMilliseconds: 100_000, maxConnections: 1) { server, ca in
            let first = try await server.connect()
            while server.client.openConnections == 0 { try await Task.sleep(for: .milliseconds(1)) }
            let refused = try await connect(server.client.port, ca.local, [])
            #expect(refused.text.contains("HTTP/1.1 503") && refused.text.contains("retry-after: "))
            #expect(server.client.openConnections == 1)
            await first.close()
        }
    }

    @Test func ofThoseToldOnlySoManyAreThereAtOnce() async throws {
        try await serving(headMilliseconds: 100_000, maxConnections: 1, refusals: 2) { server, _ in
            let first = try await server.connect()
            while server.client.openConnections == 0 { try await Task.sleep(for: .milliseconds(1)) }
            let silent = [try await server.connect(), try await server.connect()]
            let beyond = try await server.connect()
            #expect(await beyond.readToEnd().readableBytes == 0)
            for connection in [first] + silent { await connection.close() }
        }
    }

    @Test func whoIsToldShakesHandsInTime() async throws {
        try await serving(headMilliseconds: 300, maxConnections: 0) { server, _ in
            let silent = try await server.connect()
            #expect(await silent.readToEnd().readableBytes == 0)
        }
    }

    @Test func whoShakesNoHandsIsNotWaitedFor() async throws {
        try await serving(headMilliseconds: 300, maxConnections: 10) { server, _ in
            let silent = try await server.connect()
            #expect(await silent.readToEnd().readableBytes == 0)
        }
    }
}

enum OpenSSL {
    struct Result: Sendable {
        var status: Int32
        /// Both outputs.
        var text: String
    }

    private static let path = "/usr/bin/openssl"
    static var isThere: Bool { FileManager.default.isExecutableFile(atPath: path) }

    static func run(_ arguments: [String], input: String) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(with: Swift.Result { try runNow(arguments, input) })
            }
        }
    }

    private static func runNow(_ arguments: [String], _ input: String) throws -> Result {
        // It may be gone before it has read anything.
        signal(SIGPIPE, SIG_IGN)
        let process = Process()
        let (given, output) = (Pipe(), Pipe())
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.standardInput = given
        process.standardOutput = output
        process.standardError = output
        try process.run()
        try? given.fileHandleForWriting.write(contentsOf: Data(input.utf8))
        try? given.fileHandleForWriting.close()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Result(status: process.terminationStatus, text: String(decoding: text, as: UTF8.self))
    }
}
