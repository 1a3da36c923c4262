package import RoostModel
package import RoostStorage

/// A node's storage in virtual time: real SQLite in memory, commits that take a while, and a crash that forgets what was
/// not committed.
package final class SimulationStorage: Storage, @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    private enum Work {
        case write(PartitionWrite)
        case facts(NodeFacts)
    }
    package let database: SQLiteStore
    package var store: any NodeStore { database }
    private let executor: SimulationExecutor
    private var queue: [(work: Work, done: @Sendable (Result<Void, StoreError>) -> Void)] = []
    private var busy = false
    /// Everything queued may wait for a write that may not.
    private var allMayWait = true
    private var waiting: SimulationTimer?
    private var crashed = false
    private var counted = StorageMetrics()

    package init(database: SQLiteStore, executor: SimulationExecutor) {
        self.database = database
        self.executor = executor
    }

    /// Whatever is queued or under way is lost, and nobody is told.
    package func crash() {
        crashed = true
        queue.removeAll()
    }

    package func submit(_ submissions: [StorageSubmission]) {
        for item in submissions {
            queue.append((.write(item.write), item.completion))
            allMayWait = allMayWait && item.mayWait
        }
        pump()
    }

    package func resume(_ partition: PartitionID) {}
    package func onStall(_ handler: @escaping @Sendable (StoreError?) -> Void) {}

    package func saveFacts(
        _ facts: NodeFacts, completion: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        queue.append((.facts(facts), completion))
        allMayWait = false
        pump()
    }

    private func pump() {
        guard !busy, !queue.isEmpty, !crashed else { return }
        if allMayWait {
            guard waiting == nil else { return }
            waiting = executor.schedule(after: 5_000_000_000) { [weak self] in
                self?.waiting = nil
                self?.allMayWait = false
                self?.pump()
            }
            return
        }
        waiting?.cancel()
        waiting = nil
        busy = true
        executor.schedule(after: executor.random(100_000...1_500_000)) { [self] in
            guard !crashed else { return }
            busy = false
            let batch = queue
            queue.removeAll()
            allMayWait = true
            for (done, result) in commit(batch) { done(result) }
            pump()
        }
    }

    private func commit(_ batch: [(work: Work, done: @Sendable (Result<Void, StoreError>) -> Void)])
        -> [(@Sendable (Result<Void, StoreError>) -> Void, Result<Void, StoreError>)]
    {
        var writes: [PartitionWrite] = []
        var result: Result<Void, StoreError> = .success(())
        do throws(StoreError) {
            for item in batch {
                switch item.work {
                case .write(let write): writes.append(write)
                case .facts(let facts): try database.saveFacts(facts)
                }
            }
            if !writes.isEmpty { try database.commit(writes) }
            counted.commits += 1
        } catch {
            result = .failure(error)
        }
        return batch.map { ($0.done, result) }
    }

    package func read<T: Sendable>(
        _ job: @escaping @Sendable (any NodeStore) throws(StoreError) -> T,
        completion: @escaping @Sendable (Result<T, StoreError>) -> Void
    ) {
        executor.schedule(after: executor.random(20_000...200_000)) { [self] in
            guard !crashed else { return }
            let result: Result<T, StoreError>
            do throws(StoreError) { result = .success(try job(database)) } catch { result = .failure(error) }
            completion(result)
        }
    }

    package func metrics() -> StorageMetrics { counted }

    package func shutdown(completion: @escaping @Sendable () -> Void) {
        executor.schedule(after: 0, completion)
    }
}
