import Foundation
import NIOCore
package import RoostModel
import RoostProtocol
import Synchronization

/// The production storage: a thread that writes and a few that read, none of them of the cooperative pool.
///
/// The writer takes what is queued, commits it in one transaction and begins again: so a batch gathers by itself while
/// the one before it syncs, and nobody waits for company when there is no load. All queues are bounded.
///
/// Its threads keep it alive until `shutdown`.
package final class ThreadedStorage: Storage {
    package struct Options: Sendable {
        package var readers = 2
        /// Most writes and bytes in one transaction.
        package var maxBatchWrites = 1000
        package var maxBatchBytes = 8 << 20
        /// Above either, writes with entries are refused; above double, those without too.
        package var maxQueuedWrites = 100_000
        package var maxQueuedBytes = 64 << 20
        package var maxQueuedReads = 10_000
        /// How long an urgent write waits for more before its transaction begins.
        package var gatherMicroseconds = 0
        /// The same where none is urgent.
        package var idleMicroseconds = 50_000
        /// The same where all of them may wait.
        package var waitMilliseconds = 5_000
        /// While the disk is full a batch is tried again this often.
        package var retryMilliseconds = 250
        package init() {}
    }

    private struct ReadQueue: Sendable {
        /// Runs the read and returns what is to be called on the core executor.
        typealias Job = @Sendable (any NodeStore) -> @Sendable () -> Void
        var jobs = CircularBuffer<Job>()
        var closed = false
        var done: UInt64 = 0
    }

    package let store: any NodeStore
    private let options: Options
    /// Runs a closure on the core executor, in order.
    private let post: @Sendable (@escaping @Sendable () -> Void) -> Void
    private let writes: Monitor<WriteQueue>
    private let reads = Monitor(ReadQueue())
    /// Of the writer; what is queued is filled in by `metrics()`.
    private let counted = Mutex(StorageMetrics())
    private let stallHandler = Mutex<@Sendable (StoreError?) -> Void> { _ in }
    private struct Ending: Sendable {
        var threads: Int
        var completions: [@Sendable () -> Void] = []
    }
    private let ending: Mutex<Ending>

    package init(
        store: any NodeStore, options: Options = Options(),
        post: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void
    ) {
        self.store = store
        self.options = options
        self.post = post
        writes = Monitor(WriteQueue(options: options))
        ending = Mutex(Ending(threads: max(1, options.readers) + 1))
        start("roost-writer") { $0.runWriter() }
        for reader in 0..<max(1, options.readers) { start("roost-reader-\(reader)") { $0.runReader() } }
    }

    package func submit(_ submissions: [StorageSubmission]) {
        enqueue(submissions.map { (.write($0.write), $0.urgent, $0.mayWait, $0.completion) })
    }

    package func saveFacts(
        _ facts: NodeFacts, completion: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        enqueue([(.facts(facts), true, false, completion)])
    }

    package func resume(_ partition: PartitionID) { writes.withLock { $0.resume(partition) } }

    package func onStall(_ handler: @escaping @Sendable (StoreError?) -> Void) {
        stallHandler.withLock { $0 = handler }
    }

    package func read<T: Sendable>(
        _ job: @escaping @Sendable (any NodeStore) throws(StoreError) -> T,
        completion: @escaping @Sendable (Result<T, StoreError>) -> Void
    ) {
        let refusal = reads.withLock { queue -> StoreError? in
            if queue.closed { return .failed("the storage is shut down") }
            if queue.jobs.count >= options.maxQueuedReads { return .full("the read queue is at its bound") }
            queue.jobs.append { store in
                let result: Result<T, StoreError>
                do throws(StoreError) { result = .success(try job(store)) } catch { result = .failure(error) }
                return { completion(result) }
            }
            return nil
        }
        if let refusal { post { completion(.failure(refusal)) } } else { reads.signal() }
    }

    package func metrics() -> StorageMetrics {
        var metrics = counted.withLock { $0 }
        writes.withLock { queue in
            metrics.queuedWrites = queue.count
            metrics.queuedBytes = queue.bytes
        }
        reads.withLock { queue in
            metrics.queuedReads = queue.jobs.count
            metrics.reads = queue.done
        }
        return metrics
    }

    package func shutdown(completion: @escaping @Sendable () -> Void) {
        let isOver = ending.withLock { ending in
            if ending.threads > 0 { ending.completions.append(completion) }
            return ending.threads == 0
        }
        if isOver { return post(completion) }
        writes.withLock { $0.close() }
        writes.broadcast()
        reads.withLock { $0.closed = true }
        reads.broadcast()
    }

    private typealias Completion = @Sendable (Result<Void, StoreError>) -> Void

    private func enqueue(_ items: [(work: WriteQueue.Work, urgent: Bool, mayWait: Bool, completion: Completion)]) {
        let now = Monotonic.now()
        var refusals: [(Completion, StoreError)] = []
        let isDueEarlier = writes.withLock { queue in
            let before = queue.dueAt ?? .max
            for (work, urgent, mayWait, completion) in items {
                if let error = queue.append(
                    work, urgent: urgent, mayWait: mayWait, now: now, completion: completion)
                {
                    refusals.append((completion, error))
                }
            }
            return (queue.dueAt ?? .max) < before
        }
        if isDueEarlier { writes.signal() }
        guard !refusals.isEmpty else { return }
        counted.withLock { $0.refused += UInt64(refusals.count) }
        let refused = refusals
        post { for (completion, error) in refused { completion(.failure(error)) } }
    }
}

extension ThreadedStorage {
    private func start(_ name: String, _ body: @escaping @Sendable (ThreadedStorage) -> Void) {
        let thread = Thread { body(self) }
        thread.name = name
        thread.stackSize = 4 << 20
        thread.start()
    }

    private func runWriter() {
        while let batch = nextBatch() { write(batch) }
        threadEnded()
    }

    private func nextBatch() -> [WriteQueue.Item]? {
        writes.wait { queue in
            guard let due = queue.dueAt else { return queue.isClosed ? .done(nil) : .wait(until: nil) }
            return due <= Monotonic.now() ? .done(queue.takeBatch()) : .wait(until: due)
        }
    }

    private func write(_ batch: [WriteQueue.Item]) {
        let outcome = commitWhenThereIsSpace(batch)
        // A write of partitions ends its batch only where it can't be tried again: then nothing may follow it.
        if case .failure(let error) = outcome, batch.first?.write != nil || !error.isFull {
            writes.withLock { $0.fatal = $0.fatal ?? error }
        }
        post { for item in batch { item.completion(outcome) } }
    }

    /// Tries until the disk is not full, or the storage is shut down. Nothing overtakes the batch meanwhile.
    private func commitWhenThereIsSpace(_ batch: [WriteQueue.Item]) -> Result<Void, StoreError> {
        var isStalled = false
        defer { if isStalled { setStalled(nil) } }
        while true {
            let outcome = commit(batch)
            guard case .failure(.full(let reason)) = outcome, batch.first?.write != nil else { return outcome }
            if !isStalled { setStalled(.full(reason)) }
            isStalled = true
            let retryAt = Monotonic.now() + UInt64(options.retryMilliseconds) * 1_000_000
            let isClosed = writes.wait { queue in
                if queue.isClosed { return .done(true) }
                return Monotonic.now() >= retryAt ? .done(false) : .wait(until: retryAt)
            }
            if isClosed { return outcome }
        }
    }

    private func setStalled(_ reason: StoreError?) {
        counted.withLock { $0.stalled = reason != nil }
        let handler = stallHandler.withLock { $0 }
        post { handler(reason) }
    }

    private func commit(_ items: [WriteQueue.Item]) -> Result<Void, StoreError> {
        if let fatal = writes.withLock({ $0.fatal }) { return .failure(fatal) }
        let start = Monotonic.now()
        let outcome: Result<Void, StoreError>
        do throws(StoreError) {
            if case .facts(let facts) = items.first?.work {
                try store.saveFacts(facts)
            } else {
                try store.commit(items.compactMap(\.write))
            }
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        count(items, outcome, nanoseconds: Monotonic.now() - start)
        return outcome
    }

    private func count(_ items: [WriteQueue.Item], _ outcome: Result<Void, StoreError>, nanoseconds: UInt64) {
        counted.withLock { metrics in
            guard case .success = outcome else {
                metrics.failedCommits += 1
                return
            }
            metrics.commits += 1
            metrics.batchSize.record(Double(items.count))
            metrics.commitSeconds.record(Double(nanoseconds) / 1e9)
            for item in items {
                for entry in item.write?.entries ?? [] {
                    metrics.entries += 1
                    metrics.entryBytes += UInt64(entry.payload.readableBytes)
                }
            }
        }
    }

    private func runReader() {
        while let job = nextRead() {
            let completion = job(store)
            reads.withLock { $0.done += 1 }
            post(completion)
        }
        threadEnded()
    }

    private func nextRead() -> ReadQueue.Job? {
        reads.wait { queue in
            if let job = queue.jobs.popFirst() { return .done(job) }
            return queue.closed ? .done(nil) : .wait(until: nil)
        }
    }

    /// The last one closes the database.
    private func threadEnded() {
        let isLast = ending.withLock { ending in
            if ending.threads == 1 { return true }
            ending.threads -= 1
            return false
        }
        guard isLast else { return }
        // Everything that was confirmed is synced: a failure to close loses nothing.
        try? store.close()
        let completions = ending.withLock { ending in
            ending.threads = 0
            defer { ending.completions = [] }
            return ending.completions
        }
        for completion in completions { post(completion) }
    }
}
