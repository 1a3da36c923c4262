import NIOCore
import RoostModel
import RoostProtocol

/// The writes that wait for their transaction: what may enter, when the next batch is due and what is in it. Times are
/// monotonic, in nanoseconds.
struct WriteQueue: Sendable {
    enum Work: Sendable {
        case write(PartitionWrite)
        case facts(NodeFacts)
    }

    struct Item: Sendable {
        var work: Work
        var bytes: Int
        var urgent: Bool
        var mayWait: Bool
        var queuedAt: UInt64
        var completion: @Sendable (Result<Void, StoreError>) -> Void

        var write: PartitionWrite? {
            if case .write(let write) = work { write } else { nil }
        }
    }

    let options: ThreadedStorage.Options
    private var items = CircularBuffer<Item>()
    private(set) var bytes = 0
    private var urgent = 0
    private var waiting = 0
    /// Partitions one of whose writes was refused: all later ones are too, until `resume`.
    private var refused: Set<PartitionID> = []
    /// Set for good: after it nothing is known of the disk.
    var fatal: StoreError?
    private var closed = false

    init(options: ThreadedStorage.Options) { self.options = options }

    var count: Int { items.count }
    var isClosed: Bool { closed }

    /// Nil where the work was queued, else why not.
    mutating func append(
        _ work: Work, urgent isUrgent: Bool, mayWait: Bool = false, now: UInt64,
        completion: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) -> StoreError? {
        if closed { return .failed("the storage is shut down") }
        if let fatal { return fatal }
        var item = Item(
            work: work, bytes: 0, urgent: isUrgent, mayWait: mayWait && !isUrgent, queuedAt: now,
            completion: completion)
        item.bytes = item.write?.approximateBytes ?? 0
        // What carries no entries is little, and often what lets the rest go on.
        let factor = item.write?.entries.isEmpty ?? true ? 2 : 1
        let isAtBound = items.count >= options.maxQueuedWrites * factor || bytes >= options.maxQueuedBytes * factor
        if let partition = item.write?.partition, isAtBound { refused.insert(partition) }
        if isAtBound || item.write.map({ refused.contains($0.partition) }) == true {
            return .full("the write queue is at its bound")
        }
        bytes += item.bytes
        urgent += isUrgent ? 1 : 0
        waiting += item.mayWait ? 1 : 0
        items.append(item)
        return nil
    }

    mutating func resume(_ partition: PartitionID) { refused.remove(partition) }

    /// Nothing enters any more; what is queued is due at once.
    mutating func close() { closed = true }

    /// When the next batch is to be taken; nil while there is nothing to write.
    var dueAt: UInt64? {
        guard let first = items.first else { return nil }
        if closed || items.count >= options.maxBatchWrites || bytes >= options.maxBatchBytes { return 0 }
        if waiting == items.count { return first.queuedAt + UInt64(options.waitMilliseconds) * 1_000_000 }
        return first.queuedAt + UInt64(urgent > 0 ? options.gatherMicroseconds : options.idleMicroseconds) * 1000
    }

    /// The next writes of one transaction, in order; a save of the node's facts is alone in its own.
    mutating func takeBatch() -> [Item] {
        var batch: [Item] = []
        var batchBytes = 0
        while let item = items.first, batch.count < options.maxBatchWrites {
            if !batch.isEmpty && (item.write == nil || batchBytes + item.bytes > options.maxBatchBytes) { break }
            items.removeFirst()
            bytes -= item.bytes
            urgent -= item.urgent ? 1 : 0
            waiting -= item.mayWait ? 1 : 0
            batchBytes += item.bytes
            batch.append(item)
            if item.write == nil { break }
        }
        return batch
    }
}

extension PartitionWrite {
    /// About what it takes in memory.
    var approximateBytes: Int {
        entries.reduce(128 + changes.count * 96) { $0 + $1.payload.readableBytes + 64 }
    }
}
