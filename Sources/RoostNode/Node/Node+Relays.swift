import NIOCore
import RoostCluster
import RoostModel
import RoostProtocol

/// Two nodes that have lost the link between them talk through a third that has links with both: proposals, reads,
/// streams, acknowledgements and presence, over one hop. Each node tells the others whom it has links with, so everyone
/// knows who can relay. SWIM, Raft and the founding take no part: they judge the links themselves, and a leader that
/// reaches a majority needs no detour.
extension Node {
    func isReachable(_ node: NodeID) -> Bool { peers[node]?.onCore { $0.isReachable } ?? false }

    /// A link of this node came or went.
    func linksChanged() {
        let up = peers.keys.filter { $0 != me && isUp($0) }.sorted()
        for node in up { send(control: .reaches(up), to: node) }
        reaches = reaches.filter { up.contains($0.key) }
        chooseRelays()
    }

    func received(reaches nodes: [NodeID], from node: NodeID) {
        reaches[node] = Set(nodes)
        chooseRelays()
    }

    private func chooseRelays() {
        for node in peers.keys.sorted() where node != me && !isUp(node) {
            guard let peer = peers[node] else { continue }
            let candidates = reaches.keys.filter { isUp($0) && reaches[$0]?.contains(node) == true }.sorted()
            let former = peer.onCore { $0.relay }
            if let former, candidates.contains(former) { continue }
            guard former != candidates.first else { continue }
            peer.onCore { $0.goThrough(candidates.first) }
            if former != nil { lostTouch(with: node) }
            guard candidates.first != nil else { continue }
            reopenStreams()
            for id in partitionsLed(by: node) { resendCalls(of: id) }
        }
    }

    /// What rode on the way to the node may have got lost.
    func lostTouch(with node: NodeID) {
        for partition in sortedPartitions { partition.onCore { $0.endStream(to: node) } }
        for index in receivers.indices where receivers[index].leader == node { receivers[index].leaderLost() }
        dropOpens(to: node)
    }

    /// End of the turn: what was gathered for the node goes out, on its link or through its relay.
    func flush(_ peer: Peer) {
        let detour = peer.onCore { $0.flush() }
        guard !detour.isEmpty, let relay = peer.onCore({ $0.relay }) else { return }
        for frame in detour {
            var wire = ByteBuffer()
            guard PeerFrameCodec.encode(frame, into: &wire) else { continue }
            while let body = try? PeerFrameCodec.nextFrame(from: &wire) {
                send(stream: .relayed(RelayedFrame(origin: me, target: peer.id, frame: body)), to: relay)
            }
        }
    }

    /// For this node, or to be passed on: then from the neighbour whose it is, to another neighbour.
    func received(_ relayed: RelayedFrame, from node: NodeID) {
        guard relayed.target == me else {
            if relayed.origin == node, isUp(relayed.target) { send(stream: .relayed(relayed), to: relayed.target) }
            return
        }
        var body = relayed.frame
        guard relayed.origin != me, peers[relayed.origin] != nil, let frame = try? PeerFrameCodec.decode(&body),
            frame.mayBeRelayed
        else { return }
        receive([frame], from: relayed.origin)
    }
}

extension PeerFrame {
    /// What rides on a link's own state stays on it.
    var mayBeRelayed: Bool {
        switch self {
        case .swim, .founding, .linkPing, .linkPong, .raft, .reaches, .draining, .clock, .repair, .ring, .relayed:
            false
        case .presence, .propose, .proposalResults, .read, .readReplies, .open, .opened, .unsubscribe, .deliver,
            .streamStatus, .acks, .revoked, .tokensRevoked:
            true
        }
    }
}
