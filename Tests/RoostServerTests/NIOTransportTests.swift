import NIOCore
import NIOPosix
import RoostModel
import RoostNode
import RoostProtocol
import Testing

@testable import RoostServer

@Suite(.timeLimit(.minutes(5))) struct NIOTransportTests {
    /// `b` listens, and `a` dials it.
    private func pair(
        limits: PeerLimits = .test,
        _ body: (_ a: TestLink, _ b: TestLink, _ group: MultiThreadedEventLoopGroup)
            async throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let b = try await TestLink.start(
            "b", on: group, peers: ["a": "127.0.0.1:1"], store: 2, epoch: 20, limits: limits)
        let a = try await TestLink.start("a", on: group, peers: ["b": b.address], store: 1, epoch: 10, limits: limits)
        do { try await body(a, b, group) } catch { Issue.record(error) }
        await a.transport.stop()
        await b.transport.stop()
        try await group.shutdownGracefully()
    }

    private func up(_ node: NodeID, store: UInt64, epoch: Epoch) -> FakePeer.Event {
        .up(LinkPeer(node: node, store: StoreID(store), epoch: epoch, clusterID: .zero, address: "127.0.0.1:1"))
    }

    @Test func twoNodesLinkAndTalkOnBothLanes() async throws {
        try await pair { a, b, _ in
            #expect(try await a.peer.events.next() == up("b", store: 2, epoch: 20))
            #expect(try await b.peer.events.next() == up("a", store: 1, epoch: 10))
            let probe = PeerFrame.swim(SwimMessage(body: .ping(sequence: 7)))
            let propose = PeerFrame.revoked([UserID(foldedUsername: "x")])
            #expect(try await a.send([probe, probe], to: "b", lane: .control))
            #expect(try await b.peer.events.next() == .received([probe, probe], "a"))
            #expect(try await b.send([propose], to: "a", lane: .bulk))
            #expect(try await a.peer.events.next() == .received([propose], "b"))
            #expect(try await !a.send([probe], to: "c", lane: .control))

            let info = try #require(try await b.info().first)
            #expect(info.connected && info.node == "a" && info.store == StoreID(1) && info.epoch == 10)
            #expect(info.framesIn == 2 && info.framesOut == 1 && info.bytesOut > 0 && info.lastError == nil)
        }
    }

    @Test func aLinkThatEndsIsMadeAnew() async throws {
        try await pair { a, b, _ in
            _ = try await (a.peer.events.next(), b.peer.events.next())
            // Either end may end it; the lower id dials again.
            for end in [a, b] {
                try await end.reset(end.port == a.port ? "b" : "a")
                #expect(try await a.peer.events.next() == .down("b"))
                #expect(try await b.peer.events.next() == .down("a"))
                #expect(try await a.peer.events.next() == up("b", store: 2, epoch: 20))
                #expect(try await b.peer.events.next() == up("a", store: 1, epoch: 10))
            }
        }
    }

    @Test func aNewLifeReplacesTheOldAndTheOldStaysOut() async throws {
        try await pair { a, b, group in
            _ = try await (a.peer.events.next(), b.peer.events.next())
            let second = try await TestLink.start("a", on: group, peers: ["b": b.address], store: 1, epoch: 11)
            #expect(try await b.peer.events.next() == .down("a"))
            #expect(try await b.peer.events.next() == up("a", store: 1, epoch: 11))
            #expect(try await second.peer.events.next() == up("b", store: 2, epoch: 20))
            // The straggler dials again and again, and is told why not.
            #expect(try await a.peer.events.next() == .down("b"))
            while try await a.info().first?.lastError?.contains("epoch 11") != true { try Task.checkCancellation() }
            #expect(try await b.info().first?.epoch == 11)
            await second.transport.stop()
        }
    }

    @Test(arguments: [
        ("other", UUID128.zero, "a" as NodeID, "cluster"), ("test", UUID128(high: 9, low: 9), "a", "founded"),
        ("test", UUID128.zero, "0", "not a node"),
    ])
    func strangersAreRefused(_ cluster: String, _ clusterID: UUID128, _ node: NodeID, _ reason: String) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let b = try await TestLink.start(
            "b", on: group, peers: ["a": "127.0.0.1:1"], clusterID: UUID128(high: 1, low: 1))
        let a = try await TestLink.start(
            node, on: group, peers: ["b": b.address], cluster: cluster, clusterID: clusterID)
        while try await a.info().first?.lastError?.contains(reason) != true { try Task.checkCancellation() }
        #expect(try await b.info().first?.connected == false)
        #expect(try await !a.send([.linkPing(token: 1)], to: "b", lane: .bulk))
        await a.transport.stop()
        await b.transport.stop()
        try await group.shutdownGracefully()
    }

    @Test func otherVersionsAreRefused() async throws {
        try await pair { a, b, _ in
            _ = try await (a.peer.events.next(), b.peer.events.next())
            let stranger = try await TestConnection.connect(port: b.port)
            var bytes = ByteBuffer()
            HandshakeCodec.encode(
                .hello(
                    HandshakeHello(
                        minVersion: 900, maxVersion: 901, cluster: "test", clusterID: .zero, node: "a",
                        store: StoreID(1), epoch: 10, lane: .control, address: "x:1")), into: &bytes)
            try await stranger.send(bytes)
            var answer = await stranger.readToEnd()
            guard case .refuse(let refusal)? = try HandshakeCodec.nextFrame(from: &answer) else {
                Issue.record("no refusal")
                return
            }
            #expect(refusal.code == .noCommonVersion)
        }
    }

    @Test(arguments: [
        Array("GET / HTTP/1.1\r\n\r\n".utf8), [0, 0, 0, 1, 1], [0xff, 0xff, 0xff, 0xff], Array(repeating: 0, count: 64),
        [0, 0, 0, 12, 1] + Array("ROAST".utf8) + Array(repeating: 0, count: 6),
    ])
    func nonsenseEndsOnlyItsOwnConnection(_ bytes: [UInt8]) async throws {
        try await pair { a, b, _ in
            _ = try await (a.peer.events.next(), b.peer.events.next())
            let stranger = try await TestConnection.connect(port: b.port)
            try await stranger.send(ByteBuffer(bytes: bytes))
            #expect(await stranger.readToEnd().readableBytes == 0)
            let frame = PeerFrame.revoked([])
            #expect(try await a.send([frame], to: "b", lane: .bulk))
            #expect(try await b.peer.events.next() == .received([frame], "a"))
        }
    }

    @Test func handshakesAreBoundedInTimeAndNumber() async throws {
        var limits = PeerLimits.test
        limits.maxHandshakes = 2
        limits.handshake = .milliseconds(200)
        try await pair(limits: limits) { a, b, _ in
            _ = try await (a.peer.events.next(), b.peer.events.next())
            let first = try await TestConnection.connect(port: b.port)
            let second = try await TestConnection.connect(port: b.port)
            let third = try await TestConnection.connect(port: b.port)
            for silent in [third, first, second] { #expect(await silent.readToEnd().readableBytes == 0) }
            // The link there is was not touched, and room was made again.
            try await a.reset("b")
            #expect(try await b.peer.events.next() == .down("a"))
            #expect(try await b.peer.events.next() == up("a", store: 1, epoch: 10))
        }
    }

    @Test func aFullQueueTakesNothingOfABatch() async throws {
        var limits = PeerLimits.test
        limits.maxQueueBytes = 1_000
        try await pair(limits: limits) { a, b, _ in
            _ = try await (a.peer.events.next(), b.peer.events.next())
            let user = UserID(foldedUsername: "x")
            let frame = PeerFrame.revoked(Array(repeating: user, count: 100))
            let small = PeerFrame.revoked([user])
            let refused = try await a.send([small, frame], to: "b", lane: .bulk)
            let taken = try await a.send([small], to: "b", lane: .bulk)
            #expect(!refused && taken)
            #expect(try await b.peer.events.next() == .received([small], "a"))
        }
    }

    @Test func aSilentLaneEndsTheLink() async throws {
        var limits = PeerLimits.test
        limits.heartbeat = .milliseconds(10)
        limits.silence = .milliseconds(60)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let b = try await TestLink.start("b", on: group, peers: ["a": "127.0.0.1:1"], limits: limits)
        // A node that shakes hands and then hangs.
        var lanes: [TestConnection] = []
        for lane in PeerLane.allCases {
            let connection = try await TestConnection.connect(port: b.port)
            var bytes = ByteBuffer()
            HandshakeCodec.encode(
                .hello(
                    HandshakeHello(
                        minVersion: 1, maxVersion: 1, cluster: "test", clusterID: .zero, node: "a", store: StoreID(1),
                        epoch: 10, lane: lane, address: "127.0.0.1:1")), into: &bytes)
            try await connection.send(bytes)
            lanes.append(connection)
        }
        #expect(try await b.peer.events.next() == up("a", store: 1, epoch: 10))
        #expect(try await b.peer.events.next() == .down("a"))
        for lane in lanes { _ = await lane.readToEnd() }
        await b.transport.stop()
        try await group.shutdownGracefully()
    }

    @Test func pingsMeasureTheRoundTrip() async throws {
        var limits = PeerLimits.test
        limits.heartbeat = .milliseconds(5)
        try await pair(limits: limits) { a, b, _ in
            _ = try await (a.peer.events.next(), b.peer.events.next())
            while try await a.info().first?.roundTripMicroseconds == nil { try Task.checkCancellation() }
            #expect(try await a.info().first?.connected == true)
        }
    }

    @Test(arguments: [
        ("10.0.0.1:7001", "10.0.0.1", 7001), ("[::1]:7001", "::1", 7001), ("host:65535", "host", 65_535),
    ])
    func addressesAreSplit(_ text: String, _ host: String, _ port: Int) throws {
        let found = try #require(PeerLink.split(text))
        #expect(found == (host, port))
    }

    @Test(arguments: ["", ":1", "host", "host:", "host:0", "host:65536", "host:x"])
    func otherAddressesAreNone(_ text: String) {
        #expect(PeerLink.split(text) == nil)
    }

    @Test func theLogIsNotFlooded() {
        var gate = LogGate()
        let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
        let seen = [("x", 0), ("x", 9), ("y", 9), ("x", 10)].map { gate.admits($0.0, at: start + .seconds($0.1)) }
        #expect(seen == [true, false, true, true])
        var admitted = 0
        for source in 0..<1_000 where gate.admits("\(source)", at: start + .seconds(11)) { admitted += 1 }
        #expect(admitted < 256)
    }
}
