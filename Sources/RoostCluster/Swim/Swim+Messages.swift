internal import RoostModel
internal import RoostProtocol

/// What others send, and what is sent to them.
extension Swim {
    mutating func receive(_ message: SwimMessage, from: NodeID, now: UInt64, into actions: inout [Action]) {
        guard from != own.node else { return }
        for rumour in message.rumours.prefix(timing.maxMembers) {
            var rumour = rumour
            if rumour.status == .suspect, rumour.accuser == nil { rumour.accuser = from }
            hear(rumour, now: now, into: &actions)
        }
        switch message.body {
        case .ping(let sequence):
            send(.ack(sequence: sequence, target: own.node), to: from, into: &actions)
        case .ack(let sequence, let target):
            acknowledged(sequence, target: target, from: from, into: &actions)
        case .pingRequest(let sequence, let target):
            relay(sequence, target: target, for: from, now: now, into: &actions)
        case .nack(let sequence, let target):
            guard let index = probes.firstIndex(where: { $0.sequence == sequence && $0.target == target }) else {
                break
            }
            probes[index].silentRelays.removeAll { $0 == from }
        case .exchange(let reply):
            if reply { send(.exchange(reply: false), to: from, into: &actions) }
        }
        if !message.digests.isEmpty { actions.append(.digests(message.digests, from: from)) }
    }

    private mutating func acknowledged(
        _ sequence: UInt32, target: NodeID, from: NodeID, into actions: inout [Action]
    ) {
        if let index = probes.firstIndex(where: { $0.sequence == sequence && $0.target == target }) {
            probes.remove(at: index)
            health.reward()
        } else if let index = relays.firstIndex(where: { $0.sequence == sequence && $0.target == target }),
            from == target
        {
            let relay = relays.remove(at: index)
            send(.ack(sequence: relay.requestSequence, target: target), to: relay.requester, into: &actions)
        }
    }

    private mutating func relay(
        _ requestSequence: UInt32, target: NodeID, for requester: NodeID, now: UInt64, into actions: inout [Action]
    ) {
        if target == own.node {
            return send(.ack(sequence: requestSequence, target: target), to: requester, into: &actions)
        }
        guard relays.count < timing.maxRelays, members[target] != nil else {
            return send(.nack(sequence: requestSequence, target: target), to: requester, into: &actions)
        }
        sequence &+= 1
        relays.append(
            RelayedProbe(
                sequence: sequence, target: target, requester: requester, requestSequence: requestSequence,
                nackAt: now + timing.relayTimeout, end: now + health.stretch(timing.probePeriod)))
        send(.ping(sequence: sequence), to: target, into: &actions)
    }

    mutating func linkUp(
        _ node: NodeID, epoch: Epoch, address: String, now: UInt64, into actions: inout [Action]
    ) {
        guard node != own.node else { return }
        // Of a known epoch the link proves nothing that the node could not say itself, by refuting.
        if epoch > members[node]?.state.epoch ?? 0 {
            hear(
                MemberRumour(node: node, epoch: epoch, incarnation: 0, status: .alive, address: address), now: now,
                into: &actions)
        }
        send(.exchange(reply: false), to: node, into: &actions)
    }

    /// Sends a body with what may ride on it. The recipient hears first what is said of itself if it is held for
    /// suspect or dead, so that it can refute (Lifeguard's buddy system).
    mutating func send(_ body: SwimMessage.Body, to node: NodeID, into actions: inout [Action]) {
        var message = SwimMessage(body: body)
        if case .exchange = body {
            message.rumours = members.records.filter { $0.state.isHeard }.map { record in
                record.state.rumour(accuser: record.suspicion?.accusers.first)
            }
            message.rumours.append(own.rumour())
            actions.append(.send(message, to: node))
            return
        }
        let record = members[node]
        if let record, record.state.isHeard, record.state.status != .alive {
            message.rumours.append(record.state.rumour(accuser: record.suspicion?.accusers.first))
        }
        if record?.state.isActive != true || own.status == .left { message.rumours.append(own.rumour()) }
        if record?.state.isActive == true {
            let used = message.rumours.reduce(0) { $0 + $1.estimatedBytes }
            let more = queue.take(
                budget: max(0, timing.rumourBudget - used), limit: timing.retransmits(members: activeCount),
                except: message.rumours.isEmpty ? nil : node)
            message.rumours += more.filter { rumour in !message.rumours.contains { $0.node == rumour.node } }
        }
        switch body {
        case .ping, .ack: message.digests = nextDigests()
        case .pingRequest, .nack, .exchange: break
        }
        actions.append(.send(message, to: node))
    }

    /// The own part's digest and, in turns, as many of the others as a message may carry.
    private mutating func nextDigests() -> [PresenceDigest] {
        guard digests.count > timing.digestsPerMessage, timing.digestsPerMessage > 1 else {
            return Array(digests.prefix(max(0, timing.digestsPerMessage)))
        }
        let others = digests.count - 1
        let share = timing.digestsPerMessage - 1
        let chosen = (0..<share).map { digests[1 + (digestTurn + $0) % others] }
        digestTurn = (digestTurn + share) % others
        return [digests[0]] + chosen
    }
}
