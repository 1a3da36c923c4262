internal import RoostModel
package import RoostProtocol

/// Handing leadership on (Ongaro 2014, 3.10).
extension RaftGroup {
    /// The voter to hand leadership to: reachable, fit, not draining, and the furthest; one that has just failed to take it
    /// comes last. Nil if there is none.
    package var bestTransferTarget: RaftPeer? {
        guard role == .leader else { return nil }
        var best: RaftProgress?
        for peer in peers where isFit(peer) && !draining.contains(peer.peer.node) {
            guard peer.match > 0 else { continue }
            guard let former = best else {
                best = peer
                continue
            }
            if former.peer == failedTarget || peer.peer != failedTarget && peer.match > former.match { best = peer }
        }
        return best?.peer
    }

    var isDraining: Bool { draining.contains(me.node) }

    mutating func startDraining(_ node: NodeID) {
        if !draining.contains(node) { draining.append(node) }
        if transfer?.target.node == node { giveUpTransfer() }
    }

    /// The target may still take over: then its term ends this leadership. Meanwhile it goes on.
    mutating func giveUpTransfer() {
        failedTarget = transfer?.target
        transfer = nil
    }

    package var isTransferring: Bool { transfer != nil }

    mutating func startTransfer(to target: RaftPeer, _ now: UInt64, _ actions: inout [Action]) {
        guard role == .leader, transfer == nil, let position = position(of: target), peers[position].isVoter,
            !draining.contains(target.node)
        else { return }
        rouse(now)
        transfer = Transfer(target: target, deadline: now + options.electionTimeout)
        replicate(position, now, &actions)
        tellTransferTarget(position, &actions)
    }

    /// Once it has all, it is told to campaign; nothing is appended meanwhile.
    mutating func tellTransferTarget(_ position: Int, _ actions: inout [Action]) {
        guard let transfer, !transfer.isTold, transfer.target == peers[position].peer,
            peers[position].match == log.lastIndex
        else { return }
        self.transfer?.isTold = true
        actions.append(.send(.timeoutNow(term: term), to: transfer.target))
    }
}
