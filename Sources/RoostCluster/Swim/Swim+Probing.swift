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
            exchangeTokens = min(timing.exchangeBurst, exchangeTokens + 1)
            if let target = schedule.next(among: members, using: &generator) {
                startProbe(of: target, now: now, into: &actions)
            }
        }
        tickSilentMembers(now: now, into: &actions)
        if nextExchange <= now {
            nextExchange = now + timing.exchangePeriod
            if let partner = members.sample(1, using: &generator, where: \.isActive).first {
                // Where both know the same, this is all: what an idle node sends does not grow with the cluster.
                send(.summary(members: membersHash), to: partner, into: &actions)
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
        for node in members.suspects { members.updateSuspicion(of: node) { $0.postpone(by: lag) } }
    }

    /// Who hears nobody, where more than two others should be there, is more likely deaf than alone: it judges nobody
    /// for a while. With two others both may be dead.
    private func isDeaf(now: UInt64) -> Bool {
        if timing.planted.contains(.deafJudges) { return false }
        let silence = now > lastHeard ? now - lastHeard : 0
        return activeCount > 3 && silence > 2 * timing.probePeriod && silence < timing.longestDeafness
    }

    /// The time for which this node was deaf gave nobody a chance to deny anything.
    mutating func hearAgain(now: UInt64) {
        if isDeaf(now: now) {
            let silence = now - lastHeard
            for node in members.suspects { members.updateSuspicion(of: node) { $0.postpone(by: silence) } }
        }
        lastHeard = max(lastHeard, now)
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
    mutating func sendFreePing(to target: NodeID, introducing: Bool = false, into actions: inout [Action]) {
        sequence &+= 1
        send(.ping(sequence: sequence), to: target, introducing: introducing, into: &actions)
    }

    private mutating func tickProbes(now: UInt64, into actions: inout [Action]) {
        for index in probes.indices {
            guard let due = probes[index].askOthersAt, due <= now else { continue }
            probes[index].askOthersAt = nil
            let target = probes[index].target
            let relays = members.sample(timing.indirectProbes, using: &generator) {
                $0.status == .alive && $0.isHeard && $0.node != target
            }
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
            guard let state = members.state(of: probe.target), state.isActive else { continue }
            let rumour = MemberRumour(
                node: state.node, epoch: state.epoch, incarnation: state.incarnation, status: .suspect,
                address: state.address, accuser: own.node)
            hear(rumour, from: own.node, now: now, into: &actions)
            members.updateSuspicion(of: probe.target) { if $0.retryAt == nil { $0.retryAt = now } }
        }
    }

    private mutating func tickSuspicions(now: UInt64, into actions: inout [Action]) {
        guard members.suspicionDue <= now else { return }
        for node in members.suspects {
            guard let record = members[node], let suspicion = record.suspicion else { continue }
            if suspicion.deadline <= now, isDeaf(now: now) {
                members.updateSuspicion(of: node) { $0.putOff(until: now + timing.probePeriod) }
            } else if suspicion.deadline <= now {
                declareDead(record.state, now: now, into: &actions)
            } else if let due = suspicion.retryAt, due <= now {
                members.updateSuspicion(of: node) { $0.retryAt = now + timing.probePeriod }
                sendFreePing(to: node, into: &actions)
            }
        }
        members.settleDue()
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
                members.put(state)
                actions.append(.statusChanged(old: record.state, new: state))
            }
        }
        if nextDeadProbe <= now {
            nextDeadProbe = now + timing.deadProbePeriod
            if let target = members.silent.randomElement(using: &generator) { sendFreePing(to: target, into: &actions) }
        }
    }

    private mutating func gossip(into actions: inout [Action]) {
        let targets = members.sample(timing.gossipFanout, using: &generator, where: \.isActive)
        // Nobody to tell: who comes later gets a full exchange.
        if targets.isEmpty { queue.removeAll() }
        for target in targets where !queue.isEmpty { sendFreePing(to: target, into: &actions) }
    }
}
