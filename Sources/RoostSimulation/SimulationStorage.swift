package import RoostModel
package import RoostStorage

/// How a simulated disk behaves; belongs to the machine, so it outlives the process.
package struct DiskBehaviour: Sendable {
    /// Nanoseconds from taking a batch to having it synced.
    package var commit: ClosedRange<UInt64> = 100_000...1_500_000
    /// Nanoseconds of a read.
    package var read: ClosedRange<UInt64> = 20_000...200_000
    /// The next commit fails, and nobody can say whether it is on disk.
    package var failsNext = false
    /// No space: commits wait.
    package var isFull = false
    package init() {}
}

/// A node's storage in virtual time: real SQLite in memory, commits that take a while, and a crash that forgets what was
/// not synced. What was being synced when the crash came may be there or not.
package final class SimulationStorage: Storage, @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    private enum Work {
        case write(PartitionWrite)
        case facts(NodeFacts)
    }
    private typealias Item = (work: Work, done: @Sendable (Result<Void, StoreError>) -> Void)

    package let database: SQLiteStore
    package var store: any NodeStore { database }
    package private(set) var behaviour = DiskBehaviour()
    /// Called with what is synced, at that moment.
    package var onSynced: (([PartitionWrite]) -> Void)?
    let executor: SimulationExecutor
    private let gate: SimulationGate
    private var queue: [Item] = []
    private var underWay: [Item] = []
    private var busy = false
    /// Everything queued may wait for a write that may not.
    private var allMayWait = true
    private var waiting: SimulationTimer?
    private var crashed = false
    private var failure: StoreError?
    private var stallHandler: (@Sendable (StoreError?) -> Void)?
    private var isStalled = false
    private var toldStalled = false
    private var counted = StorageMetrics()
    /// Commits that were made to fail.
    package private(set) var failures = 0
    /// The file is no database any more.
    var isCorrupt = false

    package init(database: SQLiteStore, executor: SimulationExecutor, gate: SimulationGate? = nil) {
        self.database = database
        self.executor = executor
        self.gate = gate ?? SimulationGate(executor: executor)
    }

    package func change(_ behaviour: DiskBehaviour) {
        self.behaviour = behaviour
        if !behaviour.isFull { tellStall() }
        pump()
    }

    /// A full disk is noticed when something is to be written, room when there is some.
    private func tellStall() {
        guard behaviour.isFull != isStalled else { return }
        isStalled = behaviour.isFull
        executor.schedule(after: 0) { [weak self] in
            guard let self, !self.crashed else { return }
            self.gate.pass {
                // As it is by now: events of one instant have no order.
                guard self.toldStalled != self.isStalled else { return }
                self.toldStalled = self.isStalled
                self.stallHandler?(self.isStalled ? .full("no space left on the simulated disk") : nil)
            }
        }
    }

    /// What is queued is lost, what was under way by chance, and nobody is told.
    package func crash() {
        guard !crashed else { return }
        crashed = true
        queue.removeAll()
        // The process is gone, but the disk may have got that far.
        if failure == nil, !underWay.isEmpty, executor.random(0...1) == 1 { _ = commit(underWay) }
        underWay.removeAll()
    }

    package func submit(_ submissions: [StorageSubmission]) {
        if let failure {
            executor.schedule(after: 0) { [gate] in
                gate.pass { for item in submissions { item.completion(.failure(failure)) } }
            }
            return
        }
        for item in submissions {
            queue.append((.write(item.write), item.completion))
            allMayWait = allMayWait && item.mayWait
        }
        pump()
    }

    package func resume(_ partition: PartitionID) {}
    package func onStall(_ handler: @escaping @Sendable (StoreError?) -> Void) { stallHandler = handler }

    package func saveFacts(
        _ facts: NodeFacts, completion: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        if behaviour.isFull {
            executor.schedule(after: 0) { [gate] in gate.pass { completion(.failure(.full("simulated"))) } }
            return
        }
        queue.append((.facts(facts), completion))
        allMayWait = false
        pump()
    }

    private func pump() {
        guard !busy, !queue.isEmpty, !crashed, failure == nil else { return }
        tellStall()
        guard !behaviour.isFull else { return }
        if allMayWait {
            guard waiting == nil else { return }
            waiting = executor.schedule(after: 5_000_000_000) { [weak self] in
                guard let self else { return }
                gate.pass { [self] in
                    waiting = nil
                    allMayWait = false
                    pump()
                }
            }
            return
        }
        waiting?.cancel()
        waiting = nil
        busy = true
        executor.schedule(after: executor.random(behaviour.commit)) { [self] in
            guard !crashed else { return }
            gate.pass { [self] in take() }
        }
    }

    private func take() {
        guard !crashed else { return }
        underWay = queue
        queue.removeAll()
        allMayWait = true
        // Synced in the first half of what is left, told in the second: a crash may come between.
        executor.schedule(after: executor.random(0...20_000)) { [self] in sync() }
    }

    private func sync() {
        guard !crashed else { return }
        let batch = underWay
        underWay.removeAll()
        let result: Result<Void, StoreError>
        if behaviour.failsNext {
            behaviour.failsNext = false
            failures += 1
            if executor.random(0...1) == 1 { _ = commit(batch) }
            let error = StoreError.failed("a simulated error of a sync")
            failure = error
            result = .failure(error)
        } else {
            result = commit(batch)
        }
        executor.schedule(after: executor.random(0...50_000)) { [self] in
            guard !crashed else { return }
            gate.pass { [self] in told(batch, result) }
        }
    }

    private func told(_ batch: [Item], _ result: Result<Void, StoreError>) {
        guard !crashed else { return }
        busy = false
        for item in batch { item.done(result) }
        if let failure {
            let rest = queue
            queue.removeAll()
            for item in rest { item.done(.failure(failure)) }
        }
        pump()
    }

    private func commit(_ batch: [Item]) -> Result<Void, StoreError> {
        var writes: [PartitionWrite] = []
        do throws(StoreError) {
            if isCorrupt { throw StoreError.corrupt("simulated") }
            for item in batch {
                switch item.work {
                case .write(let write): writes.append(write)
                case .facts(let facts): try database.saveFacts(facts)
                }
            }
            if !writes.isEmpty { try database.commit(writes) }
            counted.commits += 1
        } catch {
            return .failure(error)
        }
        if !writes.isEmpty { onSynced?(writes) }
        return .success(())
    }

    package func read<T: Sendable>(
        _ job: @escaping @Sendable (any NodeStore) throws(StoreError) -> T,
        completion: @escaping @Sendable (Result<T, StoreError>) -> Void
    ) {
        executor.schedule(after: executor.random(behaviour.read)) { [self] in
            guard !crashed else { return }
            gate.pass { [self] in
                guard !crashed else { return }
                let result: Result<T, StoreError>
                do throws(StoreError) {
                    if isCorrupt { throw StoreError.corrupt("simulated") }
                    result = .success(try job(database))
                } catch {
                    result = .failure(error)
                }
                completion(result)
            }
        }
    }

    package func metrics() -> StorageMetrics {
        var metrics = counted
        metrics.stalled = isStalled
        metrics.queuedWrites = queue.count
        return metrics
    }

    package func shutdown(completion: @escaping @Sendable () -> Void) {
        executor.schedule(after: 0) { [gate] in gate.pass(completion) }
    }
}
