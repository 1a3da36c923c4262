internal import NIOCore
internal import RoostModel
package import RoostProtocol

/// Knows the cluster's secret, and makes proofs of that.
package protocol SecretProver: Sendable {
    /// A MAC under the secret, of a text and of the parts with their lengths: `HandshakeCodec.secretBytes` of them.
    func proof(by label: String, _ parts: [[UInt8]]) -> [UInt8]
}

/// One connection's exchange of proofs. Each proof is a MAC of what both ends said of themselves and of both
/// challenges, so that it serves no other connection, node or life.
package struct SecretExchange: Sendable {
    private let secret: any SecretProver
    private let dials: Bool
    package let challenge: [UInt8]
    /// What this end said of itself, and the other.
    package var ownWord: HandshakeFrame?
    package var theirWord: HandshakeFrame?
    package var theirChallenge: [UInt8]?

    /// - Parameters:
    ///   - challenge: `HandshakeCodec.secretBytes` that nobody could foresee.
    ///   - dials: this end does.
    package init(_ secret: any SecretProver, challenge: [UInt8], dials: Bool) {
        self.secret = secret
        self.challenge = challenge
        self.dials = dials
    }

    /// Nil before the other end's challenge.
    package var proof: [UInt8]? { proof(dials: dials) }

    package func accepts(_ bytes: [UInt8]) -> Bool {
        guard let expected = proof(dials: !dials) else { return false }
        return ConstantTime.equal(expected, bytes)
    }

    private func proof(dials side: Bool) -> [UInt8]? {
        guard let theirChallenge else { return nil }
        let own = [Self.bytes(ownWord), challenge]
        let theirs = [Self.bytes(theirWord), theirChallenge]
        return secret.proof(
            by: side ? "roost peer that dialled" : "roost peer that was dialled", dials ? own + theirs : theirs + own)
    }

    /// The same of a hello whichever end said it.
    private static func bytes(_ word: HandshakeFrame?) -> [UInt8] {
        var buffer = ByteBuffer()
        switch word {
        case .accept(let hello): HandshakeCodec.encode(.hello(hello), into: &buffer)
        case .some(let frame): HandshakeCodec.encode(frame, into: &buffer)
        case nil: break
        }
        return Array(buffer.readableBytesView)
    }
}
