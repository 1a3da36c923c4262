import NIOCore
import RoostCluster
import RoostModel
import RoostProtocol

@testable import RoostServer

/// The handshake alone: what the other end says, among it what only a node with the secret can say, in any order.
struct FuzzedHandshake {
    private var machine: PeerHandshake
    private let known: PeerHandshake.Knowledge?
    private let certified: [String]?
    private let hasSecret: Bool
    /// The other end's part, where there is a secret.
    private var exchange: SecretExchange?
    private var proved = false
    private var isOver = false
    private var isTakingIn = false
    private var flaw: String?

    static func flaw(in program: ByteBuffer) -> String? {
        var program = program
        guard let flags: UInt8 = program.readInteger() else { return nil }
        var run = FuzzedHandshake(flags)
        run.take(run.certified.map { run.machine.begin(certified: $0, run.known) } ?? run.machine.begin(run.known))
        while run.flaw == nil, let step: UInt8 = program.readInteger() { run.run(step, &program) }
        return run.flaw
    }

    private init(_ flags: UInt8) {
        let secret = flags & 1 == 0 ? FuzzedPeers.secret : nil
        let dials = flags & 2 != 0
        func exchange(_ byte: UInt8, dials: Bool) -> SecretExchange? {
            secret.map {
                SecretExchange(
                    $0, challenge: Array(repeating: byte, count: HandshakeCodec.secretBytes), dials: dials)
            }
        }
        hasSecret = secret != nil
        machine =
            dials
            ? PeerHandshake(
                dialling: FuzzedPeers.nodes[2], lane: flags & 4 == 0 ? .control : .bulk, looks: flags & 8 != 0,
                exchange(1, dials: true))
            : PeerHandshake(accepting: exchange(1, dials: false))
        self.exchange = exchange(2, dials: !dials)
        certified = [nil, ["node-1"], ["node-9"], ["node-3"]][Int(flags >> 4 & 3)]
        var rules = LinkRules(
            cluster: FuzzedPeers.cluster, clusterID: FuzzedPeers.founding, node: FuzzedPeers.nodes[0],
            store: StoreID(5), epoch: 1, minVersion: 1, maxVersion: 1, address: "192.0.2.5:7",
            knownNodes: FuzzedPeers.nodes.dropLast())
        rules.removedNodes = [FuzzedPeers.nodes[3]]
        known =
            flags & 64 == 0
            ? PeerHandshake.Knowledge(rules: rules, hasMoved: flags & 128 != 0) { $0 == "node-1" ? 1 : nil } : nil
    }

    private mutating func run(_ step: UInt8, _ program: inout ByteBuffer) {
        let argument: UInt8 = program.readInteger() ?? 0
        switch step % 8 {
        case 0:
            var bytes = program.readSlice(length: min(Int(argument), program.readableBytes)) ?? ByteBuffer()
            if let frame = try? HandshakeCodec.nextFrame(from: &bytes) { hear(frame, challenged: step & 128 != 0) }
        case 1: open(with: FuzzedPeers.greeting(argument), challenged: step & 128 != 0)
        case 2: open(with: FuzzedPeers.refusal(argument))
        case 3: open(with: FuzzedPeers.joining(argument), challenged: step & 128 != 0)
        case 4: if let exchange { hear(.challenge(exchange.challenge)) }
        case 5:
            guard let proof = exchange?.proof else { return }
            proved = true
            hear(.proof(proof))
        case 6: take(machine.tookTooLong())
        default:
            let mayAnswer = isTakingIn
            let steps = machine.answer(FuzzedPeers.refusal(argument))
            if !mayAnswer, !steps.isEmpty { flaw = "answered what was not asked" }
            isTakingIn = false
            isOver = false
            take(steps)
            isOver = isOver || mayAnswer
        }
    }

    private mutating func open(with word: HandshakeFrame, challenged: Bool = false) {
        exchange?.ownWord = word
        hear(word, challenged: challenged)
    }

    private mutating func hear(_ frame: HandshakeFrame, challenged: Bool = false) {
        take(machine.received(frame, challenged: challenged, known))
    }

    // MARK: What must hold

    private mutating func take(_ steps: [PeerHandshake.Step]) {
        if isOver, !steps.isEmpty { flaw = "goes on after its end: \(steps)" }
        for step in steps {
            switch step {
            case .say(let frames): for frame in frames { listen(frame) }
            case .warn: break
            case .ready(let hello):
                isOver = true
                if !isTrusted(hello.node) || known == nil { flaw = "a link with \(hello.node)" }
                if let dialled = machine.dialledNode, dialled != hello.node { flaw = "a link with another node" }
            case .takeIn(let hello):
                isTakingIn = true
                let isProved = hasSecret ? proved : certified != nil
                if !isProved || !isTrusted(hello.member.node) { flaw = "\(hello.member.node) may join" }
            case .found(let hello): if !isTrusted(hello.node) { flaw = "believed where \(hello.node) is" }
            case .removed: if hasSecret, !proved { flaw = "believed that this node was removed" }
            case .end: isOver = true
            }
        }
    }

    private func isTrusted(_ node: NodeID) -> Bool {
        (!hasSecret || proved) && certified?.contains(node.name) ?? true
    }

    private mutating func listen(_ frame: HandshakeFrame) {
        var bytes = ByteBuffer()
        HandshakeCodec.encode(frame, into: &bytes)
        if (try? HandshakeCodec.nextFrame(from: &bytes)) != frame { flaw = "\(frame) cannot be read" }
        switch frame {
        case .challenge(let challenge): exchange?.theirChallenge = challenge
        case .hello, .accept, .refuse: exchange?.theirWord = frame
        case .proof, .join, .joined: break
        }
    }
}
