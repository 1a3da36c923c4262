import RoostModel
import RoostProtocol

@testable import RoostServer

/// Whom the fuzzer lets talk on the peer port, and what they say of themselves.
enum FuzzedPeers {
    static let secret = ClusterSecret("of the fuzzer: not to be guessed")
    static let cluster = "fuzz"
    static let founding = UUID128(high: 1, low: 2)
    /// The node itself, one that dials it, one that it dials, and a stranger.
    static let nodes: [NodeID] = ["node-5", "node-1", "node-9", "node-3"]

    /// - Parameter kind: bits of who says what of himself.
    static func greeting(_ kind: UInt8) -> HandshakeFrame {
        let hello = HandshakeHello(
            minVersion: 1, maxVersion: 1, cluster: cluster,
            clusterID: kind & 8 != 0 ? .zero : kind & 16 != 0 ? UUID128(high: 9, low: 9) : founding,
            node: nodes[Int(kind & 3)], store: StoreID(1), epoch: kind & 32 == 0 ? 1 : 2,
            lane: kind & 4 == 0 ? .control : .bulk, address: kind & 64 == 0 ? "192.0.2.1:7" : "")
        return kind & 128 == 0 ? .hello(hello) : .accept(hello)
    }

    static func refusal(_ kind: UInt8) -> HandshakeFrame {
        let codes = HandshakeRefusal.Code.allCases
        return .refuse(HandshakeRefusal(code: codes[Int(kind) % codes.count], text: "no"))
    }

    static func joining(_ kind: UInt8) -> HandshakeFrame {
        let member = RingMember(
            node: nodes[Int(kind & 3)], host: "192.0.2.1", peerPort: 1, clientPort: 2, adminPort: 3, since: 0)
        return .join(
            JoinHello(minVersion: 1, maxVersion: 1, cluster: kind & 4 == 0 ? cluster : "other", member: member))
    }
}
