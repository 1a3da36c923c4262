import Logging
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage

/// The slow reader that meets damage before it is needed: in rows that nobody asks for, a second copy may be lost too.
extension Node {
    /// Once a second; not while storage has other things to do.
    func scrubOn() {
        let load = context.storage.metrics()
        guard !isFull, load.queuedReads == 0, load.queuedWrites < 64, record != nil else { return }
        guard let step = scrubber.nextStep(wall: context.clock.wall(), size: databaseBytes) else { return }
        context.storage.read({ (store: any NodeStore) throws(StoreError) -> (ScrubStep, UInt64) in
            (try store.scrub(step.place, limit: step.limit, maxBytes: Scrubber.maxBytes), try store.size())
        }) { [weak self] (result: Result<(ScrubStep, UInt64), StoreError>) in
            self?.onCore { node in
                let wall = node.context.clock.wall()
                switch result {
                case .success(let (found, size)):
                    node.databaseBytes = size
                    let before = node.scrubber.passes
                    node.scrubber.ended(found, wall: wall)
                    node.heal(found)
                    if node.scrubber.passes > before {
                        node.context.logger.debug("every row of the database was read and checked")
                    }
                case .failure(let error):
                    node.scrubber.ended(nil, wall: wall)
                    node.storageFailed(error, doing: "checking the database")
                }
            }
        }
    }

    private func heal(_ found: ScrubStep) {
        guard !found.isClean else { return }
        for damage in found.entries {
            // What Raft has removed since is no loss.
            let last = partitions[damage.partition]?.onCore { $0.raft.lastIndex }
            if let last, damage.index <= last { damaged(damage) }
        }
        for (partition, text) in found.states { rebuildState(of: partition, because: text) }
        // These stand in memory as they should be.
        for id in found.hardStates {
            guard let partition = partitions[id] else { continue }
            context.logger.error("partition \(id): its term and vote on disk are damaged; they are written again")
            let state = partition.onCore { RaftHardState(term: $0.raft.term, vote: $0.raft.vote) }
            rewrite(PartitionWrite(partition: id, hardState: state))
        }
        if found.isIdentityDamaged {
            context.logger.error("the node's identity on disk is damaged; it is written again")
            context.counters.damagedRows.increment()
            saveFacts { $0.context.counters.repairedRows.increment() }
        }
    }

    private func rewrite(_ write: PartitionWrite) {
        context.counters.damagedRows.increment()
        self.write(write, urgent: false) { [weak self] in
            self?.onCore { $0.context.counters.repairedRows.increment() }
        }
    }

    // MARK: What operators see

    package var storageView: NodeView.Storage {
        var view = NodeView.Storage()
        view.isFull = isFull
        view.damagedRows = context.counters.damagedRows.value
        view.repairedRows = context.counters.repairedRows.value
        view.waitingRows = repairs.count
        view.statesRebuilt = context.counters.statesRebuilt.value
        view.scrubbedRows = scrubber.rows
        view.scrubProgress = scrubber.progress
        view.scrubStartedAt = scrubber.passStartedAt
        view.lastScrubAt = scrubber.lastPassAt
        return view
    }

    func damageFamilies(
        _ one: (String, String, MetricsView.Kind, Double) -> MetricsView.Family
    ) -> [MetricsView.Family] {
        let view = storageView
        return [
            one("roost_storage_full", "1 while the disk is full or read-only.", .gauge, view.isFull ? 1 : 0),
            one("roost_storage_damaged_rows_total", "Rows found damaged.", .counter, Double(view.damagedRows)),
            one("roost_storage_repaired_rows_total", "Of these, written again.", .counter, Double(view.repairedRows)),
            one(
                "roost_storage_waiting_rows", "Damaged rows of the log not yet had from another replica.", .gauge,
                Double(view.waitingRows)),
            one(
                "roost_storage_rebuilt_partitions_total", "Partitions whose tables were made anew from the log.",
                .counter, Double(view.statesRebuilt)),
            one(
                "roost_scrub_rows_total", "Rows read and checked in the background.", .counter,
                Double(view.scrubbedRows)),
            one("roost_scrub_progress", "Part of the pass that is done, 0 to 1.", .gauge, view.scrubProgress),
            one(
                "roost_scrub_last_pass_timestamp_seconds", "When all rows had been checked; 0: not in this life.",
                .gauge, Double(view.lastScrubAt ?? 0) / 1e6),
        ]
    }
}
