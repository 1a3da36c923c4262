internal import NIOCore
internal import RoostModel
internal import RoostProtocol

/// The leader's side: pipelined appends (Ongaro 2014, 10.2.1), commitment (3.6.2), CheckQuorum (6.2).
extension RaftGroup {
    /// To the log, the disk and all peers at once.
    mutating func appendAsLeader(_ entries: [RaftEntry], _ now: UInt64, _ actions: inout [Action]) {
        let prevIndex = log.lastIndex
        let prevTerm = log.lastTerm
        log.append(entries)
        outbox.stage(entries)
        var bytes = 0
        for entry in entries { bytes += RaftLog.cost(entry) }
        uncommittedBytes += bytes
        for position in peers.indices {
            // The usual case shares one array among disk and peers.
            if peers[position].mode == .replicating, peers[position].next == prevIndex + 1,
                bytes <= options.maxAppendBytes, peers[position].canSend(options)
            {
                peers[position].sent(through: log.lastIndex, bytes: bytes, now: now)
                let message = RaftMessage.append(
                    term: term, prevIndex: prevIndex, prevTerm: prevTerm, commit: commitIndex, entries: entries)
                actions.append(.send(message, to: peers[position].peer))
            } else {
                replicate(position, now, &actions)
            }
        }
    }

    /// Sends a peer all it may be sent now.
    mutating func replicate(_ position: Int, _ now: UInt64, _ actions: inout [Action]) {
        while peers[position].canSend(options), peers[position].next <= log.lastIndex {
            let next = peers[position].next
            guard next >= log.cacheStart else {
                guard peers[position].inflight.count < options.maxCatchUpAppends else { return }
                lastLoad += 1
                peers[position].load = lastLoad
                actions.append(
                    .load(
                        id: lastLoad, from: next, through: min(log.persisted, log.cacheStart - 1),
                        maxBytes: options.catchUpBytes, purpose: .replicate(peers[position].peer)))
                return
            }
            let batch = log.entries(from: next, through: log.lastIndex, maxBytes: options.maxAppendBytes)
            guard !batch.entries.isEmpty else { return }
            sendAppend(position, batch.entries, bytes: batch.bytes, now, &actions)
        }
    }

    private mutating func sendAppend(
        _ position: Int, _ entries: [RaftEntry], bytes: Int, _ now: UInt64, _ actions: inout [Action]
    ) {
        let prevIndex = peers[position].next - 1
        guard let prevTerm = log.term(at: prevIndex) else { return }
        let message = RaftMessage.append(
            term: term, prevIndex: prevIndex, prevTerm: prevTerm, commit: commitIndex, entries: entries)
        if !entries.isEmpty {
            peers[position].sent(through: prevIndex + UInt64(entries.count), bytes: bytes, now: now)
        }
        actions.append(.send(message, to: peers[position].peer))
    }

    mutating func loadedForPeer(_ load: UInt64, _ entries: [RaftEntry], _ now: UInt64, _ actions: inout [Action]) {
        guard role == .leader, let position = peers.firstIndex(where: { $0.load == load }) else { return }
        peers[position].load = nil
        // If it could not be read, the next tick tries again.
        guard !entries.isEmpty, log.matches(entries, from: peers[position].next) else { return }
        guard peers[position].canSend(options) else { return }
        sendAppend(position, entries, bytes: entries.reduce(0) { $0 + RaftLog.cost($1) }, now, &actions)
        replicate(position, now, &actions)
    }

    mutating func confirmed(_ position: Int, through index: UInt64, _ now: UInt64, _ actions: inout [Action]) {
        guard index <= log.lastIndex else {
            fault = "\(peers[position].peer.node) confirms \(index), beyond \(log.lastIndex)"
            return
        }
        let isNews = peers[position].confirmed(through: index, now: now)
        if isNews { advanceCommit(now, &actions) }
        replicate(position, now, &actions)
        tellTransferTarget(position, &actions)
    }

    mutating func rejected(
        _ position: Int, index: UInt64, conflictTerm: UInt64, _ now: UInt64, _ actions: inout [Action]
    ) {
        // Whoever confirmed more said this before.
        guard index >= peers[position].match else { return }
        let candidate = log.lastIndex(upTo: index, termAtMost: conflictTerm)
        if peers[position].rejected(tryAfter: candidate) {
            probe(position, now, &actions)
        }
    }

    /// One append, with entries if there are any.
    private mutating func probe(_ position: Int, _ now: UInt64, _ actions: inout [Action]) {
        if peers[position].next <= log.lastIndex {
            replicate(position, now, &actions)
        } else {
            sendAppend(position, [], bytes: 0, now, &actions)
        }
    }

    /// Commits by counting only what is of this term; with it goes all before it (3.6.2).
    mutating func advanceCommit(_ now: UInt64, _ actions: inout [Action]) {
        let own = options.planted.contains(.leaderCountsUnsynced) ? log.lastIndex : log.persisted
        let agreed = RaftQuorum.agreed(peers, own: isVoter ? own : nil, planted: options.planted) { $0.match }
        let isOwn = log.term(at: agreed) == term || options.planted.contains(.commitsOldTerms)
        guard agreed > commitIndex, isOwn else { return }
        uncommittedBytes -= log.bytes(from: max(commitIndex + 1, termStart), through: agreed)
        commitTo(agreed)
        serveReads(now, &actions)
    }

    mutating func leaderTick(_ now: UInt64, _ actions: inout [Action]) {
        let heard = RaftQuorum.agreed(peers, own: isVoter ? now : nil) { $0.heardAt }
        guard now < heard + options.electionTimeout else {
            return becomeFollower(term: term, leader: nil, now, &actions)
        }
        handOver(now, &actions)
        guard role == .leader else { return }
        for position in peers.indices { nudge(position, now, &actions) }
        if mayHibernate(now) {
            hibernate(now, &actions)
        } else {
            heartbeatDeadline = now + options.heartbeatInterval
            broadcastHeartbeat(now, &actions)
        }
    }

    /// Asks a peer again that has not confirmed for a while; what was sent may be lost.
    private mutating func nudge(_ position: Int, _ now: UInt64, _ actions: inout [Action]) {
        let peer = peers[position]
        guard peer.isReachable, peer.match < log.lastIndex, peer.load == nil else { return }
        let isOverdue = now >= peer.movedAt + options.retryAfter
        switch peer.mode {
        case .replicating where peer.inflight.count == 0: replicate(position, now, &actions)
        case .replicating where isOverdue, .probing(true) where isOverdue:
            // Without entries: it either fits, and the confirmation frees the rest, or it is refused.
            peers[position].movedAt = now
            sendAppend(position, [], bytes: 0, now, &actions)
        case .probing(false): replicate(position, now, &actions)
        default: break
        }
    }

    /// One round. Its answers prove leadership to all reads that came before it.
    mutating func broadcastHeartbeat(_ now: UInt64, _ actions: inout [Action]) {
        guard !peers.isEmpty else {
            heartbeatDeadline = nil
            return
        }
        round += 1
        // A round for reads does not put off the tick: it is there for more than heartbeats.
        if heartbeatDeadline == nil { heartbeatDeadline = now + options.heartbeatInterval }
        reads.start(round: round, commitIndex: commitIndex, termStart: termStart)
        for position in peers.indices { sendHeartbeat(position, hibernate: false, &actions) }
    }

    mutating func sendHeartbeat(_ position: Int, hibernate: Bool, _ actions: inout [Action]) {
        if peers[position].check == nil { peers[position].check = (round, peers[position].match) }
        let commit = min(commitIndex, peers[position].match)
        actions.append(
            .send(
                .heartbeat(term: term, commit: commit, read: round, hibernate: hibernate), to: peers[position].peer))
    }

    mutating func heartbeatAnswered(
        _ position: Int, round answered: UInt64, lastIndex: UInt64, _ now: UInt64, _ actions: inout [Action]
    ) {
        guard answered <= round else { return }
        if let check = peers[position].check, answered >= check.round {
            peers[position].check = nil
            if lastIndex < check.match {
                let peer = peers[position].peer
                actions.append(.peerRegressed(peer, confirmed: check.match, has: lastIndex))
                return
            }
        }
        if answered > peers[position].round {
            peers[position].round = answered
            serveReads(now, &actions)
            fallAsleepIfAllAnswered(now)
        }
    }
}
