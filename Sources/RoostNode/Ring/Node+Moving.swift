import Logging
import RoostModel
import RoostProtocol

/// Nodes that come back under another address. Where they were is in the ring, as each said it of itself when it was
/// founded or joined; a node that listens elsewhere now says so to those that would dial it, and has the ring changed.
extension Node {
    /// Where a node may be, the likeliest first.
    func addresses(of node: NodeID) -> [String] {
        let file = configuration.node(node)?.peerAddress
        var list = ring?[node]?.addresses(inFile: file) ?? file.map { [$0] } ?? []
        if let found = foundAt[node] {
            list.removeAll { $0 == found }
            list.insert(found, at: 0)
        }
        return list
    }

    /// This node listens elsewhere than the ring says.
    var hasMoved: Bool {
        guard let listed = ring?[me], let own = configuration.node(me) else { return false }
        return listed.state != .removed && listed.peerAddress != own.peerAddress
    }

    /// It says so itself: it is dialled there from now on, until the ring says where it is.
    func hasFound(_ node: NodeID, at address: String) {
        guard peers[node] != nil, node != me, addresses(of: node).first != address else { return }
        foundAt[node] = address
        context.logger.notice("\(node): has moved", metadata: ["address": "\(address)"])
    }

    /// So that it is known everywhere, and after a restart.
    func announceMove() {
        guard hasMoved, phase == .serving, !proposingRing, let own = configuration.node(me) else { return }
        proposingRing = true
        call(.propose(.changeRing(.move(RingMember(own)))), partition: 0) { [weak self] _ in
            self?.onCore { $0.proposingRing = false }
        }
    }
}

extension RingMember {
    /// Where it may be. The file of a node may know another way to it than it knows itself, and an operator may have
    /// changed the file; but what the node has said since then is newer.
    func addresses(inFile file: String?) -> [String] {
        guard let file, file != peerAddress else { return [peerAddress] }
        return moved > 0 ? [peerAddress, file] : [file]
    }
}
