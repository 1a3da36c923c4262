internal import RoostModel
internal import RoostProtocol

/// Who should not lead: a peer whose disk is full, or that has not all of its log or state. Fitness only moves
/// leadership: it neither makes nor breaks what Raft promises.
extension RaftGroup {
    /// The term of an entry, nil beyond the end of the log. Another one of the same index and term is the same.
    package func term(at index: UInt64) -> UInt64? { log.term(at: index) }

    /// Nothing can be written. A leader hands over; while nobody can take over it goes on leading without taking
    /// entries, so that reads are served.
    mutating func storageFilled(_ now: UInt64, _ actions: inout [Action]) {
        isStorageFull = true
        if role == .leader {
            rouse(now)
            handOver(now, &actions)
        } else if role != .follower {
            becomeFollower(term: term, leader: nil, now, &actions)
        }
    }

    mutating func setFitness(_ isFit: Bool, _ now: UInt64, _ actions: inout [Action]) {
        guard isUnfit == isFit else { return }
        isUnfit = !isFit
        skippedElections = 0
        if isUnfit, role == .leader {
            rouse(now)
            handOver(now, &actions)
        }
    }

    mutating func setUnfit(_ nodes: [NodeID], _ now: UInt64, _ actions: inout [Action]) {
        unfitNodes = nodes
        if role == .leader, isStorageFull || isUnfit {
            rouse(now)
            handOver(now, &actions)
        }
    }

    /// Asks the best peer to campaign, once an election timeout at most. A full leader that is not heeded steps down,
    /// where somebody fit is there.
    mutating func handOver(_ now: UInt64, _ actions: inout [Action]) {
        guard role == .leader, isStorageFull || isUnfit, transfer == nil, let target = bestTransferTarget else {
            handOvers = 0
            return
        }
        guard now >= handOverAt else { return }
        handOvers += 1
        handOverAt = now + options.electionTimeout
        if isStorageFull {
            // Its own log may have no room for what the transfer waits for.
            guard handOvers <= 2 else {
                handOvers = 0
                return becomeFollower(term: term, leader: nil, now, &actions)
            }
            actions.append(.send(.timeoutNow(term: term), to: target))
        } else {
            startTransfer(to: target, now, &actions)
        }
    }

    /// Whether to let the others campaign first. Somebody must, so it waits a few times only.
    mutating func letsOthersCampaign() -> Bool {
        guard isUnfit, skippedElections < 4, peers.contains(where: { isFit($0) }) else { return false }
        skippedElections += 1
        return true
    }

    func isFit(_ peer: RaftProgress) -> Bool {
        peer.isVoter && peer.isReachable && !unfitNodes.contains(peer.peer.node)
    }
}
