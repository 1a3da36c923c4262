import NIOCore
import RoostModel
import RoostProtocol
import RoostSimulation
import RoostStorage
import Synchronization
import Testing

/// The simulated machine beneath a node: what its disk forgets, and what standing still means.
@Suite struct MachineTests {
    private func write(_ index: UInt64) -> PartitionWrite {
        let entry = RaftEntry(index: index, term: 1, kind: .noop, payload: ByteBuffer())
        return PartitionWrite(partition: 0, entries: [entry])
    }

    @Test func aCrashForgetsWhatWasNotSynced() throws {
        var kept: Set<UInt64> = []
        for seed in UInt64(1)...40 {
            let executor = SimulationExecutor(seed: seed)
            let disk = try SQLiteStore()
            let storage = SimulationStorage(database: disk, executor: executor)
            let told = Atomic<UInt64>(0)
            let synced = Atomic<UInt64>(0)
            storage.onSynced = { _ in synced.add(1, ordering: .relaxed) }
            for index in UInt64(1)...30 {
                executor.schedule(after: index * 200_000) {
                    storage.submit(write(index), urgent: true) { result in
                        if case .success = result { told.store(index, ordering: .relaxed) }
                    }
                }
            }
            executor.run(until: 4_000_000)
            let before = told.load(ordering: .relaxed)
            storage.crash()
            executor.run(until: 60_000_000)
            let last = try disk.loadPartition(0).lastIndex
            // What was told is there; what was told to nobody is so only if it was being synced; nothing comes later.
            #expect(before > 0 && told.load(ordering: .relaxed) == before)
            #expect(last >= before && last < 20, "seed \(seed): \(last) of \(before)")
            kept.insert(last - before)
        }
        #expect(kept.contains(0) && kept.count > 1)
    }

    @Test func aFailedSyncIsTheLast() throws {
        let executor = SimulationExecutor(seed: 1)
        let storage = SimulationStorage(database: try SQLiteStore(), executor: executor)
        var behaviour = DiskBehaviour()
        behaviour.failsNext = true
        storage.change(behaviour)
        let failed = Atomic<Int>(0)
        for index in UInt64(1)...3 {
            executor.schedule(after: index * 10_000_000) {
                storage.submit(write(index), urgent: true) { result in
                    if case .failure(.failed) = result { failed.add(1, ordering: .relaxed) }
                }
            }
        }
        executor.run(until: 100_000_000)
        #expect(failed.load(ordering: .relaxed) == 3)
    }

    @Test func aFullDiskKeepsWritesWaiting() throws {
        let executor = SimulationExecutor(seed: 1)
        let disk = try SQLiteStore()
        let storage = SimulationStorage(database: disk, executor: executor)
        let stalls = Mutex<[Bool]>([])
        storage.onStall { error in stalls.withLock { $0.append(error != nil) } }
        var behaviour = DiskBehaviour()
        behaviour.isFull = true
        storage.change(behaviour)
        executor.perform { storage.submit(write(1), urgent: true) { _ in } }
        executor.run(until: 50_000_000)
        #expect(try disk.loadPartition(0).lastIndex == 0)
        behaviour.isFull = false
        executor.perform { storage.change(behaviour) }
        executor.run(until: 100_000_000)
        #expect(try disk.loadPartition(0).lastIndex == 1)
        #expect(stalls.withLock { $0 } == [true, false])
    }

    @Test func whoStandsStillGoesOnInOrder() {
        let executor = SimulationExecutor(seed: 3)
        let gate = SimulationGate(executor: executor)
        let clock = SimulationClock(executor: executor, gate: gate)
        let fired = Mutex<[Int]>([])
        for number in 1...5 {
            _ = clock.schedule(after: UInt64(number) * 10_000_000) { fired.withLock { $0.append(number) } }
        }
        executor.run(until: 15_000_000)
        gate.pause()
        executor.run(until: 1_000_000_000)
        #expect(fired.withLock { $0 } == [1])
        gate.resume()
        #expect(fired.withLock { $0 } == [1, 2, 3, 4, 5])
        #expect(gate.paused == 985_000_000)
    }

    @Test func aClockMayDriftAndNeverGoesBack() {
        let executor = SimulationExecutor(seed: 4)
        let fast = SimulationClock(executor: executor, gate: SimulationGate(executor: executor), drift: 20_000)
        let slow = SimulationClock(executor: executor, gate: SimulationGate(executor: executor), drift: -20_000)
        let fired = Mutex<[String]>([])
        _ = slow.schedule(after: 1_000_000_000) { fired.withLock { $0.append("slow") } }
        _ = fast.schedule(after: 1_000_000_000) { fired.withLock { $0.append("fast") } }
        var before: [UInt64] = [0, 0]
        for step in UInt64(1)...2_000 {
            executor.run(until: step * 999_983)
            #expect(fast.now() >= before[0] && slow.now() >= before[1])
            before = [fast.now(), slow.now()]
        }
        #expect(fired.withLock { $0 } == ["fast", "slow"])
        #expect(fast.now() > executor.now && slow.now() < executor.now)
    }
}
