internal import Crypto
internal import Foundation
internal import RoostCluster
internal import RoostProtocol

/// What all nodes of a cluster know and nobody else: whoever dials a peer port proves it, and so does who answers. It
/// never leaves the node.
package struct ClusterSecret: SecretProver {
    /// Fewer bytes could be guessed.
    package static let minimumBytes = 16
    private let key: SymmetricKey

    /// - Parameter text: of the file; white space around it does not count. Nil where it is too short.
    package init?(_ text: String) {
        let text = text.trimmingCharacters(in: .whitespacesAndNewlines)
        guard text.utf8.count >= Self.minimumBytes else { return nil }
        key = SymmetricKey(data: SHA256.hash(data: Data(text.utf8)))
    }

    package func proof(by label: String, _ parts: [[UInt8]]) -> [UInt8] {
        var mac = HMAC<SHA256>(key: key)
        mac.update(data: Data(label.utf8))
        for part in parts {
            mac.update(data: withUnsafeBytes(of: UInt32(part.count).bigEndian) { Data($0) })
            mac.update(data: Data(part))
        }
        return Array(mac.finalize())
    }

    /// With a challenge of its own.
    func exchange(dials: Bool) -> SecretExchange {
        var generator = SystemRandomNumberGenerator()
        let challenge = (0..<HandshakeCodec.secretBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        return SecretExchange(self, challenge: challenge, dials: dials)
    }
}
