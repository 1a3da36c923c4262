import NIOCore
import RoostCluster
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage

extension Partition {
    /// Applies committed entries in the log's order, answers proposals, streams messages.
    func apply(_ entries: [RaftEntry]) {
        output.clear()
        let known = context.storage.store
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
        unwritten.append(contentsOf: output.changes)
        if isLeader || !waiting.isEmpty {
            let term = entries.last?.term ?? raft.term
            for (index, result) in output.results {
                // Entries of one batch may span terms; the exact term is looked up only where it matters.
                let entryTerm = entries.first?.term == term ? term : entries[Int(index - entries[0].index)].term
                answer(index: index, term: entryTerm, result: result)
            }
        }
        if isLeader && !output.committed.isEmpty { deliver(output.committed) }
        let leads = isLeader
        for user in output.revoked { node.onCore { $0.revokedHere(user, announce: leads) } }
        if output.signingKeysChanged {
            let keys = state.signingKeys
            node.onCore { $0.signingKeysChanged(keys) }
        }
        node.onCore { $0.markPartition(self) }
        serveReads()
    }

    /// Hands the rows of what was applied to the writer; they ride along with the next log entries.
    func flushState(urgent: Bool) {
        guard state.appliedIndex > submittedIndex else { return }
        let index = state.appliedIndex
        let changes = unwritten
        unwritten = []
        submittedIndex = index
        let write = PartitionWrite(
            partition: id, changes: changes, appliedIndex: index, lastStamp: state.lastStamp)
        node.onCore {
            $0.write(write, urgent: urgent) { [weak self] in self?.onCore { $0.stateWritten(through: index) } }
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
    func whenWritten(_ body: @escaping @Sendable (isolated Partition) -> Void) {
        let index = state.appliedIndex
        if writtenIndex >= index {
            body(self)
            return
        }
        writeWaiters.append((index, body))
        flushState(urgent: true)
        node.onCore { $0.markPartition(self) }
    }
}
