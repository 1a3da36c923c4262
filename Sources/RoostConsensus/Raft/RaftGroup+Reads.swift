internal import RoostModel

/// ReadIndex (Ongaro 2014, 6.4): one round of heartbeats serves all reads that came before it.
extension RaftGroup {
    mutating func read(_ id: UInt64, _ now: UInt64, _ actions: inout [Action]) {
        guard role == .leader, reads.count < options.maxPendingReads else {
            actions.append(.readFailed(id: id))
            return
        }
        if options.planted.contains(.readsUnproven) {
            actions.append(.readReady(id: id, index: commitIndex))
            return
        }
        rouse(now)
        reads.add(id)
        serveReads(now, &actions)
    }

    /// Answers what is proved, and starts the next round once none is out.
    mutating func serveReads(_ now: UInt64, _ actions: inout [Action]) {
        guard role == .leader, !reads.isEmpty else { return }
        reads.proved(round: provedRound, &actions)
        guard !reads.waiting.isEmpty, reads.rounds.isEmpty, commitIndex >= termStart else { return }
        if isVoter, !peers.contains(where: { $0.isVoter }) {
            // Nobody else can have led since.
            round += 1
            reads.start(round: round, commitIndex: commitIndex, termStart: termStart)
            reads.proved(round: round, &actions)
        } else {
            broadcastHeartbeat(now, &actions)
        }
    }

    private var provedRound: UInt64 { RaftQuorum.agreed(peers, own: isVoter ? round : nil) { $0.round } }
}
