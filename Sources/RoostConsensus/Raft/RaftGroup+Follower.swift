internal import NIOCore
internal import RoostModel
internal import RoostProtocol

/// The receiving end of replication (Ongaro 2014, 3.5 and 3.6.2).
extension RaftGroup {
    mutating func heartbeat(
        commit: UInt64, read: UInt64, hibernate: Bool, from peer: RaftPeer, _ now: UInt64, _ actions: inout [Action]
    ) {
        commitTo(commit)
        if hibernate {
            hibernation = .asleep
            electionDeadline = nil
        } else {
            hibernation = .awake
            armElection(now)
        }
        let reply = RaftMessage.heartbeatReply(term: term, read: read, lastIndex: log.lastIndex)
        outbox.send(reply, to: peer, after: outbox.hardStateTicket, into: &actions)
    }

    mutating func append(
        _ entries: [RaftEntry], after prevIndex: UInt64, _ prevTerm: UInt64, commit: UInt64, from peer: RaftPeer,
        _ now: UInt64, _ actions: inout [Action]
    ) {
        hibernation = .awake
        armElection(now)
        if isStorageFull, !entries.isEmpty { return }
        guard isWellFormed(entries, after: prevIndex, prevTerm) else {
            fault = "malformed append after \(prevIndex) from \(peer.node)"
            return
        }
        guard log.term(at: prevIndex) == prevTerm else {
            let hint = log.lastIndex(upTo: prevIndex, termAtMost: prevTerm)
            let reply = RaftMessage.appendReply(
                term: term, success: false, index: hint, conflictTerm: log.term(at: hint) ?? 0)
            return outbox.send(reply, to: peer, after: outbox.hardStateTicket, into: &actions)
        }
        let last = prevIndex + UInt64(entries.count)
        guard take(entries, &actions) else { return }
        commitTo(min(commit, last))
        let reply = RaftMessage.appendReply(term: term, success: true, index: last, conflictTerm: 0)
        let ticket = outbox.ticket(covering: last, persisted: log.persisted)
        outbox.send(
            reply, to: peer, after: options.planted.contains(.confirmNotSynced) ? 0 : ticket, into: &actions)
    }

    /// Adds what is new, after removing what is in its way. False if that would remove committed entries.
    private mutating func take(_ entries: [RaftEntry], _ actions: inout [Action]) -> Bool {
        var known = 0
        if let first = entries.first, first.index <= log.lastIndex {
            while known < entries.count, log.term(at: entries[known].index) == entries[known].term { known += 1 }
        }
        guard known < entries.count else { return true }
        let start = entries[known].index
        let before = log.configurationIndex
        var changed = false
        if start <= log.lastIndex {
            guard start > commitIndex else {
                fault = "append contradicts the committed entry \(start)"
                return false
            }
            outbox.stageTruncation(from: start)
            changed = log.truncate(from: start)
        }
        let news = known == 0 ? entries : Array(entries[known...])
        log.append(news)
        outbox.stage(news)
        for entry in news where entry.kind == .configuration {
            var payload = entry.payload
            guard let configuration = RaftConfiguration(decoding: &payload) else { continue }
            log.addConfiguration(configuration, at: entry.index)
        }
        if changed || log.configurationIndex != before {
            adoptConfiguration()
            actions.append(.membershipChanged(configuration))
        }
        return true
    }

    private func isWellFormed(_ entries: [RaftEntry], after prevIndex: UInt64, _ prevTerm: UInt64) -> Bool {
        guard prevIndex < UInt64.max / 2, prevTerm <= term else { return false }
        var index = prevIndex
        var lastTerm = prevTerm
        for entry in entries {
            index += 1
            guard entry.index == index, entry.term >= lastTerm, entry.term <= term else { return false }
            lastTerm = entry.term
            if entry.kind == .configuration {
                var payload = entry.payload
                guard RaftConfiguration(decoding: &payload) != nil else { return false }
            }
        }
        return true
    }

    mutating func commitTo(_ index: UInt64) {
        let index = min(index, log.lastIndex)
        guard index > commitIndex else { return }
        commitIndex = index
        log.committed(through: index)
    }

    /// Hands out what is committed and synced here; from memory, else one load at a time.
    mutating func deliver(_ actions: inout [Action]) {
        let target = min(commitIndex, log.persisted)
        guard appliedIndex < target, applyLoad == nil, applyRetryAt == nil else { return }
        let from = appliedIndex + 1
        guard from >= log.cacheStart else {
            lastLoad += 1
            applyLoad = lastLoad
            let through = min(target, log.cacheStart - 1)
            actions.append(
                .load(
                    id: lastLoad, from: from, through: through, maxBytes: options.maxAppendBytes, purpose: .apply))
            return
        }
        let entries = log.entries(from: from, through: target, maxBytes: .max).entries
        appliedIndex = target
        actions.append(.committed(entries: entries))
    }

    mutating func loaded(_ load: UInt64, _ entries: [RaftEntry], _ now: UInt64, _ actions: inout [Action]) {
        guard load == applyLoad else { return loadedForPeer(load, entries, now, &actions) }
        applyLoad = nil
        let isGood = !entries.isEmpty && log.matches(entries, from: appliedIndex + 1)
        let through = appliedIndex + UInt64(entries.count)
        guard isGood, through <= min(commitIndex, log.persisted) else {
            applyRetryAt = now + options.heartbeatInterval
            return
        }
        appliedIndex = through
        actions.append(.committed(entries: entries))
    }
}
