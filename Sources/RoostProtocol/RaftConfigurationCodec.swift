public import NIOCore
internal import RoostModel

/// The payload of a `configuration` entry, big-endian: version 1 (1 byte), then voters, learners and tombstones, each as
/// a count (2 bytes) and that many peers. A peer is the length of its node id (1 byte), the node id in UTF-8, and the
/// store id (8 bytes).
extension RaftConfiguration {
    private static let codecVersion: UInt8 = 1

    /// Node ids are at most 255 bytes and lists at most 65,535 long; longer ones are cut, so check before.
    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeInteger(Self.codecVersion)
        for list in [voters, learners, tombstones] {
            let peers = list.prefix(Int(UInt16.max))
            buffer.writeInteger(UInt16(peers.count))
            for peer in peers {
                let name = peer.node.name.utf8.prefix(Int(UInt8.max))
                buffer.writeInteger(UInt8(name.count))
                buffer.writeBytes(name)
                buffer.writeInteger(peer.store.value)
            }
        }
    }

    /// Nil unless the buffer's readable bytes are exactly one configuration.
    public init?(decoding buffer: inout ByteBuffer) {
        guard buffer.readInteger(as: UInt8.self) == Self.codecVersion,
            let voters = Self.readPeers(&buffer),
            let learners = Self.readPeers(&buffer),
            let tombstones = Self.readPeers(&buffer),
            buffer.readableBytes == 0
        else { return nil }
        self.init(voters: voters, learners: learners, tombstones: tombstones)
    }

    private static func readPeers(_ buffer: inout ByteBuffer) -> [RaftPeer]? {
        guard let count = buffer.readInteger(as: UInt16.self) else { return nil }
        // Nine bytes are the least a peer takes: no room is reserved for more than can follow.
        guard Int(count) * 9 <= buffer.readableBytes else { return nil }
        var peers: [RaftPeer] = []
        peers.reserveCapacity(Int(count))
        for _ in 0..<count {
            guard let length = buffer.readInteger(as: UInt8.self),
                let bytes = buffer.readSlice(length: Int(length)),
                let name = String(validating: bytes.readableBytesView, as: UTF8.self),
                let store = buffer.readInteger(as: UInt64.self)
            else { return nil }
            peers.append(RaftPeer(node: NodeID(name), store: StoreID(store)))
        }
        return peers
    }
}
