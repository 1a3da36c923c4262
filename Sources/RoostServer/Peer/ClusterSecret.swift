internal import Crypto
internal import Foundation
internal import NIOCore
internal import RoostProtocol

/// What all nodes of a cluster know and nobody else: whoever dials a peer port proves it, and so does who answers. It
/// never leaves the node.
package struct ClusterSecret: Sendable {
    /// Fewer bytes could be guessed.
    package static let minimumBytes = 16
    private let key: SymmetricKey

    /// - Parameter text: of the file; white space around it does not count. Nil where it is too short.
    package init?(_ text: String) {
        let text = text.trimmingCharacters(in: .whitespacesAndNewlines)
        guard text.utf8.count >= Self.minimumBytes else { return nil }
        key = SymmetricKey(data: SHA256.hash(data: Data(text.utf8)))
    }

    fileprivate func proof(by label: String, _ parts: [[UInt8]]) -> [UInt8] {
        var mac = HMAC<SHA256>(key: key)
        mac.update(data: Data(label.utf8))
        for part in parts {
            mac.update(data: withUnsafeBytes(of: UInt32(part.count).bigEndian) { Data($0) })
            mac.update(data: Data(part))
        }
        return Array(mac.finalize())
    }

    static func challenge() -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<HandshakeCodec.secretBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }
}

/// One connection's exchange of proofs. Each proof is a MAC of what both ends said of themselves and of both
/// challenges, so that it serves no other connection, node or life.
struct SecretExchange {
    private let secret: ClusterSecret
    private let dials: Bool
    let challenge = ClusterSecret.challenge()
    /// What this end said of itself, and the other.
    var ownWord: HandshakeFrame?
    var theirWord: HandshakeFrame?
    var theirChallenge: [UInt8]?

    init(_ secret: ClusterSecret, dials: Bool) {
        self.secret = secret
        self.dials = dials
    }

    var proof: [UInt8]? { proof(dials: dials) }

    func accepts(_ bytes: [UInt8]) -> Bool {
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
