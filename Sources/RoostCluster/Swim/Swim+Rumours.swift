internal import RoostModel
internal import RoostProtocol

/// What is said of members, and what this node makes of it.
extension Swim {
    /// Takes in a rumour, from others or of this node's own making, and passes it on if it is news.
    mutating func hear(_ rumour: MemberRumour, now: UInt64, into actions: inout [Action]) {
        // UNIX seconds stay below 2^53 for good; a damaged epoch must not become unbeatable.
        guard rumour.epoch > 0, rumour.epoch < 1 << 53 else { return }
        guard rumour.node != own.node else { return hearOfSelf(rumour, now: now, into: &actions) }
        if let allowed, !allowed.contains(rumour.node) { return }
        guard let record = members[rumour.node] else {
            guard members.count < timing.maxMembers else { return }
            return adopt(rumour, over: nil, now: now, into: &actions)
        }
        if record.state.isSuperseded(by: rumour) {
            adopt(rumour, over: record, now: now, into: &actions)
        } else if rumour.status == .suspect, record.state.status == .suspect, rumour.epoch == record.state.epoch,
            rumour.incarnation == record.state.incarnation, let accuser = rumour.accuser
        {
            var confirmed = false
            members.update(rumour.node) { confirmed = $0.suspicion?.accuse(accuser) ?? false }
            if confirmed { spread(rumour, now: now) }
        }
    }

    private mutating func adopt(
        _ rumour: MemberRumour, over record: MemberTable.Record?, now: UInt64, into actions: inout [Action]
    ) {
        let old = record?.state
        var new = MemberState(
            node: rumour.node, epoch: rumour.epoch, incarnation: rumour.incarnation, status: rumour.status,
            address: rumour.address.isEmpty ? old?.address ?? "" : rumour.address, since: now)
        let changed = old.map { $0.status != new.status || $0.epoch != new.epoch } ?? true
        if !changed, let old { new.since = old.since }
        members.put(MemberTable.Record(state: new))
        spread(rumour, now: now)
        if new.isActive {
            schedule.add(new.node, using: &generator)
        } else {
            probes.removeAll { $0.target == new.node }
        }
        if changed { actions.append(.statusChanged(old: old, new: new)) }
        guard new.status == .suspect else { return }

        // Counted with the suspect among the active ones.
        let members = activeCount
        var suspicion = Suspicion(start: now, members: members, timing: timing)
        if let accuser = rumour.accuser { _ = suspicion.accuse(accuser) }
        self.members.update(new.node) { $0.suspicion = suspicion }
        guard rumour.accuser != own.node, suspicion.needed > 0, own.status != .left else { return }
        // About twice as many as confirmations are wanted look for themselves, however many hear of it.
        if Int.random(in: 0..<max(1, members - 2), using: &generator) < 2 * suspicion.needed {
            startProbe(of: new.node, now: now, into: &actions)
        }
    }

    private mutating func hearOfSelf(_ rumour: MemberRumour, now: UInt64, into actions: inout [Action]) {
        guard rumour.epoch >= own.epoch else {
            // Somebody remembers a former life.
            if !queue.nodes.contains(own.node) { spread(own.rumour(), now: now) }
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
        own.incarnation += 1
        health.penalise(1)
        spread(own.rumour(), now: now)
        actions.append(.refuted(incarnation: own.incarnation))
    }

    /// Queues a rumour. The next gossip is due now at the earliest: a due time of the past would look like lag.
    private mutating func spread(_ rumour: MemberRumour, now: UInt64) {
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
            sequence &+= 1
            send(.ping(sequence: sequence), to: node, into: &actions)
        }
    }
}
