internal import RoostProtocol

extension RaftGroup {
    /// What is wrong with this group by itself; empty if nothing. For tests and simulation: it walks the cache.
    package func checkInvariants() -> [String] {
        var found = log.checkInvariants()
        func demand(_ holds: Bool, _ text: @autoclosure () -> String) {
            if !holds { found.append(text()) }
        }
        if let fault { found.append(fault) }
        demand(commitIndex <= log.lastIndex, "committed \(commitIndex) beyond the end \(log.lastIndex)")
        demand(appliedIndex <= min(commitIndex, log.persisted), "handed out \(appliedIndex) too early")
        demand(log.lastTerm <= term, "an entry of term \(log.lastTerm) in term \(term)")
        demand((role == .leader) == (leader == me), "role and leader differ")
        demand(role != .candidate && role != .leader || hardState.vote == me, "campaigns without its own vote")
        demand(role == .follower || isVoter || role == .leader, "a learner campaigns")
        demand(role == .leader || reads.isEmpty && transfer == nil && heartbeatDeadline == nil, "a follower leads on")
        demand(role != .leader || electionDeadline == nil, "a leader waits for an election")
        demand(!isHibernating || electionDeadline == nil && heartbeatDeadline == nil, "asleep with a timer")
        let members = (configuration.voters + configuration.learners).filter { $0 != me }.sorted()
        demand(peers.map(\.peer) == members, "peers differ from the configuration")
        guard role == .leader else { return found }
        demand(isHibernating || peers.isEmpty || heartbeatDeadline != nil, "a leader without heartbeats")
        for peer in peers {
            demand(peer.match < peer.next && peer.next <= log.lastIndex + 1, "next of \(peer.peer.node) is off")
            demand(peer.inflight.count <= options.maxInflightAppends, "too much on its way to \(peer.peer.node)")
        }
        return found
    }
}
