import Foundation
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import RoostModel
import RoostNode
import RoostProtocol
import Testing

@testable import RoostServer

@Suite("TLS between nodes", .timeLimit(.minutes(5))) struct PeerTLSTests {
    private static let probe = PeerFrame.swim(SwimMessage(body: .ping(sequence: 7)))

    /// `b` listens, and `a` dials it.
    private func pair(
        _ tls: (a: PeerTLS?, b: PeerTLS?), secret: String? = nil, limits: PeerLimits = .test,
        _ body: (_ a: TestLink, _ b: TestLink, _ group: MultiThreadedEventLoopGroup) async throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let b = try await TestLink.start(
            "b", on: group, peers: ["a": "127.0.0.1:1", "a2": "127.0.0.1:1"], store: 2, epoch: 20, limits: limits,
            secret: secret, tls: tls.b
        )
        let a = try await TestLink.start(
            "a", on: group, peers: ["b": b.address], store: 1, epoch: 10, limits: limits, secret: secret, tls: tls.a)
        do { try await body(a, b, group) } catch { Issue.record(error) }
        await a.transport.stop()
        await b.transport.stop()
        try await group.shutdownGracefully()
    }

    private func areLinked(_ a: TestLink, _ b: TestLink) async throws {
        let (first, second) = try await (a.peer.events.next(), b.peer.events.next())
        guard case .up = first, case .up = second else {
            Issue.record("no link")
            return
        }
        try await stillTalk(a, b)
    }

    private func stillTalk(_ a: TestLink, _ b: TestLink) async throws {
        #expect(try await a.send([Self.probe], to: "b", lane: .control))
        #expect(try await b.peer.events.next() == .received([Self.probe], "a"))
        // More than one record of TLS.
        let long = PeerFrame.revoked((0..<5_000).map { UserID(foldedUsername: "user-\($0)") })
        #expect(try await b.send([long], to: "a", lane: .bulk))
        #expect(try await a.peer.events.next() == .received([long], "b"))
    }

    @Test(arguments: [nil, "0123456789abcdef"])
    func nodesOfOneClusterLink(_ secret: String?) async throws {
        let ca = try TestAuthority()
        try await pair((ca.peer("a"), ca.peer("b")), secret: secret) { a, b, _ in try await areLinked(a, b) }
    }

    enum Stranger: CaseIterable {
        case otherAuthority, expired, otherName, plainDials, plainListens, otherAuthorityListens, otherNameListens
    }

    @Test(arguments: Stranger.allCases) func nobodyElseDoes(_ stranger: Stranger) async throws {
        let ca = try TestAuthority()
        let other = try TestAuthority()
        let tls: (PeerTLS?, PeerTLS?, String) =
            switch stranger {
            case .otherAuthority: (try other.peer("a"), try ca.peer("b"), "this cluster's CA")
            case .otherAuthorityListens: (try ca.peer("a"), try other.peer("b"), "this cluster's CA")
            case .expired: (try ca.peer("a", daysAgo: 400), try ca.peer("b"), "expired")
            case .otherName: (try ca.peer("a", named: "c"), try ca.peer("b"), "certificate is not a's")
            case .otherNameListens: (try ca.peer("a"), try ca.peer("b", named: "c"), "is of c, not of b")
            case .plainDials: (nil, try ca.peer("b"), "speaks TLS")
            case .plainListens: (try ca.peer("a"), nil, "closed by the other end")
            }
        try await pair((tls.0, tls.1)) { a, b, _ in
            while try await a.info().first?.lastError?.contains(tls.2) != true { try Task.checkCancellation() }
            #expect(try await a.info().first?.connected == false)
            #expect(try await b.info().first?.connected == false)
        }
    }

    @Test func aNewCertificateIsForNewLinks() async throws {
        let ca = try TestAuthority()
        let (first, second) = (try ca.peer("a", daysAgo: 300), try ca.peer("b"))
        try await pair((first, second)) { a, b, _ in
            try await areLinked(a, b)
            let before = first.expires
            let logger = TestAuthority.logger
            #expect(!first.look(logger))
            try ca.issue("a")
            #expect(first.look(logger) && first.expires > before)
            #expect(!first.look(logger))
            try await stillTalk(a, b)
            try await a.reset("b")
            #expect(try await a.peer.events.next() == .down("b"))
            #expect(try await b.peer.events.next() == .down("a"))
            try await areLinked(a, b)
            // What can't be used changes nothing.
            try Data("nonsense".utf8).write(to: URL(fileURLWithPath: ca.files("a").certificate))
            #expect(!first.look(logger) && first.expires > before)
        }
    }

    @Test func aCertificateIsEnoughToJoin() async throws {
        let ca = try TestAuthority()
        let other = try TestAuthority()
        let member = RingMember(node: "c", host: "127.0.0.1", peerPort: 1, clientPort: 2, adminPort: 3, since: 2)
        let record = FoundingRecord(
            clusterID: UUID128(high: 1, low: 2), cluster: "test", configurationHash: 3, partitions: 4, replication: 1,
            members: [FoundingMember(node: "b", store: StoreID(2), address: "127.0.0.1:1")])
        func ask(_ link: TestLink, _ tls: PeerTLS, _ secret: String?, _ group: any EventLoopGroup) async
            -> Result<JoinGrant, RingRefusal>
        {
            await JoinClient.ask(
                link.address, hello: JoinHello(minVersion: 1, maxVersion: 1, cluster: "", member: member),
                secret: secret.flatMap { ClusterSecret($0) }, tls: tls, group: group)
        }
        func refusal(_ result: Result<JoinGrant, RingRefusal>) -> String {
            if case .failure(let refusal) = result { refusal.reason } else { "joined" }
        }
        try await pair((ca.peer("a"), ca.peer("b"))) { _, b, group in
            b.peer.joining.withLockedValue { joining in
                joining = { .success(JoinGrant(record: record, ring: Ring(version: 2, members: [$0]))) }
            }
            let granted = try await ask(b, ca.peer("c"), nil, group)
            #expect(granted == .success(JoinGrant(record: record, ring: Ring(version: 2, members: [member]))))
            #expect(refusal(try await ask(b, ca.peer("d"), nil, group)).contains("certificate is not c's"))
            #expect(refusal(try await ask(b, other.peer("c"), nil, group)).contains("this cluster's CA"))
            #expect(refusal(try await ask(b, ca.peer("c"), "0123456789abcdef", group)).contains("no cluster secret"))
        }
    }

    // MARK: Attacks

    private func hello(of node: NodeID) -> ByteBuffer {
        var bytes = ByteBuffer()
        HandshakeCodec.encode(
            .hello(
                HandshakeHello(
                    minVersion: 1, maxVersion: 1, cluster: "test", clusterID: .zero, node: node, store: StoreID(9),
                    epoch: 99, lane: .control, address: "x:1")), into: &bytes)
        return bytes
    }

    /// A node whose certificate is good is still no other node.
    @Test func aNodeCannotPassForAnother() async throws {
        let ca = try TestAuthority()
        try await pair((ca.peer("a"), ca.peer("b"))) { a, b, _ in
            try await areLinked(a, b)
            let stranger = try await TestConnection.connect(port: b.port, prepare: ca.dialler(ca.issue("c")))
            try await stranger.send(hello(of: "a"))
            var answer = await stranger.readToEnd()
            guard case .refuse(let refusal)? = try HandshakeCodec.nextFrame(from: &answer) else {
                Issue.record("no refusal")
                return
            }
            #expect(refusal.code == .certificate)
            try await stillTalk(a, b)
        }
    }

    @Test func withoutACertificateNothingIsSaid() async throws {
        let ca = try TestAuthority()
        try await pair((ca.peer("a"), ca.peer("b"))) { a, b, _ in
            try await areLinked(a, b)
            let stranger = try await TestConnection.connect(port: b.port, prepare: ca.dialler(nil))
            try? await stranger.send(hello(of: "a"))
            #expect(await stranger.readToEnd().readableBytes == 0)
            try await stillTalk(a, b)
        }
    }

    /// What an honest node once said, byte for byte.
    @Test func aReplayedHandshakeIsNothing() async throws {
        let ca = try TestAuthority()
        try await pair((ca.peer("a"), ca.peer("b"))) { a, b, _ in
            try await areLinked(a, b)
            let tape = Tape()
            let dialler = try ca.dialler(ca.issue("a2"))
            let honest = try await TestConnection.connect(port: b.port) { channel in
                try channel.pipeline.syncOperations.addHandler(Recorder(tape))
                try dialler(channel)
            }
            try await honest.send(hello(of: "a2"))
            let answer = try await honest.read { try? HandshakeCodec.nextFrame(from: &$0) }
            guard case .accept = answer else {
                Issue.record("the honest one was not accepted")
                return
            }
            await honest.close()
            #expect(tape.bytes.readableBytes > 500)
            while try await b.info().last?.store != nil { try Task.checkCancellation() }
            let thief = try await TestConnection.connect(port: b.port)
            try? await thief.send(tape.bytes)
            _ = await thief.readToEnd()
            let info = try await b.info()
            #expect(info.map(\.node) == ["a", "a2"] && info.last?.store == nil)
            try await stillTalk(a, b)
        }
    }

    @Test(arguments: [
        [0xff, 0xff, 0xff, 0xff, 1], Array("GET / HTTP/1.1\r\n\r\n".utf8), [0, 0, 4, 1, 1] + Array("ROOST".utf8),
    ])
    func nonsenseInsideTLSEndsItsConnection(_ bytes: [UInt8]) async throws {
        let ca = try TestAuthority()
        try await pair((ca.peer("a"), ca.peer("b"))) { a, b, _ in
            try await areLinked(a, b)
            let stranger = try await TestConnection.connect(port: b.port, prepare: ca.dialler(ca.issue("c")))
            try await stranger.send(ByteBuffer(bytes: bytes))
            #expect(await stranger.readToEnd().readableBytes == 0)
            try await stillTalk(a, b)
        }
    }

    /// In the middle of TLS' handshake, in the middle of ours, and a byte now and then.
    @Test func whoIsSlowIsClosed() async throws {
        let ca = try TestAuthority()
        var limits = PeerLimits.test
        // Long enough for the link itself, also where others take the processors.
        limits.handshake = .seconds(1)
        limits.maxHandshakes = 4
        try await pair((ca.peer("a"), ca.peer("b")), limits: limits) { a, b, _ in
            try await areLinked(a, b)
            let silent = try await TestConnection.connect(port: b.port)
            let cut = try await TestConnection.connect(port: b.port)
            // A record of a ClientHello of 512 bytes of which there are 9.
            try? await cut.send(ByteBuffer(bytes: [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc]))
            let truncated = try await TestConnection.connect(port: b.port, prepare: ca.dialler(ca.issue("c")))
            // On a slow machine its time is over by then.
            try? await truncated.send(hello(of: "c").getSlice(at: 0, length: 30) ?? ByteBuffer())
            let loris = try await TestConnection.connect(port: b.port, prepare: ca.dialler(ca.issue("d")))
            for byte in hello(of: "d").readableBytesView {
                guard (try? await loris.send(ByteBuffer(bytes: [byte]))) != nil else { break }
                try await Task.sleep(for: .milliseconds(25))
            }
            for connection in [silent, cut, truncated, loris] {
                #expect(await connection.readToEnd().readableBytes < 8_192)
            }
            // On a slow machine the link itself may have been made anew within these deadlines.
            while try await a.info().first?.connected != true { try Task.checkCancellation() }
        }
    }
}

/// Bytes as they went to the socket.
private final class Tape: Sendable {
    private let all = NIOLockedValueBox(ByteBuffer())
    var bytes: ByteBuffer { all.withLockedValue { $0 } }
    func append(_ buffer: ByteBuffer) { all.withLockedValue { _ = $0.writeImmutableBuffer(buffer) } }
}

private final class Recorder: ChannelOutboundHandler, Sendable {
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    private let tape: Tape
    init(_ tape: Tape) { self.tape = tape }
    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        tape.append(unwrapOutboundIn(data))
        context.write(data, promise: promise)
    }
}
