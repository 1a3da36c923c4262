import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage

/// Where a message is: what the leader knows of it, and what each replica has.
extension Partition {
    private struct Found: Sendable {
        var row: MessageRow
        var stored: StoredMessage
        var term: UInt64
    }

    func locate(_ message: MessageID, _ finish: @escaping Finish) {
        let partition = id
        fromStore(
            of: nil,
            { (store: any NodeStore) throws(StoreError) -> Found? in
                guard let row = try store.messages(withID: message, partition: partition).first else { return nil }
                let stored = try store.messages(
                    partition: partition, conversation: row.conversation, after: row.seq - 1, before: row.seq + 1,
                    descending: false, skip: 0, limit: 1, maxBytes: 4 << 20)
                let entries = try store.entries(
                    partition: partition, from: row.index, through: row.index, maxBytes: 4 << 20)
                guard let stored = stored.first, let entry = entries.first else { return nil }
                return Found(row: row, stored: stored, term: entry.term)
            }, failed: { finish($0, .rejected(.unavailable)) }
        ) { partition, found in
            guard let found else {
                finish(partition, .none)
                return
            }
            finish(partition, .located(partition.location(found)))
        }
    }

    private func location(_ found: Found) -> MessageLocation {
        let row = found.row
        return MessageLocation(
            conversation: row.conversation, seq: row.seq, sender: row.sender,
            originDevice: found.stored.message.originDevice, sentAt: row.sentAt, index: row.index, term: found.term,
            leader: context.id,
            replicas: view().replicas.map { MessageReplica(node: $0.node, isVoter: $0.isVoter) },
            readers: state.readers(of: row.conversation, row.seq), cursors: state.cursors(of: row.conversation))
    }

    /// What this replica has of an entry, whoever leads. What is in the database is synced.
    func tellReplica(_ call: UInt64, _ index: UInt64, to origin: NodeID) {
        let partition = id
        context.storage.read({ (store: any NodeStore) throws(StoreError) -> (term: UInt64, at: Int64?)? in
            let entries = try store.entries(partition: partition, from: index, through: index, maxBytes: 4 << 20)
            guard let entry = entries.first else { return nil }
            return (entry.term, try store.syncedAt(partition: partition, index: index))
        }) { [weak self] (result: Result<(term: UInt64, at: Int64?)?, StoreError>) in
            self?.onCore { $0.tellReplica(call, result, to: origin) }
        }
    }

    private func tellReplica(
        _ call: UInt64, _ result: Result<(term: UInt64, at: Int64?)?, StoreError>, to origin: NodeID
    ) {
        let response: ReadResponse
        switch result {
        case .success(let found):
            response = .replica(
                ReplicaStatus(
                    term: found?.term, syncedAt: found?.at, lastIndex: raft.persistedIndex,
                    appliedIndex: state.appliedIndex))
        case .failure(let error):
            node.onCore { $0.storageFailed(error, doing: "reading an entry of partition \(id)") }
            response = .rejected(.unavailable)
        }
        node.onCore { $0.send(reply: ReadReply(id: call, outcome: .answered(response)), to: origin) }
    }
}
