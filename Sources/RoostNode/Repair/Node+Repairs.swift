import Logging
import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage

/// Damaged rows of the log come from other replicas: asked for, checked, written again. Until then they are neither
/// served nor sent.
extension Node {
    /// Noted, counted and said once for each row.
    func damaged(_ damage: LogDamage, isBlocking: Bool = false) {
        guard repairs.note(damage, isBlocking: isBlocking, now: context.clock.now()) else { return }
        context.counters.damagedRows.increment()
        context.logger.error("\(damage); it is fetched from another replica")
        askForRepairs(of: damage.partition)
    }

    /// Twice a second.
    func tickRepairs() {
        for id in repairs.partitions {
            dropTruncated(id)
            askForRepairs(of: id)
        }
        tellFitness()
    }

    /// Rows that Raft has removed since need no mending.
    private func dropTruncated(_ id: PartitionID) {
        guard let partition = partitions[id] else { return }
        let last = partition.onCore { $0.raft.lastIndex }
        for index in repairs.indices(of: id) where index > last { repairs.remove(id, index) }
    }

    private func askForRepairs(of id: PartitionID) {
        let candidates = replicaNodes(of: id).filter { $0 != me && isUp($0) }
        guard let question = repairs.nextQuestion(id, candidates: candidates, now: context.clock.now()) else { return }
        send(control: .repair(.ask(partition: id, indices: question.indices)), to: question.node)
    }

    /// Everybody who may have the partition's log, ascending.
    private func replicaNodes(of id: PartitionID) -> [NodeID] {
        var nodes = Set(Int(id.value) < layout.count ? layout[Int(id.value)] : [])
        if let partition = partitions[id] {
            let configuration = partition.onCore { $0.raft.configuration }
            nodes.formUnion((configuration.voters + configuration.learners).map(\.node))
        }
        return nodes.sorted()
    }

    // MARK: Answering

    func received(_ message: RepairMessage, from node: NodeID) {
        switch message {
        case .ask(let partition, let indices): answerRepair(partition, indices, to: node)
        case .rows(let partition, let rows): mend(partition, with: rows, from: node)
        case .unfit(let isFull, let partitions): unfit(node, isFull: isFull, partitions)
        case .regressed(let partition, let term, let store, let confirmed):
            regressed(partition, term: term, store: store, confirmed: confirmed, says: node)
        }
    }

    /// Only what is known to be committed: then there is one entry of each index.
    private func answerRepair(_ id: PartitionID, _ indices: [UInt64], to node: NodeID) {
        let known = partitions[id]?.onCore { min($0.raft.commitIndex, $0.raft.persistedIndex) }
        let wanted = indices.prefix(RepairTable.batch)
        context.storage.read({ (store: any NodeStore) throws(StoreError) -> ([RepairRow], [LogDamage]) in
            let limit = if let known { known } else { try store.appliedIndex(id) }
            var rows: [RepairRow] = []
            var damage: [LogDamage] = []
            var bytes = 0
            for index in wanted where index > 0 && index <= limit && bytes < Partition.replyBytes {
                do throws(StoreError) {
                    let found = try store.entries(partition: id, from: index, through: index, maxBytes: .max)
                    for entry in found {
                        bytes += entry.payload.readableBytes
                        rows.append(RepairRow(entry: entry, checksum: EntryChecksum.of(entry, partition: id)))
                    }
                } catch .damagedEntry(let own) {
                    damage.append(own)
                }
            }
            return (rows, damage)
        }) { [weak self] (result: Result<([RepairRow], [LogDamage]), StoreError>) in
            self?.onCore { me in
                switch result {
                case .success(let (rows, damage)):
                    for own in damage { me.damaged(own) }
                    me.send(stream: .repair(.rows(partition: id, rows: rows)), to: node)
                case .failure(let error):
                    me.storageFailed(error, doing: "reading the log of partition \(id)")
                }
            }
        }
    }

    /// Rows that were asked for. Where the group runs, one of another term than it knows is of another history, and
    /// Raft will replace what stands there. Where it does not, any committed entry is right: what cannot stand beside it
    /// is removed with it (`LogRepair`).
    private func mend(_ id: PartitionID, with rows: [RepairRow], from node: NodeID) {
        repairs.answered(id, by: node, rows: rows.count)
        var whole: [RaftEntry] = []
        for row in rows where repairs.contains(id, row.entry.index) {
            guard row.checksum == EntryChecksum.of(row.entry, partition: id) else {
                context.logger.warning("\(node): its row of partition \(id), index \(row.entry.index) came damaged")
                continue
            }
            guard let partition = partitions[id] else {
                whole.append(row.entry)
                continue
            }
            let entry = partition.onCore { partition in
                partition.raft.term(at: row.entry.index) == row.entry.term
                    ? partition.state.withoutRemoved(row.entry, known: partition.filter) : nil
            }
            if let entry { whole.append(entry) }
        }
        guard !whole.isEmpty else { return }
        let indices = whole.map(\.index)
        write(PartitionWrite(partition: id, repairs: whole), urgent: true) { [weak self] in
            self?.onCore { $0.mended(id, indices) }
        }
    }

    private func mended(_ id: PartitionID, _ indices: [UInt64]) {
        for index in indices where repairs.remove(id, index) {
            context.counters.repairedRows.increment()
            context.logger.notice("partition \(id), index \(index): written again from another replica")
        }
        if partitions[id] == nil { loadReplica(id) }
        askForRepairs(of: id)
        tellFitness()
    }
}
