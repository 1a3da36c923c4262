internal import RoostModel
internal import RoostProtocol

/// Idle groups stop their timers: with many groups most have nothing to say.
extension RaftGroup {
    enum Hibernation: Sendable, Equatable {
        case awake
        /// Leader only: the peers are told, from this round on.
        case fallingAsleep(since: UInt64)
        case asleep
    }

    package var isHibernating: Bool { hibernation == .asleep }

    /// Nothing to replicate, commit, hand out or answer; and those that have it all are a quorum. A peer that is gone does
    /// not keep the others awake; one that is only silent does, while it lacks something: a learner, or a voter that does
    /// not know yet that it is one, never asks for what got lost.
    func mayHibernate(_ now: UInt64) -> Bool {
        guard now >= activeAt + options.hibernateAfter, outbox.isIdle, reads.isEmpty, transfer == nil,
            commitIndex >= termStart, commitIndex == log.lastIndex, appliedIndex == log.lastIndex
        else { return false }
        var ready = isVoter ? 1 : 0
        for peer in peers {
            if peer.match < log.lastIndex {
                if peer.isReachable { return false }
            } else if peer.isVoter, isPresent(peer, now) {
                ready += 1
            }
        }
        return ready >= RaftQuorum.size(voters: configuration.voters.count)
    }

    private func isPresent(_ peer: RaftProgress, _ now: UInt64) -> Bool {
        peer.isReachable && now < peer.heardAt + 2 * options.electionTimeout
    }

    /// Tells those present, until all have answered; who misses it would campaign.
    mutating func hibernate(_ now: UInt64, _ actions: inout [Action]) {
        round += 1
        if hibernation == .awake { hibernation = .fallingAsleep(since: round) }
        heartbeatDeadline = now + options.heartbeatInterval
        for position in peers.indices where isPresent(peers[position], now) {
            sendHeartbeat(position, hibernate: true, &actions)
        }
        fallAsleepIfAllAnswered(now)
    }

    mutating func fallAsleepIfAllAnswered(_ now: UInt64) {
        guard case .fallingAsleep(let since) = hibernation else { return }
        let isMissing = peers.contains { isPresent($0, now) && $0.round < since }
        guard !isMissing, commitIndex == log.lastIndex else { return }
        hibernation = .asleep
        heartbeatDeadline = nil
    }

    /// Leader: something is to be done. Starts the timers again, and tells nobody yet.
    mutating func rouse(_ now: UInt64) {
        activeAt = now
        if hibernation == .asleep {
            // Silence was agreed: it is no sign of a lost quorum.
            for position in peers.indices { peers[position].heardAt = now }
            heartbeatDeadline = peers.isEmpty ? nil : now + options.heartbeatInterval
        }
        hibernation = .awake
    }

    mutating func wake(_ now: UInt64, _ actions: inout [Action]) {
        guard hibernation != .awake else { return }
        if role == .leader {
            rouse(now)
            broadcastHeartbeat(now, &actions)
        } else {
            hibernation = .awake
            // The leader gets as long to show itself as if it had just done so.
            leaderHeardAt = now
            drawElectionTimeout()
            armElection(now)
        }
    }

    mutating func lost(_ node: NodeID, _ now: UInt64, _ actions: inout [Action]) {
        if !unreachable.contains(node) { unreachable.append(node) }
        var isMember = false
        for position in peers.indices where peers[position].peer.node == node {
            isMember = true
            peers[position].isReachable = false
            peers[position].probe()
        }
        if role == .leader {
            if isMember { wake(now, &actions) }
        } else if leader?.node == node, !(isHibernating && options.planted.contains(.sleepsOn)) {
            wake(now, &actions)
            isLeaderLost = true
            // Early, but one after the other.
            let wait = turn * options.heartbeatInterval + generator.next() % max(1, options.heartbeatInterval / 8)
            let early = now + wait + (isDraining ? 2 * options.electionTimeout : 0)
            electionDeadline = min(electionDeadline ?? early, early)
        }
    }

    /// How many of the others campaign before this one where the leader is lost. All know the same order, which is another
    /// for each partition: two that stand at the same moment split the votes, and neither is elected before the next
    /// attempt.
    private var turn: UInt64 {
        let own = place(of: me.node)
        return UInt64(peers.count { $0.isVoter && $0.isReachable && place(of: $0.peer.node) < own })
    }

    private func place(of node: NodeID) -> UInt64 { StableHash.mix(StableHash.of(node.name) ^ UInt64(id.value)) }

    mutating func found(_ node: NodeID, _ now: UInt64, _ actions: inout [Action]) {
        unreachable.removeAll { $0 == node }
        for position in peers.indices where peers[position].peer.node == node {
            meet(position, now, &actions)
        }
    }

    /// A message from a peer that was held for unreachable.
    mutating func isSeen(_ position: Int, _ now: UInt64, _ actions: inout [Action]) {
        guard !peers[position].isReachable else { return }
        let node = peers[position].peer.node
        unreachable.removeAll { $0 == node }
        meet(position, now, &actions)
    }

    private mutating func meet(_ position: Int, _ now: UInt64, _ actions: inout [Action]) {
        peers[position].isReachable = true
        peers[position].probe()
        guard role == .leader else { return }
        rouse(now)
        replicate(position, now, &actions)
        broadcastHeartbeat(now, &actions)
    }
}
