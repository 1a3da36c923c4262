internal import Dispatch
internal import Foundation
internal import RoostSimulation
internal import Synchronization

/// Runs seeds in the process it is called in, one line of JSON for each.
enum SimulationWorker {
    static func run(seeds: [UInt64], options: SimulationRun.Options) throws {
        let parent = getppid()
        for seed in seeds {
            // Nobody reads on.
            if getppid() != parent { return }
            // Whoever reads knows which seed it was if this process ends in it.
            Console.out("begin \(seed)")
            let start = ContinuousClock.now
            var run = try SimulationRun(seed: seed, options: options)
            let report = try run.run()
            Console.out(SimulationOutcome(report, seconds: start.duration(to: .now).seconds).line)
        }
    }
}

/// Spreads seeds over child processes. Each gets a few at a time, in the order of the seeds; one that crashes in a seed
/// makes a failure of it, and another goes on behind it.
final class SimulationPool {
    private let jobs: Int
    private let arguments: [String]
    private let events = EventQueue()
    private var waiting: ArraySlice<UInt64> = []
    private var children: [Int: Child] = [:]
    private var nextChild = 0
    /// Seeds that a child gets at a time: enough that its start costs little.
    private static let share = 8

    private struct Child {
        var process: SupervisedProcess
        var seeds: [UInt64]
        var current: UInt64?
        var text = Data()
        /// Both come, in no order.
        var exit: Supervisor.Exit?
        var isAtEnd = false
        /// Ticks for which it has been gone without both having come.
        var gone = 0
    }

    init(jobs: Int, arguments: [String]) {
        self.jobs = jobs
        self.arguments = arguments
    }

    /// `bound`: once there is one, seeds above it are not wanted any more.
    func run(
        _ seeds: [UInt64], until bound: () -> UInt64? = { nil }, _ body: (SimulationOutcome) -> Void
    ) throws {
        waiting = seeds[...]
        for _ in 0..<jobs { try startNext(of: seeds.count) }
        while !children.isEmpty {
            switch events.next() {
            case .output(let child, let data):
                if data.isEmpty { children[child]?.isAtEnd = true } else { take(data, of: child, body) }
                try ended(child, of: seeds.count, bound(), body)
            case .exit(let child, let exit):
                children[child]?.exit = exit
                try ended(child, of: seeds.count, bound(), body)
            case nil:
                for child in children.keys.sorted() where isLost(child) {
                    try ended(child, of: seeds.count, bound(), body)
                }
            }
            if let bound = bound() {
                waiting = waiting.filter { $0 < bound }[...]
                for child in children.values where child.seeds.allSatisfy({ $0 > bound }) { child.process.kill() }
            }
        }
    }

    /// It is gone, and nothing was heard of it for two ticks: its end, or that of its output, was not told. What it did
    /// not finish runs again.
    private func isLost(_ number: Int) -> Bool {
        guard var child = children[number], !child.process.isRunning else { return false }
        child.gone += 1
        if child.gone > 2 {
            child.isAtEnd = true
            child.exit = child.exit ?? .code(0)
        }
        children[number] = child
        return child.gone > 2
    }

    /// The process is gone and all that it said is read: what it left undone goes to another.
    private func ended(
        _ number: Int, of total: Int, _ bound: UInt64?, _ body: (SimulationOutcome) -> Void
    ) throws {
        guard let child = children[number], child.isAtEnd, let exit = child.exit else { return }
        children[number] = nil
        var rest = child.seeds.filter { $0 < bound ?? .max }
        if exit != .code(0), let seed = child.current ?? rest.first, seed < bound ?? .max {
            body(SimulationOutcome(crashed: seed, exit.text))
            rest.removeAll { $0 == seed }
        }
        waiting = (rest + waiting)[...]
        try startNext(of: total)
    }

    private func startNext(of total: Int) throws {
        guard !waiting.isEmpty else { return }
        let share = max(1, min(Self.share, total / (jobs * 8)))
        let part = Array(waiting.prefix(share))
        waiting = waiting.dropFirst(share)
        let number = nextChild
        nextChild += 1
        let list = part.map(String.init).joined(separator: ",")
        let process = try SupervisedProcess(
            executable: try Self.executable(), arguments: ["simulate", "--worker", list] + arguments,
            output: { [events] kind, data in if kind == .out { events.add(.output(number, data)) } },
            exited: { [events] exit in events.add(.exit(number, exit)) })
        children[number] = Child(process: process, seeds: part)
    }

    private func take(_ data: Data, of number: Int, _ body: (SimulationOutcome) -> Void) {
        guard var child = children.removeValue(forKey: number) else { return }
        child.text.append(data)
        while let end = child.text.firstIndex(of: UInt8(ascii: "\n")) {
            let line = Data(child.text[child.text.startIndex..<end])
            child.text = Data(child.text[child.text.index(after: end)...])
            let text = String(decoding: line, as: UTF8.self)
            if text.hasPrefix("begin ") {
                child.current = UInt64(text.dropFirst(6))
            } else if let outcome = try? JSONDecoder().decode(SimulationOutcome.self, from: line) {
                child.current = nil
                child.seeds.removeAll { $0 == outcome.seed }
                body(outcome)
            }
        }
        children[number] = child
    }

    private static func executable() throws -> String {
        guard let path = Bundle.main.executablePath else { throw Failure("the path of this program is not known") }
        return path
    }
}

/// What children report, from whatever thread, in order.
private final class EventQueue: Sendable {
    enum Event: Sendable {
        case output(Int, Data)
        case exit(Int, Supervisor.Exit)
    }
    private let events = Mutex<[Event]>([])
    private let ready = DispatchSemaphore(value: 0)

    func add(_ event: Event) {
        events.withLock { $0.append(event) }
        ready.signal()
    }

    /// Nil where nothing comes for a second.
    func next() -> Event? {
        guard ready.wait(timeout: .now() + 1) == .success else { return nil }
        return events.withLock { $0.removeFirst() }
    }
}
