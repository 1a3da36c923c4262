import NIOCore
import OrderedCollections
import RoostCluster
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage

extension Partition {
    /// Applies committed entries in the log's order, answers proposals, streams messages.
    func apply(_ entries: [RaftEntry]) {
        guard !isAbandoned else { return }
        output.clear()
        let known = filter
        for entry in entries {
            guard entry.kind == .command else {
                state.pass(index: entry.index, term: entry.term)
                continue
            }
            var payload = entry.payload
            let stamped: StampedCommand
            do {
                stamped = try StampedCommand(decoding: &payload)
            } catch {
                // A committed entry that this version can't read: going on would make this replica differ.
                node.onCore {
                    $0.fail("partition \(self.id), entry \(entry.index): the command can't be decoded (\(error))")
                }
                return
            }
            hlc.advance(to: stamped.stamp)
            state.apply(index: entry.index, term: entry.term, stamped, known: known, into: &output)
        }
        if abandonsDistrusted() { return }
        unwritten.append(contentsOf: output.changes)
        for change in output.changes { note(change) }
        if filter.isFull && filter.isComplete {
            filter = MessageFilter(capacity: filter.idCount * 2, known: context.storage.store)
            fillFilter()
        }
        if isLeader || !waiting.isEmpty {
            let term = entries.last?.term ?? raft.term
            for (index, result) in output.results {
                // Entries of one batch may span terms; the exact term is looked up only where it matters.
                let entryTerm = entries.first?.term == term ? term : entries[Int(index - entries[0].index)].term
                answer(index: index, term: entryTerm, result: result)
            }
        }
        if isLeader && !output.committed.isEmpty {
            let membersChanged = output.changes.contains { if case .member = $0 { true } else { false } }
            deliver(output.committed, membersChanged: membersChanged)
        }
        if isLeader && !output.forgotten.isEmpty { dropCursors(of: output.forgotten) }
        let leads = isLeader
        for user in output.revoked { node.onCore { $0.revokedHere(user, announce: leads) } }
        for revoked in output.tokensRevoked { node.onCore { $0.tokensRevokedHere(revoked, announce: leads) } }
        if output.signingKeysChanged {
            let keys = state.signingKeys
            node.onCore { $0.signingKeysChanged(keys) }
        }
        if let ring = output.ring { node.onCore { $0.learned(ring) } }
        node.onCore { $0.markPartition(self) }
        serveReads()
    }

    private func note(_ change: StateChange) {
        func length(_ range: SeqRange) -> UInt64 { (range.through ?? range.after) - range.after }
        switch change {
        case .message(let row): filter.insert(row.id)
        case .stripped(_, let range):
            context.counters.floorsRaised.increment()
            context.counters.messagesRemoved.increment(by: length(range))
        case .idsForgotten(_, let range): context.counters.idsForgotten.increment(by: length(range))
        case .cursorDropped(let user, let device, let conversation):
            // What it acknowledged last must not come back with a device of the same name.
            cursors[CursorKey(user: user, device: device, conversation: conversation)] = nil
        default: break
        }
    }

    /// A lookup met a damaged row: what was decided by it is no decision. Nothing of it goes out, and this replica ends for
    /// one whose tables are made anew.
    func abandonsDistrusted() -> Bool {
        guard let reason = context.storage.store.distrust(of: id) else { return false }
        guard !isAbandoned else { return true }
        isAbandoned = true
        output.clear()
        unwritten = []
        node.onCore { $0.rebuildState(of: self.id, because: reason) }
        return true
    }

    /// Inserts the ids of all messages in the tables, in the background. What is applied meanwhile inserts itself.
    func fillFilter() {
        fills += 1
        let fill = fills
        let partition = id
        whenWritten { part in
            part.context.storage.read({ (store: any NodeStore) throws(StoreError) -> [UInt64] in
                try store.messageHashes(partition: partition)
            }) { [weak part] (result: Result<[UInt64], StoreError>) in
                part?.onCore { part in
                    switch result {
                    case .success(let hashes): part.insert(hashes[...], fill)
                    case .failure(let error):
                        // Without it every id is looked up: slower, not wrong.
                        part.node.onCore {
                            $0.storageFailed(error, doing: "reading message ids of partition \(partition)")
                        }
                        _ = part.context.after(milliseconds: 1_000) { [weak part] in
                            part?.onCore { if fill == $0.fills { $0.fillFilter() } }
                        }
                    }
                }
            }
        }
    }

    /// A part at a time: the node's other work must not wait for all of millions.
    private func insert(_ hashes: ArraySlice<UInt64>, _ fill: UInt64) {
        // A later fill is for a larger filter.
        guard fill == fills else { return }
        for hash in hashes.prefix(Self.idsATurn) { filter.insert(hash: hash) }
        let rest = hashes.dropFirst(Self.idsATurn)
        guard !rest.isEmpty else { return filter.complete() }
        context.clock.schedule(after: 0) { [weak self] in self?.onCore { $0.insert(rest, fill) } }
    }

    /// Some 50 µs of work.
    private static let idsATurn = 1 << 10

    /// Hands the rows of what was applied to the writer; they ride along with the next log entries.
    func flushState(urgent: Bool) {
        guard state.appliedIndex > submittedIndex, !isRetired, !isAbandoned else { return }
        let index = state.appliedIndex
        let changes = unwritten
        unwritten = []
        submittedIndex = index
        let said = isPlanted(.appliedAhead) ? index + 1 : index
        let write = PartitionWrite(
            partition: id, changes: changes, appliedIndex: said, lastStamp: state.lastStamp)
        let mayWait = !urgent && changes.allSatisfy { if case .cursor = $0 { true } else { false } }
        if mayWait { waitingIndex = index }
        node.onCore {
            $0.write(write, urgent: urgent, mayWait: mayWait) { [weak self] in
                self?.onCore { $0.stateWritten(through: index) }
            }
        }
    }

    private func stateWritten(through index: UInt64) {
        writtenIndex = max(writtenIndex, index)
        state.stateDurable(through: index)
        let ready = writeWaiters.filter { $0.index <= index }
        writeWaiters.removeAll { $0.index <= index }
        for waiter in ready { waiter.body(self) }
    }

    /// Runs `body` once the tables are as new as the state is now.
    func whenWritten(
        failed: (@Sendable (isolated Partition) -> Void)? = nil,
        _ body: @escaping @Sendable (isolated Partition) -> Void
    ) {
        guard !isRetired else {
            failed?(self)
            return
        }
        let index = state.appliedIndex
        if writtenIndex >= index {
            body(self)
            return
        }
        writeWaiters.append(WriteWaiter(index: index, body: body, failed: failed))
        flushState(urgent: true)
        if writtenIndex < waitingIndex {
            // It is on its way already.
            waitingIndex = 0
            hurryWriter()
        }
        node.onCore { $0.markPartition(self) }
    }
}
