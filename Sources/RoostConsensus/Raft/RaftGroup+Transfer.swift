internal import RoostModel
package import RoostProtocol

/// Handing leadership on (Ongaro 2014, 3.10).
extension RaftGroup {
    /// The voter to hand leadership to: reachable, fit, and the furthest. Nil if there is none.
    package var bestTransferTarget: RaftPeer? {
        guard role == .leader else { return nil }
        var best: RaftProgress?
        for peer in peers where isFit(peer) {
            if peer.match > best?.match ?? 0 { best = peer }
        }
        return best?.peer
    }

    package var isTransferring: Bool { transfer != nil }

    mutating func startTransfer(to target: RaftPeer, _ now: UInt64, _ actions: inout [Action]) {
        guard role == .leader, transfer == nil, let position = position(of: target), peers[position].isVoter else {
            return
        }
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
