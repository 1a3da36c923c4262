internal import NIOCore
internal import RoostModel
internal import RoostProtocol

/// Elections: PreVote (Ongaro 2014, 9.6), votes (3.4), transfer (3.10).
extension RaftGroup {
    mutating func drawElectionTimeout() {
        electionTimeout = options.electionTimeout + generator.next() % max(1, options.electionTimeout)
        if isDraining { electionTimeout += 2 * options.electionTimeout }
    }

    /// Learners only wait to notice that the leader is gone.
    mutating func armElection(_ now: UInt64) { electionDeadline = now + electionTimeout }

    /// Whether a leader was heard so lately that an election would only disturb (4.2.3).
    func isLed(_ now: UInt64) -> Bool {
        if role == .leader { return true }
        guard leader != nil, !isLeaderLost else { return false }
        return now < leaderHeardAt + options.electionTimeout
    }

    mutating func electionTimedOut(_ now: UInt64, _ actions: inout [Action]) {
        leader = nil
        guard isVoter else {
            electionDeadline = nil
            return
        }
        drawElectionTimeout()
        armElection(now)
        // It could not write its vote for itself.
        guard !isStorageFull else {
            role = .follower
            return
        }
        if letsOthersCampaign() {
            role = .follower
            return
        }
        guard peers.contains(where: { $0.isVoter }) else { return campaign(transfer: false, now, &actions) }
        role = .preCandidate
        grants = [me]
        for peer in peers where peer.isVoter {
            let ask = RaftMessage.preVote(term: term + 1, lastIndex: log.lastIndex, lastTerm: log.lastTerm)
            actions.append(.send(ask, to: peer.peer))
        }
    }

    /// Leaves term and vote as they are, but wakes: somebody misses the leader.
    mutating func answerPreVote(
        term asked: UInt64, lastIndex: UInt64, lastTerm: UInt64, from peer: RaftPeer, _ now: UInt64,
        _ actions: inout [Action]
    ) {
        wake(now, &actions)
        guard !isLed(now), !isStorageFull else { return }
        let granted = asked > term && isUpToDate(lastIndex: lastIndex, lastTerm: lastTerm)
        // A grant carries the term it is for, a refusal this one's, so that a candidate that is behind catches up.
        let reply = RaftMessage.preVoteReply(term: granted ? asked : term, granted: granted)
        outbox.send(reply, to: peer, after: outbox.hardStateTicket, into: &actions)
    }

    mutating func preVoteAnswered(
        term answered: UInt64, granted: Bool, from peer: RaftPeer, _ now: UInt64, _ actions: inout [Action]
    ) {
        guard granted else {
            if answered > term { becomeFollower(term: answered, leader: nil, now, &actions) }
            return
        }
        guard role == .preCandidate, answered == term + 1 else { return }
        count(grant: peer, now, &actions)
    }

    /// Starts a term. Nobody is asked, and the own vote does not count, before both are synced.
    mutating func campaign(transfer: Bool, _ now: UInt64, _ actions: inout [Action]) {
        becomeFollower(term: term + 1, leader: nil, now, &actions)
        role = .candidate
        grants = []
        hardState.vote = me
        outbox.stage(hardState)
        outbox.hold(.selfVote(term: term), after: outbox.hardStateTicket)
        let ask = RaftMessage.vote(
            term: term, lastIndex: log.lastIndex, lastTerm: log.lastTerm, transfer: transfer)
        for peer in peers where peer.isVoter {
            outbox.send(ask, to: peer.peer, after: outbox.hardStateTicket, into: &actions)
        }
    }

    mutating func answerVote(
        term asked: UInt64, lastIndex: UInt64, lastTerm: UInt64, transfer: Bool, from peer: RaftPeer,
        _ now: UInt64, _ actions: inout [Action]
    ) {
        if asked < term {
            let reply = RaftMessage.voteReply(term: term, granted: false)
            return outbox.send(reply, to: peer, after: outbox.hardStateTicket, into: &actions)
        }
        wake(now, &actions)
        guard transfer || asked == term || !isLed(now), !isStorageFull else { return }
        if asked > term { becomeFollower(term: asked, leader: nil, now, &actions) }
        let granted =
            (hardState.vote == peer || hardState.vote == nil && leader == nil
                || options.planted.contains(.votesTwice))
            && isUpToDate(lastIndex: lastIndex, lastTerm: lastTerm)
        if granted {
            // Give the winner time to show itself.
            armElection(now)
            if hardState.vote != peer {
                hardState.vote = peer
                outbox.stage(hardState)
            }
        }
        let reply = RaftMessage.voteReply(term: term, granted: granted)
        let ticket = options.planted.contains(.voteNotSynced) ? 0 : outbox.hardStateTicket
        outbox.send(reply, to: peer, after: ticket, into: &actions)
    }

    private func isUpToDate(lastIndex: UInt64, lastTerm: UInt64) -> Bool {
        options.planted.contains(.votesForStaleLog) || lastTerm > log.lastTerm
            || lastTerm == log.lastTerm && lastIndex >= log.lastIndex
    }

    /// A vote, or the promise of one.
    mutating func count(grant peer: RaftPeer, _ now: UInt64, _ actions: inout [Action]) {
        guard isVoter, peer == me || peers.contains(where: { $0.peer == peer && $0.isVoter }) else { return }
        if !grants.contains(peer) { grants.append(peer) }
        guard grants.count >= RaftQuorum.size(voters: configuration.voters.count) else { return }
        if role == .preCandidate { campaign(transfer: false, now, &actions) } else { becomeLeader(now, &actions) }
    }

    private mutating func becomeLeader(_ now: UInt64, _ actions: inout [Action]) {
        role = .leader
        leader = me
        grants = []
        electionDeadline = nil
        hibernation = .awake
        termStart = log.lastIndex + 1
        uncommittedBytes = 0
        activeAt = now
        for position in peers.indices { peers[position].reset(lastIndex: log.lastIndex, now: now) }
        heartbeatDeadline = peers.isEmpty ? nil : now + options.heartbeatInterval
        appendAsLeader([RaftEntry(index: termStart, term: term, kind: .noop, payload: .init())], now, &actions)
    }

    /// In `term`, which is not below this one's. Ends whatever this peer was.
    mutating func becomeFollower(
        term newTerm: UInt64, leader newLeader: RaftPeer?, _ now: UInt64, _ actions: inout [Action]
    ) {
        if newTerm > term {
            hardState = RaftHardState(term: newTerm, vote: nil)
            outbox.dropHeld()
            outbox.stage(hardState)
        }
        if role == .leader {
            heartbeatDeadline = nil
            transfer = nil
            failedTarget = nil
            for position in peers.indices { peers[position].probe() }
            reads.failAll(&actions)
        }
        role = .follower
        grants = []
        leader = newLeader
        isLeaderLost = false
        hibernation = .awake
        drawElectionTimeout()
        armElection(now)
    }

    /// An append or heartbeat of this or a later term. False if it cannot be of a leader.
    mutating func follow(_ peer: RaftPeer, term leaderTerm: UInt64, _ now: UInt64, _ actions: inout [Action]) -> Bool {
        if leaderTerm > term || role == .preCandidate || role == .candidate || leader == nil && role == .follower {
            becomeFollower(term: leaderTerm, leader: peer, now, &actions)
        }
        guard leader == peer else {
            fault = "two leaders in term \(term): \(peer.node) and \(leader?.node.name ?? "none")"
            return false
        }
        leaderHeardAt = now
        isLeaderLost = false
        skippedElections = 0
        return true
    }

    /// The sender learns that its term is over; without this, one whose term ran ahead would be stuck.
    mutating func refuseOldLeader(_ message: RaftMessage, _ peer: RaftPeer, _ actions: inout [Action]) {
        let reply: RaftMessage
        if case .append = message {
            reply = .appendReply(term: term, success: false, index: 0, conflictTerm: 0)
        } else {
            reply = .heartbeatReply(term: term, read: 0, lastIndex: log.lastIndex)
        }
        outbox.send(reply, to: peer, after: outbox.hardStateTicket, into: &actions)
    }
}
