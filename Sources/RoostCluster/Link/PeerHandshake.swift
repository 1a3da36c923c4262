package import RoostModel
package import RoostProtocol

/// One end's part in the handshake of one lane: from what comes it decides what is said, and what becomes of the
/// connection. After `ready` and `end` it says nothing more.
package struct PeerHandshake: Sendable {
    package enum Step: Sendable, Equatable {
        case say([HandshakeFrame])
        /// For the operator's log.
        case warn(String)
        /// Hands are shaken: what follows belongs to the link.
        case ready(HandshakeHello)
        /// The node is to decide; `answer` follows, and has no deadline here.
        case takeIn(JoinHello)
        /// A node that this one dials says where it listens now.
        case found(HandshakeHello)
        /// This node was taken out of the cluster, as one of it says that proved that it is.
        case removed
        /// The connection is to be closed.
        case end(String)
    }

    /// What the node knows at the moment.
    package struct Knowledge {
        package var rules: LinkRules
        /// The nodes that should dial this one do not know where it is.
        package var hasMoved: Bool
        package var latestEpoch: (NodeID) -> Epoch?

        package init(rules: LinkRules, hasMoved: Bool, latestEpoch: @escaping (NodeID) -> Epoch?) {
            self.rules = rules
            self.hasMoved = hasMoved
            self.latestEpoch = latestEpoch
        }
    }

    private enum Phase: Sendable {
        /// We said hello, and the other end's is due.
        case dialled(NodeID, PeerLane)
        /// The other end's hello is due.
        case accepted
        /// Both ends have said who they are; that the other knows the secret is to be proved.
        case proving(HandshakeHello)
        /// We refuse, and prove that it is we who do.
        case refusing(HandshakeRefusal)
        /// We were refused; that it was the other end is to be proved.
        case refused(HandshakeRefusal)
        /// A blank node wants to be taken in; its proof is due.
        case joining(JoinHello)
        /// The node decides on it.
        case takingIn(JoinHello)
        case over
    }

    /// Nil where this end was dialled.
    package let dialledNode: NodeID?
    /// To a node that should dial this one: no link comes of it.
    private let looks: Bool
    private var phase: Phase
    /// Where the cluster has a secret.
    private var exchange: SecretExchange?
    /// Whose certificate the other end has shown; nil without TLS.
    private var certified: [String]?
    /// Told once it has proved who it is: it should wait to be dialled, at the address that it says.
    private var misdirected: HandshakeRefusal?

    package init(accepting exchange: SecretExchange?) {
        self.exchange = exchange
        dialledNode = nil
        looks = false
        phase = .accepted
    }

    package init(dialling node: NodeID, lane: PeerLane, looks: Bool, _ exchange: SecretExchange?) {
        self.exchange = exchange
        self.looks = looks
        dialledNode = node
        phase = .dialled(node, lane)
    }

    // MARK: What happens

    /// The connection stands, and no TLS is to come first: the dialling end's first word.
    package mutating func begin(_ known: Knowledge?) -> [Step] {
        guard case .dialled(_, let lane) = phase else { return [] }
        guard let hello = hello(lane, known) else { return goingDown() }
        exchange?.ownWord = .hello(hello)
        return [.say([.hello(hello)] + (exchange.map { [.challenge($0.challenge)] } ?? []))]
    }

    /// TLS has shaken hands.
    /// - Parameter names: of the other end's certificate.
    package mutating func begin(certified names: [String], _ known: Knowledge?) -> [Step] {
        if let dialledNode, !names.contains(dialledNode.name) {
            return distrust("the certificate there is of \(names.joined(separator: ", ")), not of \(dialledNode)")
        }
        certified = names
        return begin(known)
    }

    /// The other end's certificate cannot be read, or is another node's.
    package mutating func distrust(_ reason: String) -> [Step] {
        [.warn("connection closed: \(reason)")] + end(reason)
    }

    /// - Parameter challenged: the next frame is there already, and is a challenge.
    package mutating func received(_ frame: HandshakeFrame, challenged: Bool, _ known: Knowledge?) -> [Step] {
        switch (phase, frame) {
        case (.over, _): []
        case (.accepted, .hello(let hello)): judge(hello, .accepted, challenged, known)
        case (.accepted, .join(let hello)): begin(joining: hello, challenged, known)
        case (.dialled(let node, let lane), .accept(let hello)):
            hello.lane == lane
                ? judge(hello, .dialled(node), challenged, known) : end("the other end answered for another lane")
        case (.proving, .challenge(let bytes)), (.joining, .challenge(let bytes)), (.refusing, .challenge(let bytes)),
            (.refused, .challenge(let bytes)):
            self.challenged(bytes, known)
        case (.proving(let hello), .proof(let bytes)): proved(hello, bytes)
        case (.joining(let hello), .proof(let bytes)): proved(hello, bytes, known)
        case (.refused(let refusal), .proof(let bytes)):
            exchange?.accepts(bytes) == true ? wasRemoved(refusal) : tookTooLong()
        case (.dialled, .refuse(let refusal)) where refusal.code == .removedNode: heardOfRemoval(refusal)
        case (_, .refuse(let refusal)):
            // A node that looks for those it does not dial is told so.
            (refusal.code == .wrongDirection ? [] : [.warn("the other end refused the link: \(refusal.text)")])
                + end("refused: \(refusal.text)")
        default: end("a handshake out of order")
        }
    }

    package mutating func tookTooLong() -> [Step] {
        switch phase {
        case .over, .takingIn: []
        case .proving where dialledNode != nil:
            end("the other end proves no cluster secret: see security.cluster_secret_file")
        case .proving, .joining:
            refuse(.secret, "this cluster has a secret, and this node proves none: see security.cluster_secret_file")
        case .refusing(let refusal): refuse(refusal.code, refusal.text)
        case .refused: end("refused, by one that proves no cluster secret")
        case .dialled, .accepted: end("no handshake in time")
        }
    }

    /// What the node has decided after `takeIn`: `joined`, or a refusal.
    package mutating func answer(_ frame: HandshakeFrame) -> [Step] {
        guard case .takingIn = phase else { return [] }
        if case .refuse(let refusal) = frame { return refuse(refusal.code, refusal.text) }
        return [.say([frame])] + end("taken in")
    }

    // MARK: A link

    private mutating func judge(
        _ hello: HandshakeHello, _ role: LinkRules.Role, _ challenged: Bool, _ known: Knowledge?
    ) -> [Step] {
        let decision =
            known.map { $0.rules.decide(hello, role: role, latestEpoch: $0.latestEpoch(hello.node)) }
            ?? .refuse(HandshakeRefusal(code: .malformed, text: Self.isGoingDown))
        let answering = role == .accepted
        switch decision {
        case .refuse(let refusal) where refusal.code == .removedNode && answering && exchange != nil:
            // It is believed what is proved; its challenge follows.
            exchange?.theirWord = .hello(hello)
            exchange?.ownWord = .refuse(refusal)
            phase = .refusing(refusal)
            return []
        case .refuse(let refusal) where refusal.code == .wrongDirection && answering && !hello.address.isEmpty:
            guard isCertified(hello.node) else { return notCertified(hello.node) }
            misdirected = refusal
            guard exchange != nil else { return redirect(hello, refusal) }
            exchange?.theirWord = .hello(hello)
            phase = .proving(hello)
            return []
        case .refuse(let refusal):
            return refuse(refusal, warning: "refused a link of \(hello.node): \(refusal.text)")
        case .accept:
            guard isCertified(hello.node) else { return notCertified(hello.node) }
            guard exchange == nil else {
                exchange?.theirWord = .hello(hello)
                phase = .proving(hello)
                return []
            }
            guard answering else { return ready(hello) }
            if challenged { return refuse(.secret, Self.noSecret) }
            guard let own = self.hello(hello.lane, known) else { return goingDown() }
            return [.say([.accept(own)])] + ready(hello)
        }
    }

    private mutating func ready(_ hello: HandshakeHello) -> [Step] {
        phase = .over
        return [.ready(hello)]
    }

    /// It has moved, and is dialled where it is now.
    private mutating func redirect(_ hello: HandshakeHello, _ refusal: HandshakeRefusal) -> [Step] {
        [.found(hello)] + refuse(refusal, warning: nil)
    }

    /// Only the one that was dialled is believed that: whoever dials may be anybody. Nor may whoever answers there.
    private mutating func heardOfRemoval(_ refusal: HandshakeRefusal) -> [Step] {
        guard exchange != nil else { return wasRemoved(refusal) }
        exchange?.theirWord = .refuse(refusal)
        phase = .refused(refusal)
        return []
    }

    private mutating func wasRemoved(_ refusal: HandshakeRefusal) -> [Step] {
        [.warn("the other end refused the link: \(refusal.text)"), .removed] + end("refused: \(refusal.text)")
    }

    // MARK: The secret

    private mutating func challenged(_ bytes: [UInt8], _ known: Knowledge?) -> [Step] {
        guard exchange != nil else { return refuse(.secret, Self.noSecret) }
        guard exchange?.theirChallenge == nil else { return end("a handshake out of order") }
        exchange?.theirChallenge = bytes
        switch phase {
        // The dialling end waits for the proof that follows.
        case .proving(let hello) where dialledNode == nil:
            guard let own = self.hello(hello.lane, known) else { return goingDown() }
            exchange?.ownWord = .accept(own)
            return prove(after: [.accept(own)])
        case .joining: return prove(after: [])
        case .refusing(let refusal):
            return [.warn("refused a link: \(refusal.text)")] + prove(after: [.refuse(refusal)])
                + end("refused by this node: \(refusal.text)")
        default: return []
        }
    }

    private func prove(after first: [HandshakeFrame]) -> [Step] {
        guard let exchange, let proof = exchange.proof else { return [] }
        return [.say(first + [.challenge(exchange.challenge), .proof(proof)])]
    }

    private mutating func proved(_ hello: HandshakeHello, _ bytes: [UInt8]) -> [Step] {
        guard let exchange, exchange.accepts(bytes) else {
            return refuse(.secret, "\(hello.node) has another cluster secret, or none")
        }
        if let misdirected { return redirect(hello, misdirected) }
        guard dialledNode != nil, let proof = exchange.proof else { return ready(hello) }
        // Of one that only looks the refusal follows.
        return [.say([.proof(proof)])] + (looks ? [] : ready(hello))
    }

    // MARK: Joining

    private mutating func begin(joining hello: JoinHello, _ challenged: Bool, _ known: Knowledge?) -> [Step] {
        guard isCertified(hello.member.node) else { return notCertified(hello.member.node) }
        guard exchange == nil else {
            exchange?.theirWord = .join(hello)
            phase = .joining(hello)
            return []
        }
        // Then the certificate is the proof.
        guard certified != nil else {
            return refuse(
                .secret, "this node has no cluster secret, without which nobody joins: see security.cluster_secret_file"
            )
        }
        return challenged ? refuse(.secret, Self.noSecret) : takeIn(hello, known)
    }

    private mutating func proved(_ hello: JoinHello, _ bytes: [UInt8], _ known: Knowledge?) -> [Step] {
        guard let exchange, exchange.accepts(bytes) else {
            return refuse(.secret, "\(hello.member.node) has another cluster secret")
        }
        return takeIn(hello, known)
    }

    private mutating func takeIn(_ hello: JoinHello, _ known: Knowledge?) -> [Step] {
        guard let known else { return goingDown() }
        if let refusal = known.rules.decide(hello) { return refuse(refusal.code, refusal.text) }
        phase = .takingIn(hello)
        return [.takeIn(hello)]
    }

    // MARK: Parts

    private static let noSecret = "this node has no cluster secret: see security.cluster_secret_file"
    private static let isGoingDown = "this node is going down"

    /// One that only looks tells an address only where that is news.
    private func hello(_ lane: PeerLane, _ known: Knowledge?) -> HandshakeHello? {
        guard let known else { return nil }
        var hello = known.rules.hello(lane: lane)
        if looks, !known.hasMoved { hello.address = "" }
        return hello
    }

    /// Without TLS whoever says so.
    private func isCertified(_ node: NodeID) -> Bool { certified?.contains(node.name) ?? true }

    private mutating func notCertified(_ node: NodeID) -> [Step] {
        refuse(.certificate, "the certificate is not \(node)'s")
    }

    private mutating func refuse(_ code: HandshakeRefusal.Code, _ text: String) -> [Step] {
        refuse(HandshakeRefusal(code: code, text: text), warning: "refused a connection: \(text)")
    }

    private mutating func refuse(_ refusal: HandshakeRefusal, warning: String?) -> [Step] {
        // Who should wait to be dialled is no news.
        let warned = refusal.code == .wrongDirection ? nil : warning
        return (warned.map { [.warn($0)] } ?? []) + [.say([.refuse(refusal)])]
            + end("refused by this node: \(refusal.text)")
    }

    private mutating func goingDown() -> [Step] { end(Self.isGoingDown) }

    private mutating func end(_ reason: String) -> [Step] {
        phase = .over
        return [.end(reason)]
    }
}
