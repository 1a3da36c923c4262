import RoostModel
import RoostProtocol
import Testing

@testable import RoostStorage

@Suite struct WriteQueueTests {
    private func options(_ change: (inout ThreadedStorage.Options) -> Void = { _ in }) -> ThreadedStorage.Options {
        var options = ThreadedStorage.Options()
        change(&options)
        return options
    }

    private func write(_ partition: PartitionID = 0, bytes: Int = 0, entries: Bool = true) -> WriteQueue.Work {
        let body = String(repeating: "x", count: bytes)
        return .write(PartitionWrite(partition: partition, entries: entries ? [entry(1, body)] : []))
    }

    private func append(
        _ work: WriteQueue.Work, urgent: Bool = true, now: UInt64 = 0, to queue: inout WriteQueue
    ) -> StoreError? {
        queue.append(work, urgent: urgent, now: now) { _ in }
    }

    @Test func whatMayWaitWaitsForOthersButNotForGood() {
        var queue = WriteQueue(options: options())
        #expect(queue.append(write(), urgent: false, mayWait: true, now: 100) { _ in } == nil)
        #expect(queue.append(write(), urgent: false, mayWait: true, now: 900) { _ in } == nil)
        #expect(queue.dueAt == 100 + 5_000_000_000)
        #expect(append(write(), urgent: false, now: 1_000, to: &queue) == nil)
        #expect(queue.dueAt.map { $0 <= 1_000 + 50_000_000 } == true)
        #expect(append(write(), urgent: true, now: 2_000, to: &queue) == nil)
        #expect(queue.dueAt.map { $0 <= 2_000 } == true)
        #expect(queue.takeBatch().count == 4 && queue.dueAt == nil)
        #expect(queue.append(write(), urgent: false, mayWait: true, now: 3_000) { _ in } == nil)
        #expect(queue.dueAt == 3_000 + 5_000_000_000)
    }

    @Test func urgentIsDueAtOnceAndTakesTheOthersAlong() {
        var queue = WriteQueue(options: options())
        #expect(queue.dueAt == nil)
        #expect(append(write(), urgent: false, now: 100, to: &queue) == nil)
        #expect(queue.dueAt == 100 + 50_000_000)
        #expect(append(write(), urgent: false, now: 200, to: &queue) == nil)
        #expect(queue.dueAt == 100 + 50_000_000)
        #expect(append(write(), urgent: true, now: 300, to: &queue) == nil)
        #expect(queue.dueAt == 100)
        #expect(queue.takeBatch().count == 3)
        #expect(queue.dueAt == nil)
        #expect(queue.bytes == 0)
    }

    @Test func gatheringWaitsUntilABatchIsFull() {
        var queue = WriteQueue(
            options: options {
                $0.gatherMicroseconds = 500
                $0.maxBatchWrites = 3
            })
        #expect(append(write(), now: 1000, to: &queue) == nil)
        #expect(append(write(), now: 2000, to: &queue) == nil)
        #expect(queue.dueAt == 501_000)
        #expect(append(write(), now: 3000, to: &queue) == nil)
        #expect(queue.dueAt == 0)
    }

    @Test func batchesAreBoundedInWritesAndBytes() {
        var queue = WriteQueue(
            options: options {
                $0.maxBatchWrites = 3
                $0.maxBatchBytes = 1000
            })
        for bytes in [1, 1, 1, 1, 600, 600, 5000, 1] { #expect(append(write(bytes: bytes), to: &queue) == nil) }
        var sizes: [Int] = []
        while queue.count > 0 { sizes.append(queue.takeBatch().count) }
        #expect(sizes == [3, 2, 1, 1, 1])
    }

    @Test func factsGoAloneInTheirPlace() {
        var queue = WriteQueue(options: options())
        let facts = NodeFacts(store: StoreID(1), epoch: 1)
        for work in [write(), write(), .facts(facts), .facts(facts), write()] {
            #expect(append(work, to: &queue) == nil)
        }
        var sizes: [Int] = []
        while queue.count > 0 { sizes.append(queue.takeBatch().count) }
        #expect(sizes == [2, 1, 1, 1])
    }

    @Test func aPartitionThatWasRefusedStaysSoUntilItResumes() {
        var queue = WriteQueue(options: options { $0.maxQueuedWrites = 2 })
        #expect(append(write(1), to: &queue) == nil)
        #expect(append(write(1), to: &queue) == nil)
        #expect(append(write(1), to: &queue)?.isFull == true)
        // Without entries: up to double.
        #expect(append(write(2, entries: false), to: &queue) == nil)
        #expect(append(write(1, entries: false), to: &queue)?.isFull == true)
        #expect(append(write(2, entries: false), to: &queue) == nil)
        #expect(append(write(2, entries: false), to: &queue)?.isFull == true)
        #expect(append(.facts(NodeFacts(store: StoreID(1), epoch: 1)), to: &queue)?.isFull == true)
        #expect(queue.takeBatch().count == 4)
        // There is room, but it would follow a hole.
        #expect(append(write(1), to: &queue)?.isFull == true)
        #expect(append(write(3), to: &queue) == nil)
        queue.resume(1)
        #expect(append(write(1), to: &queue) == nil)
        #expect(append(write(2), to: &queue)?.isFull == true)
    }

    @Test func bytesAreBoundedToo() {
        var queue = WriteQueue(options: options { $0.maxQueuedBytes = 1000 })
        #expect(append(write(1, bytes: 2000), to: &queue) == nil)
        #expect(append(write(2, bytes: 1), to: &queue)?.isFull == true)
    }

    @Test func nothingEntersAfterTheEnd() {
        var queue = WriteQueue(options: options())
        #expect(append(write(), urgent: false, now: 5, to: &queue) == nil)
        queue.close()
        #expect(queue.dueAt == 0)
        #expect(append(write(), to: &queue) == .failed("the storage is shut down"))
        var failed = WriteQueue(options: options())
        failed.fatal = .corrupt("x")
        #expect(append(write(), to: &failed) == .corrupt("x"))
    }
}
