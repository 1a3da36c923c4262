package import RoostModel
package import RoostProtocol

/// The others' parts: what comes from them, and what SWIM says of them.
extension PresenceTable {
    package mutating func receive(
        _ message: PresenceMessage, from sender: NodeID, now: UInt64, into actions: inout [Action]
    ) {
        switch message {
        case .delta(let node, let epoch, let from, let to, let changes):
            guard node == sender, let index = part(of: node, epoch: epoch, into: &actions) else { return ignore() }
            apply(index: index, from: from, to: to, changes, now: now, into: &actions)
        case .request(let node, let epoch, let version):
            guard node == me, sender != me else { return ignore() }
            answer(sender, epoch: epoch, version: version, into: &actions)
        case .snapshot(let node, let epoch, let version, let chunk, let chunks, let entries):
            guard node == sender, chunks <= limits.maxChunks,
                let index = part(of: node, epoch: epoch, into: &actions)
            else { return ignore() }
            let isTorn = limits.planted.contains(.snapshotTorn)
            switch parts[index].take(chunk: chunk, of: isTorn ? 1 : chunks, version: version, entries: entries) {
            case .known: break
            case .more: parts[index].answerComes(now: now)
            case .complete(let former):
                freshen(index)
                tellDifference(index: index, former: former, into: &actions)
            }
        }
    }

    /// Compares what somebody knows with what is known here, and asks the owners of what is behind.
    package mutating func compare(
        _ digests: [PresenceDigest], from sender: NodeID, now: UInt64, into actions: inout [Action]
    ) {
        if limits.planted.contains(.digestsIgnored) { return }
        for digest in digests.prefix(limits.maxParts) where digest.node != me {
            // Of a node that is hidden only its own word counts: nobody else could bring its entries anyway.
            let known = find(digest.node)
            if digest.node != sender, let known, !parts[known].isVisible { continue }
            let same = known.flatMap { parts[$0].epoch == digest.epoch ? $0 : nil }
            guard let index = same ?? part(of: digest.node, epoch: digest.epoch, into: &actions) else { continue }
            if digest.version > parts[index].version { request(index: index, now: now, into: &actions) }
        }
    }

    /// SWIM's word: dead and left hide a part, alive with the same epoch shows it again, a higher epoch replaces it.
    /// `wall` is microseconds since 1970.
    package mutating func memberChanged(_ state: MemberState, wall: Int64, into actions: inout [Action]) {
        guard state.node != me, state.isHeard else { return }
        guard let index = part(of: state.node, epoch: state.epoch, into: &actions) else { return }
        let hide = (state.status == .dead || state.status == .left) && !limits.planted.contains(.deadShown)
        guard hide == parts[index].isVisible else { return }
        parts[index].hiddenSince = hide ? wall : nil
        parts[index].forgetRequest()
        if parts[index].table.count > 0 { actions.append(.partChanged(state.node)) }
    }

    /// What was asked of a node before its link was up got nowhere.
    package mutating func linkUp(_ node: NodeID) {
        if let index = find(node) { parts[index].forgetRequest() }
    }

    private mutating func ignore() { ignored += 1 }

    func find(_ node: NodeID) -> Int? {
        let index = position(of: node)
        return index < partNodes.count && partNodes[index] == node ? index : nil
    }

    private func position(of node: NodeID) -> Int {
        var low = 0
        var high = partNodes.count
        while low < high {
            let middle = (low + high) / 2
            if partNodes[middle] < node { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The part of a node in an epoch: made if new, begun anew if the epoch is higher, nil if it is a former one.
    private mutating func part(of node: NodeID, epoch: Epoch, into actions: inout [Action]) -> Int? {
        guard node != me else { return nil }
        let index = position(of: node)
        guard index < parts.count, partNodes[index] == node else {
            guard parts.count < limits.maxParts else { return nil }
            parts.insert(PresencePart(node: node, epoch: epoch), at: index)
            partNodes.insert(node, at: index)
            return index
        }
        guard epoch != parts[index].epoch else { return index }
        guard epoch > parts[index].epoch else { return nil }
        let former = parts[index]
        parts[index] = PresencePart(node: node, epoch: epoch)
        if limits.planted.contains(.partOutlivesLife) { parts[index].table = former.table }
        if let ended = former.hiddenSince {
            for entry in former.table.entries { lastOnlineTimes.note(PresenceKey(entry), at: ended) }
        }
        if former.isVisible && former.table.count > 0 { actions.append(.partChanged(node)) }
        return index
    }

    private mutating func apply(
        index: Int, from: UInt64, to: UInt64, _ changes: [PresenceChange], now: UInt64, into actions: inout [Action]
    ) {
        let node = parts[index].node
        let tells = parts[index].isVisible
        var gone: [PresenceEntry] = []
        let from = limits.planted.contains(.presenceGapIgnored) ? min(from, parts[index].version) : from
        let outcome = parts[index].apply(from: from, to: to, changes: changes) { old, change in
            if !change.online {
                gone.append(change.entry)
                if tells, let old { actions.append(.disappeared(old, node: node)) }
            } else if tells, old != change.entry {
                actions.append(.appeared(change.entry, node: node))
            }
        }
        for entry in gone { lastOnlineTimes.note(PresenceKey(entry), at: entry.since) }
        switch outcome {
        case .known: break
        case .applied: freshen(index)
        case .gap: request(index: index, now: now, into: &actions)
        }
    }

    private func tellDifference(index: Int, former: PresenceEntryTable, into actions: inout [Action]) {
        let part = parts[index]
        guard part.isVisible else { return }
        for entry in former.entries.sorted(by: PresenceEntry.ordered)
        where part.table.find(entry.user, entry.device) == nil {
            actions.append(.disappeared(entry, node: part.node))
        }
        for entry in part.table.entries.sorted(by: PresenceEntry.ordered)
        where former.find(entry.user, entry.device) != entry {
            actions.append(.appeared(entry, node: part.node))
        }
    }

    /// Asks the owner for what follows, unless that is under way.
    private mutating func request(index: Int, now: UInt64, into actions: inout [Action]) {
        guard parts[index].asks(now: now, limits: limits) else { return }
        let part = parts[index]
        actions.append(
            .send(.request(node: part.node, epoch: part.epoch, version: part.version), to: part.node))
    }

    /// Sends what follows `version`: the kept changes, or where those do not reach back so far, everything.
    private func answer(_ node: NodeID, epoch: Epoch, version: UInt64, into actions: inout [Action]) {
        let known = epoch == self.epoch ? version : 0
        if known == log.version && epoch == self.epoch { return }
        if known >= log.floor && known <= log.version {
            let messages = deltas(from: known, log.changes(after: known))
            actions += messages.map { .send($0, to: node) }
            return
        }
        // The entries may be newer than the version by what waits for the next flush, which then says it again.
        let entries = own.entries.sorted(by: PresenceEntry.ordered)
        let size = max(1, limits.changesPerMessage)
        let chunks = max(1, (entries.count + size - 1) / size)
        for chunk in 0..<chunks {
            let slice = entries[min(chunk * size, entries.count)..<min((chunk + 1) * size, entries.count)]
            actions.append(
                .send(
                    .snapshot(
                        node: me, epoch: self.epoch, version: log.version, chunk: UInt32(chunk),
                        chunks: UInt32(chunks), entries: Array(slice)), to: node))
        }
    }
}
