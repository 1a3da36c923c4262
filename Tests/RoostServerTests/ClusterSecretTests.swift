import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import RoostModel
import RoostNode
import RoostProtocol
import Testing

@testable import RoostServer

@Suite("The cluster's secret", .timeLimit(.minutes(5))) struct ClusterSecretTests {
    private static let secret = "0123456789abcdef"
    private static let record = FoundingRecord(
        clusterID: UUID128(high: 1, low: 2), cluster: "test", configurationHash: 3, partitions: 4, replication: 1,
        members: [FoundingMember(node: "b", store: StoreID(2), address: "127.0.0.1:1")])
    private static let member = RingMember(
        node: "c", host: "127.0.0.1", peerPort: 1, clientPort: 2, adminPort: 3, since: 2)

    private func pair(
        _ secrets: (a: String?, b: String?), removed: [NodeID] = [], handshake: TimeAmount = .milliseconds(200),
        _ body: (_ a: TestLink, _ b: TestLink, _ group: MultiThreadedEventLoopGroup) async throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        var limits = PeerLimits.test
        limits.handshake = handshake
        let b = try await TestLink.start(
            "b", on: group, peers: removed.isEmpty ? ["a": "127.0.0.1:1"] : [:], store: 2, epoch: 20, limits: limits,
            secret: secrets.b, removed: removed)
        let a = try await TestLink.start(
            "a", on: group, peers: ["b": b.address], store: 1, epoch: 10, limits: limits, secret: secrets.a)
        do { try await body(a, b, group) } catch { Issue.record(error) }
        await a.transport.stop()
        await b.transport.stop()
        try await group.shutdownGracefully()
    }

    @Test func whoKnowsItLinks() async throws {
        try await pair((Self.secret, Self.secret + "\n")) { a, b, _ in
            let (first, second) = try await (a.peer.events.next(), b.peer.events.next())
            guard case .up = first, case .up = second else {
                Issue.record("no link")
                return
            }
            let probe = PeerFrame.swim(SwimMessage(body: .ping(sequence: 7)))
            #expect(try await a.send([probe], to: "b", lane: .control))
            #expect(try await b.peer.events.next() == .received([probe], "a"))
        }
    }

    @Test(arguments: [(Optional(secret), nil as String?), (nil, secret), (secret, "fedcba9876543210")])
    func nobodyElseDoes(_ secrets: (String?, String?)) async throws {
        try await pair((secrets.0, secrets.1)) { a, b, _ in
            while try await a.info().first?.lastError?.contains("secret") != true { try Task.checkCancellation() }
            #expect(try await a.info().first?.connected == false)
            #expect(try await b.info().first?.connected == false)
        }
    }

    @Test func whoWasRemovedIsTold() async throws {
        try await pair((Self.secret, Self.secret), removed: ["a"]) { a, _, _ in
            let event = try await a.peer.events.next()
            #expect(event == .removed)
        }
    }

    /// Whoever answers at the address may say so, if nobody has to prove who he is.
    @Test func nobodyElseTellsThatItWasRemoved() async throws {
        try await pair((Self.secret, "fedcba9876543210"), removed: ["a"]) { a, b, _ in
            while try await a.info().first?.lastError?.contains("proves no cluster secret") != true {
                try Task.checkCancellation()
            }
            a.peer.events.push(.down("nobody"))
            #expect(try await a.peer.events.next() == .down("nobody"))
        }
    }

    /// The higher id waits to be dialled; where it has moved, it says so to the lower.
    @Test(arguments: [(secret, secret), (nil, nil), ("fedcba9876543210", secret)] as [(String?, String?)])
    func whoHasMovedIsFound(_ secrets: (String?, String?)) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        var limits = PeerLimits.test
        limits.heartbeat = .milliseconds(20)
        limits.lookAfter = .milliseconds(100)
        limits.handshake = .milliseconds(300)
        let a = try await TestLink.start(
            "a", on: group, peers: ["b": "127.0.0.1:1"], store: 1, epoch: 10, limits: limits, secret: secrets.0)
        let b = try await TestLink.start(
            "b", on: group, peers: ["a": a.address], store: 2, epoch: 20, limits: limits, secret: secrets.1)
        let address = b.address
        b.peer.change {
            $0.address = address
            $0.hasMoved = true
        }
        if secrets.0 == secrets.1 {
            #expect(try await a.peer.events.next() == .found("b", address))
            a.peer.change { $0.alternatives["b"] = [address] }
            guard case .up = try await b.peer.events.next() else { throw CancellationError() }
        } else {
            a.peer.change { $0.peers["b"] = address }
            // It is refused for want of the secret, whoever dials whom.
            while try await a.info().first?.lastError?.contains("secret") != true { try Task.checkCancellation() }
            a.peer.events.push(.down("nobody"))
            #expect(try await a.peer.events.next() == .down("nobody"))
        }
        await a.transport.stop()
        await b.transport.stop()
        try await group.shutdownGracefully()
    }

    private func ask(_ link: TestLink, _ secret: String, _ group: any EventLoopGroup, cluster: String = "") async throws
        -> Result<JoinGrant, RingRefusal>
    {
        let secret = try #require(ClusterSecret(secret))
        return await JoinClient.ask(
            link.address,
            hello: JoinHello(minVersion: 1, maxVersion: 1, cluster: cluster, member: Self.member), secret: secret,
            tls: nil, group: group)
    }

    @Test func joining() async throws {
        try await pair((Self.secret, Self.secret), handshake: .seconds(60)) { _, b, group in
            let ring = Ring(version: 2, members: [Self.member])
            b.peer.joining.withLockedValue { joining in
                joining = { .success(JoinGrant(record: Self.record, ring: Ring(version: 2, members: [$0]))) }
            }
            let granted = try await ask(b, Self.secret, group)
            #expect(granted == .success(JoinGrant(record: Self.record, ring: ring)))
            guard case .failure(let wrong) = try await ask(b, "fedcba9876543210", group) else {
                Issue.record("joined with another secret")
                return
            }
            #expect(wrong.reason.contains("another cluster secret") && !wrong.retry)
            guard case .failure(let other) = try await ask(b, Self.secret, group, cluster: "prod") else {
                Issue.record("joined another cluster")
                return
            }
            #expect(other.reason.contains("this is cluster test"))
            b.peer.joining.withLockedValue { $0 = { _ in .failure(RingRefusal("later", retry: true)) } }
            guard case .failure(let later) = try await ask(b, Self.secret, group) else {
                Issue.record("not refused")
                return
            }
            #expect(later.retry && later.reason.contains("later"))
        }
    }

    @Test func withoutASecretNobodyJoins() async throws {
        try await pair((nil, nil), handshake: .seconds(60)) { _, b, group in
            guard case .failure(let refusal) = try await ask(b, Self.secret, group) else {
                Issue.record("joined without a secret")
                return
            }
            #expect(refusal.reason.contains("proves no cluster secret; it says: this node has no") && !refusal.retry)
        }
    }

    @Test func isLongEnough() {
        #expect(ClusterSecret("0123456789abcde") == nil)
        #expect(ClusterSecret(" \n0123456789abcde\n ") == nil)
        #expect(ClusterSecret(" 0123456789abcdef\n") != nil)
    }
}
