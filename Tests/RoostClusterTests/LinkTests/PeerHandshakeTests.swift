import RoostModel
import RoostProtocol
import Testing

@testable import RoostCluster

/// Both ends of a handshake, frame by frame. What sockets add is in `ClusterSecretTests` and `PeerTLSTests`.
@Suite struct PeerHandshakeTests {
    /// Not a MAC that anybody should trust, but another one for every secret and word.
    private struct Prover: SecretProver {
        var secret: UInt64

        func proof(by label: String, _ parts: [[UInt8]]) -> [UInt8] {
            var hash: UInt64 = 0xcbf2_9ce4_8422_2325 ^ secret
            for byte in Array(label.utf8) + parts.flatMap({ [UInt8($0.count & 0xff)] + $0 }) {
                hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
            }
            return (0..<HandshakeCodec.secretBytes).map { UInt8(truncatingIfNeeded: hash >> UInt64($0 % 8 * 8)) }
        }

        func exchange(dials: Bool) -> SecretExchange {
            let challenge = [UInt8](repeating: dials ? 1 : 2, count: HandshakeCodec.secretBytes)
            return SecretExchange(self, challenge: challenge, dials: dials)
        }
    }

    private static func known(_ node: NodeID, _ body: (inout LinkRules) -> Void = { _ in }) -> PeerHandshake.Knowledge {
        var rules = LinkRules(
            cluster: "test", node: node, store: StoreID(1), epoch: 5, minVersion: 1, maxVersion: 1,
            address: "\(node):1", knownNodes: ["a", "b", "c"])
        body(&rules)
        return PeerHandshake.Knowledge(rules: rules, hasMoved: true) { _ in nil }
    }

    private struct End {
        var handshake: PeerHandshake
        let known: PeerHandshake.Knowledge
        var steps: [PeerHandshake.Step] = []
        /// Frames on their way to the other end.
        var said: [HandshakeFrame] = []

        mutating func did(_ new: [PeerHandshake.Step]) {
            steps += new
            for case .say(let frames) in new { said += frames }
        }

        var isReady: Bool { steps.contains { if case .ready = $0 { true } else { false } } }
        var refusal: HandshakeRefusal.Code? {
            for case .refuse(let refusal) in said { return refusal.code }
            return nil
        }
        var reason: String? {
            for case .end(let reason) in steps { return reason }
            return nil
        }
    }

    /// Lets the two talk until neither has anything to say, and then lets time run out, at the other end first.
    private static func talk(_ one: inout End, _ other: inout End, names: (one: [String], other: [String])? = nil) {
        if let names {
            one.did(one.handshake.begin(certified: names.other, one.known))
            other.did(other.handshake.begin(certified: names.one, other.known))
        } else {
            one.did(one.handshake.begin(one.known))
            other.did(other.handshake.begin(other.known))
        }
        var (heardByOther, heardByOne) = (0, 0)
        while heardByOther < one.said.count || heardByOne < other.said.count {
            hear(&other, one.said, &heardByOther)
            hear(&one, other.said, &heardByOne)
        }
        other.did(other.handshake.tookTooLong())
        hear(&one, other.said, &heardByOne)
        one.did(one.handshake.tookTooLong())
    }

    private static func hear(_ end: inout End, _ frames: [HandshakeFrame], _ heard: inout Int) {
        while heard < frames.count {
            heard += 1
            var challenged = false
            if heard < frames.count, case .challenge = frames[heard] { challenged = true }
            end.did(end.handshake.received(frames[heard - 1], challenged: challenged, end.known))
        }
    }

    private static func dialling(
        _ node: NodeID, to other: NodeID, _ secret: UInt64?, looks: Bool = false,
        _ body: (inout LinkRules) -> Void = { _ in }
    ) -> End {
        End(
            handshake: PeerHandshake(
                dialling: other, lane: .bulk, looks: looks, secret.map { Prover(secret: $0).exchange(dials: true) }),
            known: known(node, body))
    }

    private static func accepting(
        _ node: NodeID, _ secret: UInt64?, _ body: (inout LinkRules) -> Void = { _ in }
    ) -> End {
        End(
            handshake: PeerHandshake(accepting: secret.map { Prover(secret: $0).exchange(dials: false) }),
            known: known(node, body))
    }

    @Test(arguments: [nil, 7] as [UInt64?])
    func twoOfOneClusterShakeHands(_ secret: UInt64?) {
        var (a, b) = (Self.dialling("a", to: "b", secret), Self.accepting("b", secret))
        Self.talk(&a, &b)
        #expect(a.steps.last == .ready(b.known.rules.hello(lane: .bulk)))
        #expect(b.steps.last == .ready(a.known.rules.hello(lane: .bulk)))
    }

    @Test(arguments: [(nil, 7), (7, nil), (7, 8)] as [(UInt64?, UInt64?)])
    func anotherSecretIsRefused(_ secrets: (UInt64?, UInt64?)) {
        var (a, b) = (Self.dialling("a", to: "b", secrets.0), Self.accepting("b", secrets.1))
        Self.talk(&a, &b)
        #expect(!a.isReady && !b.isReady)
        #expect(a.reason?.contains("secret") == true)
        #expect(a.refusal == .secret || b.refusal == .secret)
    }

    @Test func whoLooksIsToldToWaitAndWhereItIsIsTakenDown() {
        var (b, a) = (Self.dialling("b", to: "a", 7, looks: true), Self.accepting("a", 7))
        Self.talk(&b, &a)
        #expect(a.steps.contains(.found(b.known.rules.hello(lane: .bulk))))
        #expect(a.refusal == .wrongDirection)
        #expect(!a.isReady && !b.isReady)
    }

    @Test(arguments: [nil, 7] as [UInt64?])
    func whoWasRemovedHearsItFromTheOneItDialled(_ secret: UInt64?) {
        var (a, b) = (Self.dialling("a", to: "b", secret), Self.accepting("b", secret) { $0.removedNodes = ["a"] })
        Self.talk(&a, &b)
        #expect(a.steps.contains(.removed))
    }

    @Test func nobodyHearsItFromAStranger() {
        var (a, b) = (Self.dialling("a", to: "b", 7), Self.accepting("b", 8) { $0.removedNodes = ["a"] })
        Self.talk(&a, &b)
        #expect(!a.steps.contains(.removed))
        #expect(a.reason?.contains("proves no cluster secret") == true)
    }

    @Test func aCertificateOfAnotherNodeMakesNoLink() {
        var (a, b) = (Self.dialling("a", to: "b", nil), Self.accepting("b", nil))
        Self.talk(&a, &b, names: (["c"], ["b"]))
        #expect(b.refusal == .certificate)
        #expect(!a.isReady && !b.isReady)
        (a, b) = (Self.dialling("a", to: "b", nil), Self.accepting("b", nil))
        Self.talk(&a, &b, names: (["a"], ["c"]))
        #expect(a.said.isEmpty)
        #expect(a.reason?.contains("not of b") == true)
    }

    private static let join = JoinHello(
        minVersion: 1, maxVersion: 1, cluster: "test",
        member: RingMember(node: "d", host: "h", peerPort: 1, clientPort: 2, adminPort: 3, since: 1))

    /// Its proof is bound to what it says of itself.
    @Test func aBlankNodeIsTakenInOnceItHasProvedTheSecret() throws {
        var end = Self.accepting("b", 7)
        var theirs = Prover(secret: 7).exchange(dials: true)
        end.did(end.handshake.received(.join(Self.join), challenged: true, end.known))
        end.did(end.handshake.received(.challenge(theirs.challenge), challenged: false, end.known))
        #expect(!end.steps.contains(.takeIn(Self.join)))
        theirs.ownWord = .join(Self.join)
        theirs.theirChallenge = Prover(secret: 7).exchange(dials: false).challenge
        let proof = try #require(theirs.proof)
        var other = end
        other.did(other.handshake.received(.proof(proof.reversed()), challenged: false, end.known))
        #expect(other.refusal == .secret)
        end.did(end.handshake.received(.proof(proof), challenged: false, end.known))
        #expect(end.steps.last == .takeIn(Self.join))
        // Once, however often it proves it.
        end.did(end.handshake.received(.proof(proof), challenged: false, end.known))
        #expect(end.steps.filter { $0 == .takeIn(Self.join) }.count == 1)
        #expect(end.reason == "a handshake out of order")
    }

    @Test func withoutSecretAndCertificateNobodyIsTakenIn() {
        var end = Self.accepting("b", nil)
        end.did(end.handshake.received(.join(Self.join), challenged: false, end.known))
        #expect(end.refusal == .secret)
        end = Self.accepting("b", nil)
        end.did(end.handshake.begin(certified: ["d"], end.known))
        end.did(end.handshake.received(.join(Self.join), challenged: false, end.known))
        #expect(end.steps.last == .takeIn(Self.join))
        end.did(end.handshake.answer(.refuse(HandshakeRefusal(code: .notTakenIn, text: "no"))))
        #expect(end.refusal == .notTakenIn)
    }

    /// Whatever it says, in whatever order, also with what it was told: a stranger gets neither a link nor anything done.
    @Test func aStrangerGetsNowhere() {
        var generator = SeededGenerator(seed: 1)
        for round in 0..<3_000 {
            var end = round % 2 == 0 ? Self.accepting("b", 7) : Self.dialling("b", to: "c", 7, looks: round % 4 == 1)
            end.did(end.handshake.begin(end.known))
            var own = Prover(secret: 8).exchange(dials: round % 2 == 0)
            for _ in 0..<8 {
                let frame = Self.anything(&own, told: end.said, &generator)
                let challenged = Bool.random(using: &generator)
                end.did(end.handshake.received(frame, challenged: challenged, end.known))
            }
            end.did(end.handshake.tookTooLong())
            for step in end.steps {
                switch step {
                case .ready, .takeIn, .found, .removed: Issue.record("round \(round): \(step)")
                case .say, .warn, .end: break
                }
            }
            #expect(end.reason != nil, "round \(round) does not end")
        }
    }

    private static func anything(
        _ own: inout SecretExchange, told: [HandshakeFrame], _ generator: inout SeededGenerator
    ) -> HandshakeFrame {
        let node: NodeID = ["a", "b", "c", "d"][Int.random(in: 0..<4, using: &generator)]
        var hello = known(node).rules.hello(lane: .bulk)
        if Bool.random(using: &generator) { hello.address = "" }
        for case .challenge(let bytes) in told { own.theirChallenge = bytes }
        switch Int.random(in: 0..<9, using: &generator) {
        case 0, 1:
            own.ownWord = .hello(hello)
            return .hello(hello)
        case 2: return .accept(hello)
        case 3, 4: return .challenge(own.challenge)
        case 5: return .proof(own.proof ?? own.challenge)
        case 6: return .join(join)
        case 7:
            let codes = HandshakeRefusal.Code.allCases
            return .refuse(HandshakeRefusal(code: codes[Int.random(in: 0..<codes.count, using: &generator)], text: "x"))
        // What it was told, back.
        default: return told.randomElement(using: &generator) ?? .proof(own.challenge)
        }
    }
}
