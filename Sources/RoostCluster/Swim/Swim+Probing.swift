internal import RoostModel
internal import RoostProtocol

/// What time brings: probes, suspicions that run out, gossip.
extension Swim {
    mutating func tick(now: UInt64, into actions: inout [Action]) {
        if let due = nextDeadline, now > due, now - due > timing.lateTick {
            postpone(by: now - due)
        }
        tickRelays(now: now, into: &actions)
        guard own.status != .left else { return }
        tickProbes(now: now, into: &actions)
        tickSuspicions(now: now, into: &actions)
        if nextProbe <= now {
            nextProbe = now + health.stretch(timing.probePeriod)
            let eligible = members.nodes { $0.isActive }
            if let target = schedule.next(among: eligible, using: &generator) {
                startProbe(of: target, now: now, into: &actions)
            }
        }
        tickSilentMembers(now: now, into: &actions)
        if nextExchange <= now {
            nextExchange = now + timing.exchangePeriod
            if let partner = members.nodes(where: { $0.isActive }).randomElement(using: &generator) {
                send(.exchange(reply: true), to: partner, into: &actions)
            }
        }
        if nextGossip <= now, !queue.isEmpty {
            nextGossip = now + timing.gossipPeriod
            gossip(into: &actions)
        }
    }

    /// This node slept: what it did not hear meanwhile is not the others' fault.
    private mutating func postpone(by lag: UInt64) {
        health.penalise(1)
        for index in probes.indices {
            probes[index].end += lag
            if let due = probes[index].askOthersAt { probes[index].askOthersAt = due + lag }
        }
        for index in relays.indices {
            relays[index].end += lag
            if let due = relays[index].nackAt { relays[index].nackAt = due + lag }
        }
        members.updateAll { $0.suspicion?.postpone(by: lag) }
    }

    /// Pings a member, unless it is being probed already.
    mutating func startProbe(of target: NodeID, now: UInt64, into actions: inout [Action]) {
        guard !probes.contains(where: { $0.target == target }) else { return }
        sequence &+= 1
        probes.append(
            Probe(
                sequence: sequence, target: target, askOthersAt: now + health.stretch(timing.probeTimeout),
                end: now + health.stretch(timing.probePeriod)))
        send(.ping(sequence: sequence), to: target, into: &actions)
    }

    /// A ping of which no verdict depends: it carries rumours, and the ack brings some back.
    private mutating func sendFreePing(to target: NodeID, into actions: inout [Action]) {
        sequence &+= 1
        send(.ping(sequence: sequence), to: target, into: &actions)
    }

    private mutating func tickProbes(now: UInt64, into actions: inout [Action]) {
        for index in probes.indices {
            guard let due = probes[index].askOthersAt, due <= now else { continue }
            probes[index].askOthersAt = nil
            let target = probes[index].target
            let relays = randomMembers(timing.indirectProbes) { $0.status == .alive && $0.isHeard && $0.node != target }
            probes[index].silentRelays = relays
            probes[index].asked = relays.count
            for relay in relays {
                send(.pingRequest(sequence: probes[index].sequence, target: target), to: relay, into: &actions)
            }
        }
        let failed = probes.filter { $0.end <= now && $0.askOthersAt == nil }
        guard !failed.isEmpty else { return }
        probes.removeAll { $0.end <= now && $0.askOthersAt == nil }
        for probe in failed {
            // Relays that lived and heard nothing either speak for us; where none did, it may be we who hear nothing.
            health.penalise(probe.asked == 0 ? 1 : probe.silentRelays.count)
            guard let state = members[probe.target]?.state, state.isActive else { continue }
            let rumour = MemberRumour(
                node: state.node, epoch: state.epoch, incarnation: state.incarnation, status: .suspect,
                address: state.address, accuser: own.node)
            hear(rumour, now: now, into: &actions)
            members.update(probe.target) { record in
                if record.suspicion?.retryAt == nil { record.suspicion?.retryAt = now }
            }
        }
    }

    private mutating func tickSuspicions(now: UInt64, into actions: inout [Action]) {
        for record in members.records {
            guard let suspicion = record.suspicion else { continue }
            let node = record.state.node
            if suspicion.deadline <= now {
                var rumour = record.state.rumour()
                rumour.status = .dead
                hear(rumour, now: now, into: &actions)
            } else if let due = suspicion.retryAt, due <= now {
                members.update(node) { $0.suspicion?.retryAt = now + timing.probePeriod }
                sendFreePing(to: node, into: &actions)
            }
        }
    }

    private mutating func tickRelays(now: UInt64, into actions: inout [Action]) {
        for index in relays.indices {
            guard let due = relays[index].nackAt, due <= now else { continue }
            relays[index].nackAt = nil
            let relay = relays[index]
            send(.nack(sequence: relay.requestSequence, target: relay.target), to: relay.requester, into: &actions)
        }
        relays.removeAll { $0.end <= now && $0.nackAt == nil }
    }

    /// Dead members, and those never heard of.
    private mutating func tickSilentMembers(now: UInt64, into actions: inout [Action]) {
        if let due = seedsDue, due <= now {
            seedsDue = nil
            for record in members.records where !record.state.isHeard {
                var state = record.state
                state.status = .dead
                state.since = now
                members.put(MemberTable.Record(state: state))
                actions.append(.statusChanged(old: record.state, new: state))
            }
        }
        if nextDeadProbe <= now {
            nextDeadProbe = now + timing.deadProbePeriod
            let silent = members.nodes { $0.status == .dead || !$0.isHeard }
            if let target = silent.randomElement(using: &generator) { sendFreePing(to: target, into: &actions) }
        }
    }

    private mutating func gossip(into actions: inout [Action]) {
        let targets = randomMembers(timing.gossipFanout) { $0.isActive }
        if targets.isEmpty {
            // Nobody to tell: who comes later gets a full exchange.
            queue = RumourQueue()
        }
        for target in targets where !queue.isEmpty { sendFreePing(to: target, into: &actions) }
    }

    /// Up to `count` different members that fulfil the condition.
    private mutating func randomMembers(_ count: Int, where condition: (MemberState) -> Bool) -> [NodeID] {
        var found = members.nodes(where: condition)
        let wanted = min(count, found.count)
        for index in 0..<wanted {
            found.swapAt(index, Int.random(in: index..<found.count, using: &generator))
        }
        return Array(found.prefix(wanted))
    }
}
