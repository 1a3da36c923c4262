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

    /// Only what is known to be committed: then there is one entry of each index. Where nothing of what is asked for is, the
    /// last entry that is: what does not stand beside it was given up.
    private func answerRepair(_ id: PartitionID, _ indices: [UInt64], to node: NodeID) {
        let known = partitions[id]?.onCore { min($0.raft.commitIndex, $0.raft.persistedIndex) }
        let wanted = indices.prefix(RepairTable.batch)
        context.storage.read({ (store: any NodeStore) throws(StoreError) -> ([RepairRow], [LogDamage]) in
            let limit = if let known { known } else { try store.appliedIndex(id) }
            var rows: [RepairRow] = []
            var damage: [LogDamage] = []
            var bytes = 0
            var indices = wanted.filter { $0 > 0 && $0 <= limit }
            if indices.isEmpty && limit > 0 { indices = [limit] }
            for index in indices where bytes < Partition.replyBytes {
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

    /// Where the group runs, one of another term than it knows is of another history, and Raft will replace what stands
    /// there.
    private func mend(_ id: PartitionID, with rows: [RepairRow], from node: NodeID) {
        let whole = rows.filter { row in
            let isWhole = row.entry.index > 0 && row.checksum == EntryChecksum.of(row.entry, partition: id)
            if !isWhole {
                context.logger.warning("\(node): its row of partition \(id), index \(row.entry.index) came damaged")
            }
            return isWhole
        }.map(\.entry)
        guard let partition = partitions[id] else { return compare(id, whole, from: node) }
        let known = partition.onCore { partition in
            whole.filter { repairs.contains(id, $0.index) && partition.raft.term(at: $0.index) == $0.term }
                .map { partition.state.withoutRemoved($0, known: partition.filter) }
        }
        if !known.isEmpty { repairs.answered(id, by: node) }
        // What was looked up in damaged tables says nothing: the rows are asked for again.
        guard !partition.onCore({ $0.abandonsDistrusted() }) else { return }
        writeAgain(id, known)
    }

    /// Where it does not run, what cannot stand beside a committed entry is removed with it (`LogRepair`).
    private func compare(_ id: PartitionID, _ entries: [RaftEntry], from node: NodeID) {
        let asked = Set(repairs.indices(of: id))
        guard !asked.isEmpty, !entries.isEmpty else { return }
        context.storage.read({ (store: any NodeStore) throws(StoreError) -> RepairPlan in
            func term(_ index: UInt64) throws(StoreError) -> UInt64? {
                do throws(StoreError) {
                    return try store.entries(partition: id, from: index, through: index, maxBytes: .max).first?.term
                } catch .damagedEntry {
                    return nil
                }
            }
            // Where that is damaged as well, more is compared.
            let applied = try? store.appliedIndex(id)
            let wanted = entries.filter { asked.contains($0.index) || $0.index > applied ?? 0 }
            var rows: [RepairPlan.Row] = []
            for entry in wanted.sorted(by: { $0.index < $1.index }) {
                let before = entry.index > 1 ? try term(entry.index - 1) : nil
                rows.append(.init(entry: entry, own: try term(entry.index), before: before))
            }
            return RepairPlan(rows, applied: applied ?? 0)
        }) { [weak self] (result: Result<RepairPlan, StoreError>) in
            self?.onCore { me in
                // It may have begun to run, or be emptied, meanwhile.
                guard me.partitions[id] == nil, !me.loading.contains(id), me.repairs.oldest(of: id) != nil else {
                    return
                }
                switch result {
                case .success(let plan): me.carryOut(plan, of: id, from: node)
                case .failure(let error):
                    me.storageFailed(error, doing: "reading the log of partition \(id)")
                }
            }
        }
    }

    /// Who brought it on is asked for more at once, else the next one in its turn.
    private func carryOut(_ plan: RepairPlan, of id: PartitionID, from node: NodeID) {
        var isFurther = !plan.write.isEmpty
        for index in plan.agreed where repairs.remove(id, index) { isFurther = true }
        for index in plan.ask.sorted() where repairs.noteDoubtful(id, index, now: context.clock.now()) {
            isFurther = true
        }
        if isFurther { repairs.answered(id, by: node) }
        writeAgain(id, plan.write)
        if plan.write.isEmpty { askForRepairs(of: id) }
    }

    private func writeAgain(_ id: PartitionID, _ entries: [RaftEntry]) {
        guard !entries.isEmpty else { return }
        let indices = entries.map(\.index)
        write(PartitionWrite(partition: id, repairs: entries), urgent: true) { [weak self] in
            self?.onCore { $0.mended(id, indices) }
        }
    }

    private func mended(_ id: PartitionID, _ indices: [UInt64]) {
        for index in indices {
            let wasDamaged = repairs.isDamaged(id, index)
            guard repairs.remove(id, index), wasDamaged else { continue }
            context.counters.repairedRows.increment()
            context.logger.notice("partition \(id), index \(index): written again from another replica")
        }
        if partitions[id] == nil { loadReplica(id) }
        askForRepairs(of: id)
        tellFitness()
    }
}
