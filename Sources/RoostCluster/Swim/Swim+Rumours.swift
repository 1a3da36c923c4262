internal import RoostModel
internal import RoostProtocol

/// What is said of members, and what this node makes of it.
extension Swim {
    /// Takes in a rumour of `from`, or of this node's own making, and passes it on if it is news.
    mutating func hear(_ rumour: MemberRumour, from: NodeID, now: UInt64, into actions: inout [Action]) {
        // UNIX seconds stay below 2^53 for good; a damaged epoch must not become unbeatable.
        guard rumour.epoch > 0, rumour.epoch < 1 << 53 else { return }
        guard rumour.node != own.node else { return hearOfSelf(rumour, now: now, into: &actions) }
        if let allowed, !allowed.contains(rumour.node) { return }
        if rumour.status == .left, timing.planted.contains(.leftForgotten) { return }
        guard let state = members.state(of: rumour.node) else {
            guard members.count < timing.maxMembers else { return }
            return adopt(rumour, over: nil, now: now, into: &actions)
        }
        if isNews(rumour, over: state) {
            guard rumour.status == .dead, state.isActive, !timing.planted.contains(.deathOnTrust) else {
                return adopt(rumour, over: state, now: now, into: &actions)
            }
            condemn(rumour, from: from, over: state, now: now, into: &actions)
        } else if rumour.status == .suspect, state.status == .suspect, rumour.epoch == state.epoch,
            rumour.incarnation == state.incarnation, let accuser = rumour.accuser
        {
            var confirmed = false
            members.updateSuspicion(of: rumour.node) { confirmed = $0.accuse(accuser) }
            if confirmed { spread(rumour, now: now) }
        }
    }

    private func isNews(_ rumour: MemberRumour, over state: MemberState) -> Bool {
        if rumour.epoch > state.epoch, state.isHeard, timing.planted.contains(.lifeIgnored) { return false }
        if rumour.epoch == state.epoch, rumour.incarnation < state.incarnation, state.status != .left,
            timing.planted.contains(.incarnationIgnored)
        {
            return true
        }
        return state.isSuperseded(by: rumour)
    }

    /// Somebody holds a member for dead that takes part here: it becomes or stays suspect, and is declared dead here
    /// when the lowest timeout has passed, unless it denies that. Without this the verdict of a node that heard nothing,
    /// or of the other side of a cut, would be everybody's.
    private mutating func condemn(
        _ rumour: MemberRumour, from: NodeID, over state: MemberState, now: UInt64, into actions: inout [Action]
    ) {
        var accusation = rumour
        accusation.status = .suspect
        accusation.accuser = from
        if state.isSuperseded(by: accusation) {
            adopt(accusation, over: state, now: now, into: &actions)
            // So that it can deny it at once; it hears of the accusation before anything else.
            if own.status != .left { sendFreePing(to: state.node, into: &actions) }
        }
        members.updateSuspicion(of: state.node) { $0.condemn() }
        guard let suspicion = members[state.node]?.suspicion, suspicion.deadline <= now else { return }
        if let accused = members.state(of: state.node) { declareDead(accused, now: now, into: &actions) }
    }

    /// A suspicion has run out here.
    mutating func declareDead(_ state: MemberState, now: UInt64, into actions: inout [Action]) {
        var rumour = state.rumour()
        rumour.status = .dead
        adopt(rumour, over: state, now: now, into: &actions)
    }

    private mutating func adopt(
        _ rumour: MemberRumour, over old: MemberState?, now: UInt64, into actions: inout [Action]
    ) {
        var new = MemberState(
            node: rumour.node, epoch: rumour.epoch, incarnation: rumour.incarnation, status: rumour.status,
            address: rumour.address.isEmpty ? old?.address ?? "" : rumour.address, since: now)
        let changed = old.map { $0.status != new.status || $0.epoch != new.epoch } ?? true
        if !changed, let old { new.since = old.since }
        members.put(new)
        if new.status == .suspect {
            // Counted with the suspect among the active ones.
            var suspicion = Suspicion(start: now, members: activeCount, timing: timing)
            if let accuser = rumour.accuser { _ = suspicion.accuse(accuser) }
            members.put(new, suspicion: suspicion)
        }
        spread(rumour, now: now)
        // A probe of a former life says nothing of this one.
        if !new.isActive || old?.epoch != new.epoch { probes.removeAll { $0.target == new.node } }
        if new.isActive, old?.isActive != true { schedule.add(new.node, using: &generator) }
        if changed { actions.append(.statusChanged(old: old, new: new)) }
        if let old, old.status == .dead, old.epoch == new.epoch, new.status == .alive {
            // It was cut off, and so may be what it knows.
            exchange(with: new.node, into: &actions)
        }
        if new.status == .suspect, rumour.accuser != own.node { verify(new.node, now: now, into: &actions) }
    }

    /// About thrice as many as confirmations are wanted look for themselves, however many hear of a suspicion.
    private mutating func verify(_ node: NodeID, now: UInt64, into actions: inout [Action]) {
        guard let needed = members[node]?.suspicion?.needed, needed > 0, own.status != .left else { return }
        if Int.random(in: 0..<max(1, activeCount - 2), using: &generator) < 3 * needed {
            startProbe(of: node, now: now, into: &actions)
        }
    }

    private mutating func hearOfSelf(_ rumour: MemberRumour, now: UInt64, into actions: inout [Action]) {
        guard rumour.epoch >= own.epoch else {
            // Somebody remembers a former life.
            if !queue.contains(own.node) { spread(own.rumour(), now: now) }
            return
        }
        // Only this node raises its incarnation and says that it left: any more than it said is another life's.
        let foreign =
            rumour.epoch > own.epoch || rumour.incarnation > own.incarnation
            || (rumour.status == .left && own.status != .left)
        if foreign {
            guard rumour.epoch > conflictReported else { return }
            conflictReported = rumour.epoch
            actions.append(.conflictingSelf(epoch: rumour.epoch))
            return
        }
        guard own.status != .left, rumour.incarnation == own.incarnation,
            rumour.status == .suspect || rumour.status == .dead
        else { return }
        if !timing.planted.contains(.denialNotRaised) { own.incarnation += 1 }
        health.penalise(1)
        spread(own.rumour(), now: now)
        actions.append(.refuted(incarnation: own.incarnation))
    }

    /// Queues a rumour. The next gossip is due now at the earliest: a due time of the past would look like lag.
    private mutating func spread(_ rumour: MemberRumour, now: UInt64) {
        if rumour.status == .suspect || rumour.status == .dead, timing.planted.contains(.deathsNotSpread) { return }
        queue.put(rumour)
        nextGossip = max(nextGossip, now)
    }

    mutating func raise(to epoch: Epoch, now: UInt64, into actions: inout [Action]) {
        guard epoch > own.epoch, own.status != .left else { return }
        let old = own
        own.epoch = epoch
        own.incarnation = 0
        own.since = now
        spread(own.rumour(), now: now)
        actions.append(.statusChanged(old: old, new: own))
    }

    mutating func leave(now: UInt64, into actions: inout [Action]) {
        guard own.status != .left else { return }
        let old = own
        own.status = .left
        own.since = now
        probes = []
        actions.append(.statusChanged(old: old, new: own))
        // All are told at once: this node may be gone before rumours would have run.
        for node in members.nodes(where: { $0.isActive }) {
            sendFreePing(to: node, into: &actions)
        }
    }
}
