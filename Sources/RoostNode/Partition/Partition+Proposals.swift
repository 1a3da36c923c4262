import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage

extension Partition {
    /// A proposal from an ingress. Appended at the end of the turn, with all that came in it.
    func propose(_ proposal: Proposal, from origin: NodeID) {
        let key = ProposalOrigin(node: origin, id: proposal.id)
        guard isLeader else {
            refuse(key)
            return
        }
        // Sent again while the first is under way: that one will be answered.
        guard !inFlight.contains(key) else { return }
        if let known = refusals[key] { return reply(known, to: key) }
        var body = proposal.command
        let command: Command
        do {
            command = try Command(decoding: &body)
        } catch {
            reply(.rejected(.invalid), to: key)
            return
        }
        // After `roost recover` the log may have an older ring than the node: that comes first (`ensureRing`).
        if command.changesRing, node.onCore({ $0.ring?.version ?? 0 }) > state.ring?.version ?? 0 {
            return refuse(key)
        }
        // Only the log has messages without content.
        guard command.sending?.removedHash == nil else { return reply(.rejected(.invalid), to: key) }
        let early = state.rejection(of: command, known: filter, at: clusterTime)
        if abandonsDistrusted() { return refuse(key) }
        if let early {
            if case .rejected = early, !isPlanted(.refusesUnproven) {
                // A "no" comes from the applied state of a proven leader. While entries are under way one of them may
                // change the answer: then the log decides.
                if raft.lastIndex == state.appliedIndex && proposing.isEmpty {
                    ask(.refusal(proposal, key))
                    return
                }
            } else if case .sent = early {
                // The log gives the first answer again, and the send its turn: what follows in its session waits for it.
            } else {
                reply(early, to: key)
                return
            }
        }
        append(limited(command, proposal.command), origin: key)
    }

    func append(_ command: ByteBuffer, origin: ProposalOrigin) {
        if inFlight.insert(origin).inserted {
            proposing.append((command, origin))
            node.onCore { $0.markPartition(self) }
        }
    }

    /// Stamps what was gathered in this turn and gives it to the log, as one batch.
    func flushProposals() {
        guard !proposing.isEmpty else { return }
        let batch = proposing
        proposing.removeAll(keepingCapacity: true)
        let wall = clusterTime
        let payloads = batch.map { item in
            var payload = ByteBuffer()
            payload.reserveCapacity(minimumWritableBytes: 8 + item.payload.readableBytes)
            payload.writeInteger(hlc.tick(wall: wall))
            payload.writeImmutableBuffer(item.payload)
            return payload
        }
        let term = raft.term
        let indexes = withRaft { raft, now, actions in raft.propose(payloads, now: now, into: &actions) }
        guard let indexes, indexes.count == batch.count else {
            for item in batch { refuse(item.origin) }
            return
        }
        // With a single voter the entries may be committed already: then they were applied without an origin.
        for (item, index) in zip(batch, indexes) { waiting.append((index, term, item.origin)) }
        if isPlanted(.acceptBeforeCommit) { acceptEarly(batch) }
        if isPlanted(.answersUncommitted) { answerEarly(batch) }
        answerApplied()
    }

    /// Answers what has been applied; results of entries that are older than their proposal's index wait in `answered`.
    func answer(index: UInt64, term: UInt64, result: CommandResult) {
        while let first = waiting.first, first.index < index {
            waiting.removeFirst()
            refuse(first.origin)
        }
        guard let first = waiting.first, first.index == index else { return }
        waiting.removeFirst()
        if first.term == term {
            inFlight.remove(first.origin)
            reply(result, to: first.origin)
        } else {
            refuse(first.origin)
        }
    }

    private func answerApplied() {
        // `persisted` always comes as a later event, so nothing proposed in this turn can have been applied in it.
        while let first = waiting.first, first.index <= state.appliedIndex {
            waiting.removeFirst()
            refuse(first.origin)
        }
    }

    /// No longer the leader: whoever proposed asks the next one.
    func failWaiting(hint: NodeID?) {
        let items = waiting.map(\.origin) + proposing.map(\.origin)
        waiting.removeAll()
        proposing.removeAll()
        for origin in items { refuse(origin) }
        inFlight.removeAll()
    }

    func refuse(_ origin: ProposalOrigin) {
        inFlight.remove(origin)
        let hint = raft.leader?.node
        let result = ProposalResult(
            id: origin.id, outcome: .notLeader(hint == context.id && !isLeader ? nil : hint))
        node.onCore { $0.send(result: result, to: origin.node) }
    }

    func reply(_ result: CommandResult, to origin: ProposalOrigin) {
        inFlight.remove(origin)
        refusals.note(result, to: origin)
        node.onCore { $0.send(result: ProposalResult(id: origin.id, outcome: .applied(result)), to: origin.node) }
    }
}
