internal import NIOCore
internal import RoostModel
package import RoostProtocol

/// Membership, one peer at a time (Ongaro 2014, 4.1 and 4.2): a configuration is in force once it is in the log.
extension RaftGroup {
    /// The index of the new configuration's entry. It holds once that is committed.
    package mutating func changeMembership(
        _ change: MembershipChange, now: UInt64, into actions: inout [Action]
    ) -> Result<UInt64, MembershipRefusal> {
        guard role == .leader, transfer == nil, !isStorageFull else { return .failure(.notLeader) }
        guard commitIndex >= termStart, commitIndex >= log.configurationIndex else { return .failure(.notReady) }
        var next = configuration
        if let refusal = apply(change, to: &next) { return .failure(refusal) }
        rouse(now)
        var payload = ByteBuffer()
        next.encode(into: &payload)
        let entry = RaftEntry(index: log.lastIndex + 1, term: term, kind: .configuration, payload: payload)
        log.addConfiguration(next, at: entry.index)
        adoptConfiguration(now)
        appendAsLeader([entry], now, &actions)
        actions.append(.membershipChanged(next))
        finish(now, &actions)
        return .success(entry.index)
    }

    private func apply(_ change: MembershipChange, to next: inout RaftConfiguration) -> MembershipRefusal? {
        switch change {
        case .addLearner(let peer):
            guard !next.voters.contains(peer), !next.learners.contains(peer), !next.tombstones.contains(peer) else {
                return .invalid
            }
            next = RaftConfiguration(
                voters: next.voters, learners: next.learners + [peer], tombstones: next.tombstones)
        case .promote(let peer):
            guard next.learners.contains(peer), let position = position(of: peer) else { return .invalid }
            guard peers[position].isReachable, log.lastIndex - peers[position].match <= options.promotionLag else {
                return .notCaughtUp
            }
            next = RaftConfiguration(
                voters: next.voters + [peer], learners: next.learners.filter { $0 != peer },
                tombstones: next.tombstones)
        case .remove(let peer), .giveUp(let peer):
            if peer == me { return .isLeader }
            let isVoter = next.voters.contains(peer)
            let isGivenUp = if case .giveUp = change { true } else { false }
            // Whoever is given up may never have become a member: the entry that made it one was lost.
            guard isVoter || isGivenUp || next.learners.contains(peer), next.voters != [peer],
                !next.tombstones.contains(peer), next.tombstones.count < options.maxTombstones
            else { return .invalid }
            // A learner had no vote: one that was taken for lost, by a leader whose link was out of date, comes back.
            let isBuried = (isVoter || isGivenUp) && !options.planted.contains(.tombstonesForgotten)
            next = RaftConfiguration(
                voters: next.voters.filter { $0 != peer }, learners: next.learners.filter { $0 != peer },
                tombstones: next.tombstones + (isBuried ? [peer] : []))
        }
        return nil
    }

    /// Removed by a committed entry, and so for good. One that is not committed may have been of a leader that is gone,
    /// and the peer may lead.
    package func isTombstone(_ peer: RaftPeer) -> Bool {
        guard let record = log.configurations.first, record.index <= commitIndex else { return false }
        return record.configuration.tombstones.contains(peer)
    }

    /// Brings what is derived from the configuration in line with the one now in force.
    mutating func adoptConfiguration(_ now: UInt64 = 0) {
        let current = configuration
        isVoter = current.voters.contains(me)
        var next: [RaftProgress] = []
        for (members, isVoter) in [(current.voters, true), (current.learners, false)] {
            for peer in members where peer != me {
                var progress: RaftProgress
                if let position = position(of: peer) {
                    progress = peers[position]
                    progress.isVoter = isVoter
                } else {
                    progress = RaftProgress(peer: peer, isVoter: isVoter)
                    progress.isReachable = !unreachable.contains(peer.node)
                    if role == .leader { progress.reset(lastIndex: log.lastIndex, now: now) }
                }
                next.append(progress)
            }
        }
        peers = next.sorted { $0.peer < $1.peer }
        if role == .leader, !peers.isEmpty, heartbeatDeadline == nil {
            heartbeatDeadline = now + options.heartbeatInterval
        }
        // No longer a voter: it cannot win.
        if !isVoter, role == .preCandidate || role == .candidate { role = .follower }
    }

    /// All other members as this peer sees them; `matchIndex` is 0 unless it leads.
    package var peerStatus: [PeerStatus] {
        peers.map {
            PeerStatus(
                peer: $0.peer, isVoter: $0.isVoter, isReachable: $0.isReachable,
                matchIndex: role == .leader ? $0.match : 0)
        }
    }
}
