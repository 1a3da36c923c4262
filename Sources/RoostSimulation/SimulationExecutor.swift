package import RoostModel

/// One thread, virtual time, everything by the seed: jobs of actors and tasks, timers, and whatever else is scheduled.
///
/// Events of one instant run in the order of a number drawn for each, jobs that are ready before time goes on. So a seed
/// is a run, and another seed another order of everything that has no order.
package final class SimulationExecutor: SerialExecutor, TaskExecutor, @unchecked Sendable {
    // Unchecked: everything happens on the one thread that calls `run`; whoever else enqueues a job breaks the rule, and
    // `run` says so.

    private struct Event {
        var time: UInt64
        var tie: UInt64
        var sequence: UInt64
        var body: @Sendable () -> Void
        var timer: SimulationTimer?
    }

    /// Virtual nanoseconds since the run began.
    package private(set) var now: UInt64 = 0
    package var generator: SeededGenerator
    private var ready: [UnownedJob] = []
    private var events: [Event] = []
    private var sequence: UInt64 = 0
    private var running = false
    /// Steps since time went on.
    private var stepsOfInstant = 0
    private static let maxStepsOfInstant = 5_000_000
    /// Steps taken: jobs and events.
    package private(set) var steps: UInt64 = 0

    /// The time in seconds, for traces.
    package var stamp: String {
        let nanoseconds = String(now % 1_000_000_000)
        return "\(now / 1_000_000_000)." + String(repeating: "0", count: 9 - nanoseconds.count) + nanoseconds
    }

    package init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    // MARK: Executor

    package func enqueue(_ job: consuming ExecutorJob) { ready.append(UnownedJob(job)) }
    package func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }
    package func asUnownedTaskExecutor() -> UnownedTaskExecutor { UnownedTaskExecutor(ordinary: self) }

    /// Actors are entered only while an event runs.
    package func checkIsolated() {
        precondition(running, "an actor of the simulation was entered from outside of run()")
    }
    package func isIsolatingCurrentContext() -> Bool? { running }

    // MARK: Events

    /// Runs `body` at a virtual time from now, in nanoseconds.
    @discardableResult
    package func schedule(after delay: UInt64, _ body: @escaping @Sendable () -> Void) -> SimulationTimer {
        let timer = SimulationTimer()
        sequence += 1
        let event = Event(
            time: now + delay, tie: generator.next(), sequence: sequence, body: body, timer: timer)
        events.append(event)
        siftUp(events.count - 1)
        return timer
    }

    package func random(_ range: ClosedRange<UInt64>) -> UInt64 { UInt64.random(in: range, using: &generator) }

    /// Runs all that is due until `condition` holds or `deadline` (virtual) is reached; says whether it held.
    @discardableResult
    package func run(until deadline: UInt64, while condition: () -> Bool = { true }) -> Bool {
        let was = running
        running = true
        defer { running = was }
        while condition() {
            steps += 1
            stepsOfInstant += 1
            precondition(stepsOfInstant < Self.maxStepsOfInstant, "time stands still: something goes in circles")
            if !ready.isEmpty {
                let pick = Int(generator.next() % UInt64(ready.count))
                let job = ready.remove(at: pick)
                job.runSynchronously(isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
                continue
            }
            guard let next = events.first, next.time <= deadline else {
                now = max(now, deadline)
                stepsOfInstant = 0
                return false
            }
            let event = popEvent()
            if event.time > now { stepsOfInstant = 0 }
            now = max(now, event.time)
            if event.timer?.isCancelled != true { event.body() }
        }
        return true
    }

    /// Runs a body as an event of the simulation, now.
    package func perform(_ body: () -> Void) {
        let was = running
        running = true
        body()
        running = was
    }

    // MARK: A binary heap

    private func before(_ a: Event, _ b: Event) -> Bool {
        a.time != b.time ? a.time < b.time : a.tie != b.tie ? a.tie < b.tie : a.sequence < b.sequence
    }

    private func siftUp(_ start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard before(events[child], events[parent]) else { return }
            events.swapAt(child, parent)
            child = parent
        }
    }

    private func popEvent() -> Event {
        let first = events[0]
        let last = events.removeLast()
        if !events.isEmpty {
            events[0] = last
            var parent = 0
            while true {
                var least = parent
                for child in [2 * parent + 1, 2 * parent + 2] where child < events.count {
                    if before(events[child], events[least]) { least = child }
                }
                if least == parent { break }
                events.swapAt(parent, least)
                parent = least
            }
        }
        return first
    }
}
