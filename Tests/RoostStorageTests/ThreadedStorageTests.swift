import Foundation
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage
import Synchronization
import Testing

/// Values that several threads add.
final class Collector<Value: Sendable>: Sendable {
    private let values = Mutex<[Value]>([])
    func append(_ value: Value) { values.withLock { $0.append(value) } }
    var all: [Value] { values.withLock { $0 } }
}

/// A store whose commits a test lets through one by one, or makes fail.
private final class GatedStore: NodeStore {
    private let gate = DispatchSemaphore(value: 0)
    let batches = Collector<[UInt64]>()
    let errors = Mutex<[StoreError]>([])
    private let began = DispatchSemaphore(value: 0)

    func allow(_ commits: Int = 1) { for _ in 0..<commits { gate.signal() } }
    func waitUntilCommitting() { began.wait() }

    func commit(_ writes: [PartitionWrite]) throws(StoreError) {
        began.signal()
        gate.wait()
        if let error = errors.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) { throw error }
        batches.append(writes.flatMap { $0.entries.map(\.index) })
    }
    func saveFacts(_ facts: NodeFacts) throws(StoreError) {
        if let error = errors.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) { throw error }
    }
    func loadFacts() throws(StoreError) -> NodeFacts? { nil }
    func loadPartition(_ partition: PartitionID) throws(StoreError) -> RestoredPartition { throw .failed("none") }
    func entries(
        partition: PartitionID, from: UInt64, through: UInt64, maxBytes: Int
    ) throws(StoreError) -> [RaftEntry] { [] }
    func syncedAt(partition: PartitionID, index: UInt64) throws(StoreError) -> Int64? { nil }
    func messages(
        partition: PartitionID, conversation: ConversationID, after: UInt64, before: UInt64, descending: Bool,
        skip: Int, limit: Int, maxBytes: Int
    ) throws(StoreError) -> [StoredMessage] { [] }
    func lastSeq(
        partition: PartitionID, conversation: ConversationID, sentBefore stamp: Int64
    ) throws(StoreError) -> UInt64 { 0 }
    func lastSeq(
        partition: PartitionID, conversation: ConversationID, through index: UInt64
    ) throws(StoreError) -> UInt64 { 0 }
    func messageHashes(partition: PartitionID) throws(StoreError) -> [UInt64] { [] }
    func appliedIndex(_ partition: PartitionID) throws(StoreError) -> UInt64 { 0 }
    func scrub(_ place: ScrubPlace, limit: Int, maxBytes: Int) throws(StoreError) -> ScrubStep { ScrubStep() }
    func condemn(_ reason: String) {}
    func distrust(of partition: PartitionID) -> String? { nil }
    func size() throws(StoreError) -> UInt64 { 0 }
    func messages(withID id: MessageID, partition: PartitionID) throws(StoreError) -> [MessageRow] { [] }
    func knownMessage(
        partition: PartitionID, conversation: ConversationID, sender: UserID, id: MessageID
    ) -> MessageRow? { nil }
}

/// A thread that runs what is posted, as an event loop does.
private final class Loop: Sendable {
    private let queue = DispatchQueue(label: "core")
    func post(_ body: @escaping @Sendable () -> Void) { queue.async(execute: body) }
}

extension Result {
    fileprivate var failure: Failure? { if case .failure(let error) = self { error } else { nil } }
}

@Suite(.timeLimit(.minutes(5)))
struct ThreadedStorageTests {
    private let loop = Loop()

    private func storage(
        _ store: any NodeStore, _ change: (inout ThreadedStorage.Options) -> Void = { _ in }
    ) -> ThreadedStorage {
        var options = ThreadedStorage.Options()
        options.retryMilliseconds = 1
        change(&options)
        return ThreadedStorage(store: store, options: options, post: { [loop] in loop.post($0) })
    }

    private func shutdown(_ storage: ThreadedStorage) async {
        await withCheckedContinuation { done in storage.shutdown { done.resume() } }
    }

    /// Submits one write of one entry and returns what came of it.
    private func write(
        _ index: UInt64, partition: PartitionID = 0, urgent: Bool = true, to storage: ThreadedStorage
    ) async -> StoreError? {
        await withCheckedContinuation { done in
            storage.submit(PartitionWrite(partition: partition, entries: [entry(index)]), urgent: urgent) {
                done.resume(returning: $0.failure)
            }
        }
    }

    private func saveFacts(
        _ facts: NodeFacts = NodeFacts(store: StoreID(1), epoch: 1), to storage: ThreadedStorage
    ) async -> StoreError? {
        await withCheckedContinuation { done in
            storage.saveFacts(facts) { done.resume(returning: $0.failure) }
        }
    }

    @Test func writesGatherWhileTheOneBeforeSyncs() async throws {
        let store = GatedStore()
        let storage = storage(store)
        let completed = Collector<UInt64>()
        func submit(_ index: UInt64) {
            storage.submit(PartitionWrite(partition: 0, entries: [entry(index)]), urgent: index % 2 == 1) { _ in
                completed.append(index)
            }
        }
        submit(1)
        store.waitUntilCommitting()
        for index in 2...10 as ClosedRange<UInt64> { submit(index) }
        #expect(storage.metrics().queuedWrites == 9)
        store.allow(2)
        await shutdown(storage)
        #expect(store.batches.all == [[1], Array(2...10)])
        #expect(completed.all == Array(1...10))
        let metrics = storage.metrics()
        #expect(metrics.commits == 2)
        #expect(metrics.entries == 10)
        #expect(metrics.entryBytes == 40)
        #expect(metrics.batchSize.count == 2)
        #expect(metrics.batchSize.sum == 10)
        #expect(metrics.commitSeconds.count == 2)
        #expect(metrics.queuedWrites == 0 && metrics.queuedBytes == 0)
    }

    @Test func aFullQueueRefusesAtOnce() async throws {
        let store = GatedStore()
        let storage = storage(store) { $0.maxQueuedWrites = 3 }
        let outcomes = Collector<UInt64>()
        storage.submit(PartitionWrite(partition: 0, entries: [entry(1)]), urgent: true) { _ in outcomes.append(1) }
        store.waitUntilCommitting()
        for index in 2...4 as ClosedRange<UInt64> {
            storage.submit(PartitionWrite(partition: 0, entries: [entry(index)]), urgent: true) { _ in
                outcomes.append(index)
            }
        }
        #expect(await write(5, to: storage)?.isFull == true)
        #expect(outcomes.all.isEmpty)
        store.allow(9)
        #expect(await saveFacts(to: storage) == nil)
        #expect(await write(1, partition: 1, to: storage) == nil)
        #expect(await write(6, to: storage)?.isFull == true)
        storage.resume(0)
        #expect(await write(5, to: storage) == nil)
        #expect(storage.metrics().refused == 2)
        await shutdown(storage)
        #expect(outcomes.all == [1, 2, 3, 4])
        #expect(store.batches.all.flatMap { $0 } == [1, 2, 3, 4, 1, 5])
    }

    @Test func aFullDiskHoldsWritesBackInTheirOrder() async throws {
        let store = GatedStore()
        store.errors.withLock { $0 = [.full("disk"), .full("disk")] }
        let storage = storage(store)
        let stalls = Collector<StoreError?>()
        storage.onStall { stalls.append($0) }
        store.allow(9)
        #expect(await write(1, to: storage) == nil)
        #expect(await write(2, to: storage) == nil)
        await shutdown(storage)
        #expect(stalls.all == [.full("disk"), nil])
        #expect(store.batches.all == [[1], [2]])
        #expect(storage.metrics().failedCommits == 2)
        #expect(!storage.metrics().stalled)
    }

    @Test func shutdownDoesNotWaitForSpace() async throws {
        let store = GatedStore()
        store.errors.withLock { $0 = [StoreError](repeating: .full("disk"), count: 10_000) }
        let storage = storage(store) { $0.retryMilliseconds = 10_000 }
        let outcomes = Collector<StoreError?>()
        func submit(_ index: UInt64) {
            storage.submit(PartitionWrite(partition: 0, entries: [entry(index)]), urgent: true) {
                outcomes.append($0.failure)
            }
        }
        submit(1)
        store.waitUntilCommitting()
        submit(2)
        store.allow(10)
        await shutdown(storage)
        // The second would have followed a hole.
        #expect(outcomes.all == [.full("disk"), .full("disk")])
        #expect(store.batches.all.isEmpty)
    }

    @Test func afterAFailureNothingIsWritten() async throws {
        let store = GatedStore()
        store.errors.withLock { $0 = [.failed("sync")] }
        let storage = storage(store)
        store.allow(9)
        #expect(await write(1, to: storage) == .failed("sync"))
        #expect(await write(1, partition: 1, to: storage) == .failed("sync"))
        await shutdown(storage)
        #expect(store.batches.all.isEmpty)
        #expect(await write(1, to: storage) == .failed("the storage is shut down"))
    }

    @Test func notUrgentWritesAreWrittenInTheEnd() async throws {
        let storage = storage(try SQLiteStore(inMemory: .init())) { $0.idleMicroseconds = 1000 }
        #expect(await write(1, urgent: false, to: storage) == nil)
        await shutdown(storage)
    }

    @Test func readsGoOnDuringWritesAndSeeWhatWasConfirmed() async throws {
        let directory = try TemporaryDirectory()
        let storage = storage(try SQLiteStore(directory: directory.path))
        let wrong = Collector<String>()
        let group = DispatchGroup()
        let log = Mutex(MessageLog(1))
        for round in 0..<60 {
            let write = log.withLock { $0.write(conversation(1), count: 5, firstID: UInt64(round * 5)) }
            let last = write.appliedIndex ?? 0
            group.enter()
            storage.submit(write, urgent: true) { outcome in
                if case .failure(let error) = outcome { wrong.append("\(error)") }
                let known = storage.store.knownMessage(
                    partition: 1, conversation: conversation(1), sender: user(1), id: message(UInt64(round * 5)))
                if known == nil { wrong.append("round \(round): not known") }
                storage.read { store throws(StoreError) in
                    let messages = try store.messages(
                        partition: 1, conversation: conversation(1), after: 0, before: .max, descending: false,
                        skip: 0, limit: .max, maxBytes: .max)
                    let entries = try store.entries(partition: 1, from: 1, through: .max, maxBytes: .max)
                    return (messages.count, entries.count)
                } completion: { result in
                    switch result {
                    case .success(let (messages, entries)):
                        if messages < last || entries < messages || messages % 5 != 0 {
                            wrong.append("\(messages) messages, \(entries) entries of \(last)")
                        }
                    case .failure(let error): wrong.append("\(error)")
                    }
                    group.leave()
                }
            }
        }
        await withCheckedContinuation { done in group.notify(queue: .global()) { done.resume() } }
        #expect(wrong.all.isEmpty)
        #expect(storage.metrics().reads == 60)
        #expect(storage.metrics().entries == 300)
        await shutdown(storage)
    }

    @Test func factsAreSavedInOrderWithWrites() async throws {
        let storage = storage(try SQLiteStore(inMemory: .init()))
        let facts = NodeFacts(store: StoreID(3), epoch: 4)
        #expect(await saveFacts(facts, to: storage) == nil)
        #expect(try storage.store.loadFacts() == facts)
        await shutdown(storage)
    }
}
