internal import RoostModel
internal import RoostProtocol

/// What others send, and what is sent to them.
extension Swim {
    mutating func receive(_ message: SwimMessage, from: NodeID, now: UInt64, into actions: inout [Action]) {
        guard from != own.node else { return }
        hearAgain(now: now)
        if let epoch = members.state(of: from)?.epoch, lives[from] != epoch { lives[from] = epoch }
        // Who is wrong about this node hears so directly, and not only by gossip, which it may not be part of yet.
        let isWrong = message.rumours.contains { $0.node == own.node && own.isSuperseding($0) }
        for rumour in message.rumours.prefix(timing.maxMembers) {
            var rumour = rumour
            if rumour.status == .suspect, rumour.accuser == nil { rumour.accuser = from }
            hear(rumour, from: from, now: now, into: &actions)
        }
        switch message.body {
        case .ping(let sequence):
            send(
                .ack(sequence: sequence, target: own.node), to: from, introducing: isWrong, knows: message.rumours,
                into: &actions)
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
            exchangesHeard += 1
            if reply { send(.exchange(reply: false), to: from, into: &actions) }
        case .summary(let theirs):
            if theirs != membersHash { exchange(with: from, into: &actions) }
        }
        if isWrong, !message.body.isAnswered, exchangeTokens > 0 {
            exchangeTokens -= 1
            sendFreePing(to: from, introducing: true, into: &actions)
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
        guard relays.count < timing.maxRelays, members.state(of: target) != nil else {
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
        if epoch > members.state(of: node)?.epoch ?? 0 {
            let rumour = MemberRumour(node: node, epoch: epoch, incarnation: 0, status: .alive, address: address)
            hear(rumour, from: node, now: now, into: &actions)
        }
        // A newcomer asks, the others wait to be asked, whether or not they have heard of it: or each of them would send
        // it all that it knows.
        let isBack = lives[node] == epoch
        let asks = isBack || exchangesHeard < timing.exchangeBurst
        if !asks || !exchange(with: node, into: &actions) {
            sendFreePing(to: node, introducing: true, into: &actions)
        }
    }

    /// Begins a full exchange, unless too many were begun of late; whoever is left out hears by gossip.
    @discardableResult
    mutating func exchange(with node: NodeID, into actions: inout [Action]) -> Bool {
        guard exchangeTokens > 0 else { return false }
        exchangeTokens -= 1
        send(.exchange(reply: true), to: node, into: &actions)
        return true
    }

    /// Sends a body with what may ride on it. The recipient hears first what is said of itself if it is held for
    /// suspect or dead, so that it can refute (Lifeguard's buddy system). `introducing`: it may not know this node.
    /// `knows`: what it has just said; said back to it, rumours would use up their retransmissions.
    mutating func send(
        _ body: SwimMessage.Body, to node: NodeID, introducing: Bool = false, knows: [MemberRumour] = [],
        into actions: inout [Action]
    ) {
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
        if introducing || record?.state.isActive != true || own.status == .left { message.rumours.append(own.rumour()) }
        if record?.state.isActive == true, !queue.isEmpty {
            let used = message.rumours.reduce(0) { $0 + $1.estimatedBytes }
            var skipped = Set(message.rumours.map(\.node))
            for rumour in knows where isSaid(rumour) { skipped.insert(rumour.node) }
            message.rumours += queue.take(
                budget: max(0, timing.rumourBudget - used), limit: timing.retransmits(members: activeCount),
                except: skipped)
        }
        actions.append(.send(message, to: node))
    }
}

extension Swim {
    /// Whether a rumour is all that this node could say of the member.
    private func isSaid(_ rumour: MemberRumour) -> Bool {
        guard let state = state(of: rumour.node) else { return false }
        return state.epoch == rumour.epoch && state.incarnation == rumour.incarnation && state.status == rumour.status
            && state.status != .suspect
    }
}

extension SwimMessage.Body {
    /// Whether what answers it tells of the one who answers.
    fileprivate var isAnswered: Bool {
        switch self {
        case .ping, .exchange(reply: true), .summary: true
        case .ack, .pingRequest, .nack, .exchange(reply: false): false
        }
    }
}
