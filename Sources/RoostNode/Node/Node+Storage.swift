import Logging
import RoostConsensus
import RoostModel
import RoostStorage

extension Node {
    /// The disk is full, or has room again. Until it has, writes wait and nothing is confirmed: leadership goes elsewhere,
    /// sends are refused, reads and deliveries go on.
    func storageStalled(_ error: StoreError?) {
        isFull = error != nil
        if case .full(let detail)? = error {
            context.logger.error(
                "writing to the database: no space (\(detail)); until there is some this node leads nothing and takes nothing"
            )
        } else {
            context.logger.notice("writing to the database: there is space again")
        }
        for partition in sortedPartitions {
            partition.onCore { partition in
                if error == nil { partition.receive(.storageAvailable) } else { partition.storageFull() }
            }
        }
        tellFitness()
    }

    /// What became of a write. `.full` is a queue at its bound: the write is tried again, with all that follows it in
    /// its partition, and until then the partition is led elsewhere. Anything else leaves unknown what is on disk, so
    /// the process ends.
    func written(_ item: PendingWrite, _ result: Result<Void, StoreError>) {
        let partition = item.write.partition
        writesInFlight[partition, default: 1] -= 1
        switch result {
        case .success:
            item.completion()
        case .failure where configuration.planted.contains(.ignoresFailedSync):
            item.completion()
        case .failure(let error):
            guard case .full = error else { return writeFailed(error) }
            storageFailed(error, doing: "writing to the database")
            guard failure == nil else { return }
            if stalledWrites[partition] == nil {
                partitions[partition]?.onCore { $0.receive(.storageFull) }
            }
            stalledWrites[partition, default: []].append(item)
            scheduleRetry()
        }
    }

    private func scheduleRetry() {
        guard !retryScheduled else { return }
        retryScheduled = true
        _ = context.after(milliseconds: 1_000) { [weak self] in self?.onCore { $0.retryWrites() } }
    }

    private func retryWrites() {
        retryScheduled = false
        for partition in stalledWrites.keys.sorted() {
            // Every refusal must be back: they may come in another order than the writes were made.
            guard writesInFlight[partition, default: 0] == 0, let items = stalledWrites.removeValue(forKey: partition)
            else {
                scheduleRetry()
                continue
            }
            context.storage.resume(partition)
            // What was gathered before the refusal came back is of the same row.
            let gathered = writes.filter { $0.write.partition == partition }
            writes.removeAll { $0.write.partition == partition }
            var ordered = (items + gathered).sorted { $0.order < $1.order }
            if let last = ordered.popLast() {
                // There is space again when the last of them is through.
                ordered.append(
                    PendingWrite(order: last.order, write: last.write, urgent: last.urgent) { [weak self] in
                        last.completion()
                        self?.onCore { node in
                            node.partitions[partition]?.onCore { $0.receive(.storageAvailable) }
                        }
                    })
            }
            writes.append(contentsOf: ordered)
        }
        if !writes.isEmpty { needTurn() }
    }

    /// What is on disk is unknown. Damaged rows that a write met were not written over: they are met again.
    private func writeFailed(_ error: StoreError) {
        if case .damagedState(_, let text) = error {
            fail("writing to the database: \(text); the next start makes the tables anew from the log")
        } else {
            storageFailed(error, doing: "writing to the database")
        }
    }

    /// A read, or what can be tried again. Damage is mended where it can be; the rest ends the process with one line.
    func storageFailed(_ error: StoreError, doing what: String) {
        switch error {
        case .full(let detail): context.logger.warning("\(what): \(detail); it is tried again")
        case .damagedEntry(let damage): damaged(damage)
        case .damagedState(let partition, let text): rebuildState(of: partition, because: text)
        case .corrupt(let detail): condemn("\(what): \(detail)")
        case .failed(let detail):
            fail("\(what): \(detail). What is on disk is unknown now: look at the disk, then start this node again")
        }
    }

    func storageFamilies(_ metrics: StorageMetrics) -> [MetricsView.Family] {
        func histogram(_ name: String, _ help: String, _ histogram: StorageHistogram) -> MetricsView.Family {
            var samples: [MetricsView.Sample] = []
            var total: UInt64 = 0
            for (index, count) in histogram.counts.enumerated() {
                total += count
                let bound = index < histogram.bounds.count ? "\(histogram.bounds[index])" : "+Inf"
                samples.append(.init(suffix: "_bucket", labels: [("le", bound)], value: Double(total)))
            }
            samples.append(.init(suffix: "_sum", value: histogram.sum))
            samples.append(.init(suffix: "_count", value: Double(total)))
            return MetricsView.Family(name: name, help: help, kind: .histogram, samples: samples)
        }
        func one(_ name: String, _ help: String, _ kind: MetricsView.Kind, _ value: Double) -> MetricsView.Family {
            MetricsView.Family(name: name, help: help, kind: kind, samples: [.init(value: value)])
        }
        return [
            histogram("roost_commit_batch_writes", "Writes gathered in one transaction.", metrics.batchSize),
            histogram("roost_commit_seconds", "Time of a transaction with its sync.", metrics.commitSeconds),
            one("roost_log_entries_total", "Log entries committed to disk here.", .counter, Double(metrics.entries)),
            one("roost_log_bytes_total", "Payload bytes of these.", .counter, Double(metrics.entryBytes)),
            one("roost_commit_failures_total", "Transactions that failed.", .counter, Double(metrics.failedCommits)),
            one("roost_storage_queue_writes", "Writes waiting.", .gauge, Double(metrics.queuedWrites)),
            one("roost_storage_queue_bytes", "Bytes waiting to be written.", .gauge, Double(metrics.queuedBytes)),
            one("roost_storage_queue_reads", "Reads waiting.", .gauge, Double(metrics.queuedReads)),
        ] + damageFamilies(one) + retentionFamilies(one)
    }
}
