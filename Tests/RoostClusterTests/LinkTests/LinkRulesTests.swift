import RoostCluster
import RoostModel
import RoostProtocol
import Testing

private let founded = UUID128(high: 1, low: 2)

private func rules() -> LinkRules {
    LinkRules(
        cluster: "dev", clusterID: founded, node: "node-2", store: StoreID(22), epoch: 50, minVersion: 2,
        maxVersion: 4, address: "host-2:7002", knownNodes: ["node-3", "node-1", "node-2"])
}

private func hello(
    from node: NodeID = "node-1", _ change: (inout HandshakeHello) -> Void = { _ in }
) -> HandshakeHello {
    var hello = HandshakeHello(
        minVersion: 1, maxVersion: 3, cluster: "dev", clusterID: founded, node: node, store: StoreID(11), epoch: 40,
        lane: .control, address: "host-1:7001")
    change(&hello)
    return hello
}

@Suite("Handshake")
struct LinkRulesTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let hello: HandshakeHello
        var role = LinkRules.Role.accepted
        var latest: Epoch?
        let refused: HandshakeRefusal.Code?
        var version: UInt16 = 3
        var testDescription: String { name }
    }

    static let cases: [Case] = [
        Case(name: "all fits", hello: hello(), refused: nil),
        Case(name: "the highest common version", hello: hello { $0.maxVersion = 9 }, refused: nil, version: 4),
        Case(name: "the lowest common version", hello: hello { $0.maxVersion = 2 }, refused: nil, version: 2),
        Case(name: "too old", hello: hello { $0.maxVersion = 1 }, refused: .noCommonVersion),
        Case(
            name: "too new",
            hello: hello {
                $0.minVersion = 5; $0.maxVersion = 6
            }, refused: .noCommonVersion),
        Case(name: "versions upside down", hello: hello { $0.minVersion = 4 }, refused: .malformed),
        Case(name: "no id", hello: hello(from: ""), refused: .malformed),
        Case(name: "no epoch", hello: hello { $0.epoch = 0 }, refused: .malformed),
        Case(name: "another cluster", hello: hello { $0.cluster = "prod" }, refused: .otherCluster),
        Case(
            name: "founded apart", hello: hello { $0.clusterID = UUID128(high: 1, low: 3) }, refused: .otherFounding),
        Case(name: "a blank node", hello: hello { $0.clusterID = .zero }, refused: nil),
        Case(name: "unknown", hello: hello(from: "node-0"), refused: .unknownNode),
        Case(name: "own id", hello: hello(from: "node-2"), refused: .ownID),
        Case(name: "a former life", hello: hello(), latest: 41, refused: .staleEpoch),
        Case(name: "the life that is known", hello: hello(), latest: 40, refused: nil),
        Case(name: "a later life", hello: hello(), latest: 39, refused: nil),
        Case(name: "whom it should have waited for", hello: hello(from: "node-3"), refused: .wrongDirection),
        Case(name: "whom it dialled", hello: hello(from: "node-3"), role: .dialled("node-3"), refused: nil),
        Case(name: "another answers", hello: hello(from: "node-1"), role: .dialled("node-3"), refused: .unexpectedNode),
        Case(
            name: "the greatest stranger first",
            hello: hello(from: "node-2") {
                $0.cluster = "prod"; $0.maxVersion = 1
            }, refused: .otherCluster),
    ]

    @Test("a hello is judged by", arguments: cases)
    func decide(_ example: Case) {
        switch rules().decide(example.hello, role: example.role, latestEpoch: example.latest) {
        case .accept(let version):
            #expect(example.refused == nil)
            #expect(version == example.version)
        case .refuse(let refusal):
            #expect(refusal.code == example.refused)
            #expect(!refusal.text.isEmpty && refusal.text.utf8.count <= 255)
        }
    }

    @Test("a blank node links with a founded one")
    func blank() {
        var blank = rules()
        blank.clusterID = .zero
        #expect(blank.decide(hello(), role: .accepted, latestEpoch: nil) == .accept(version: 3))
    }

    @Test("of two nodes exactly one dials, and what it says of itself the other accepts")
    func mutual() {
        var other = rules()
        other.node = "node-1"
        #expect(other.dials("node-2") && !rules().dials("node-1"))
        #expect(rules().decide(other.hello(lane: .bulk), role: .accepted, latestEpoch: nil) == .accept(version: 4))
        let answer = rules().hello(lane: .bulk)
        #expect(other.decide(answer, role: .dialled("node-2"), latestEpoch: 50) == .accept(version: 4))
        #expect(answer.lane == .bulk && answer.store == StoreID(22) && answer.address == "host-2:7002")
    }

    @Test("a node of a grown ring may link")
    func grown() {
        var grown = rules()
        grown.setKnownNodes(["node-0", "node-2"])
        #expect(grown.decide(hello(from: "node-0"), role: .accepted, latestEpoch: nil) == .accept(version: 3))
    }

    @Test("a refusal's text is clipped between characters")
    func clipped() {
        let long = String(repeating: "ü", count: 400)
        let decision = rules().decide(hello { $0.cluster = long }, role: .accepted, latestEpoch: nil)
        guard case .refuse(let refusal) = decision else { return #expect(Bool(false)) }
        #expect((254...255).contains(refusal.text.utf8.count))
    }
}
