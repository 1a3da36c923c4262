package import RoostModel

/// A write on its way to the database.
package struct StorageSubmission: Sendable {
    package var write: PartitionWrite
    /// One that is not may wait up to 50 ms for company.
    package var urgent: Bool
    /// One that may wait up to 5 s, for the next sync that another one brings.
    package var mayWait: Bool
    /// Success means synced.
    package var completion: @Sendable (Result<Void, StoreError>) -> Void
    package init(
        write: PartitionWrite, urgent: Bool, mayWait: Bool = false,
        completion: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        self.write = write
        self.urgent = urgent
        self.mayWait = mayWait && !urgent
        self.completion = completion
    }
}

/// A node's database as its actors use it: nothing here waits. Completions are called on the node's core executor, in
/// the order of submission, but for refusals, which come at once. `ThreadedStorage` in production; the simulator has
/// its own.
package protocol Storage: AnyObject, Sendable {
    /// For synchronous lookups by key only (`knownMessage`), and for loading before the node runs.
    var store: any NodeStore { get }

    /// Queues writes, which are gathered with others into one transaction.
    ///
    /// While the disk is full they wait, and `onStall` hears of it. `.full` means that the queue is at its bound: the
    /// write is refused, and so is what is submitted for its partition from then on, until `resume`, or later entries
    /// and rows would follow a hole. After `.failed` and `.corrupt` every write is refused for good.
    func submit(_ submissions: [StorageSubmission])

    /// After `.full`: the caller submits again, from the first write of this partition that was refused.
    func resume(_ partition: PartitionID)

    /// `handler` is called on the core executor with the reason when writes begin to wait for space, and with nil when
    /// they go on. Set before the first write.
    func onStall(_ handler: @escaping @Sendable (StoreError?) -> Void)

    /// In order with the writes, in a transaction of its own. `.full` where the disk is.
    func saveFacts(_ facts: NodeFacts, completion: @escaping @Sendable (Result<Void, StoreError>) -> Void)

    /// Runs `job` where it may block. Reads come in no order, among themselves and with writes.
    func read<T: Sendable>(
        _ job: @escaping @Sendable (any NodeStore) throws(StoreError) -> T,
        completion: @escaping @Sendable (Result<T, StoreError>) -> Void)

    func metrics() -> StorageMetrics

    /// Writes what is queued, finishes the reads, then closes the database. What is submitted from now on is refused.
    func shutdown(completion: @escaping @Sendable () -> Void)
}

extension Storage {
    package func submit(
        _ write: PartitionWrite, urgent: Bool, completion: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        submit([StorageSubmission(write: write, urgent: urgent, completion: completion)])
    }

    /// For an implementation whose queue and disk are never full.
    package func resume(_ partition: PartitionID) {}
    package func onStall(_ handler: @escaping @Sendable (StoreError?) -> Void) {}
}

/// Counts since the start, and what is queued now.
package struct StorageMetrics: Sendable, Equatable {
    package var commits: UInt64 = 0
    package var failedCommits: UInt64 = 0
    /// Log entries committed, and the bytes of their payloads.
    package var entries: UInt64 = 0
    package var entryBytes: UInt64 = 0
    /// Writes refused because the queue was at its bound or an earlier write had failed.
    package var refused: UInt64 = 0
    /// Writes wait for space on the disk.
    package var stalled = false
    package var reads: UInt64 = 0
    /// Writes per transaction.
    package var batchSize = StorageHistogram(bounds: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000])
    /// Seconds that a transaction took with its sync.
    package var commitSeconds = StorageHistogram(
        bounds: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5])
    package var queuedWrites = 0
    package var queuedBytes = 0
    package var queuedReads = 0
    package init() {}
}

package struct StorageHistogram: Sendable, Equatable {
    /// Upper bounds of the buckets, inclusive, ascending.
    package let bounds: [Double]
    /// Of each bucket alone; one more than bounds, for what is above all.
    package private(set) var counts: [UInt64]
    package private(set) var sum: Double = 0
    package var count: UInt64 { counts.reduce(0, +) }

    package init(bounds: [Double]) {
        self.bounds = bounds
        counts = [UInt64](repeating: 0, count: bounds.count + 1)
    }

    package mutating func record(_ value: Double) {
        counts[bounds.firstIndex { value <= $0 } ?? bounds.count] += 1
        sum += value
    }
}
