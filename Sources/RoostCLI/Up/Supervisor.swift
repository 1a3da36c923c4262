/// What `up` decides: which node to start when again, and when all is over. No processes, no clock: times are in
/// milliseconds.
struct Supervisor: Equatable {
    enum Event: Equatable {
        case start
        /// A node said that it serves.
        case ready(Int)
        case exited(Int, Exit)
        /// A node said that it has left the cluster: it ends.
        case left(Int)
        /// The first asks the nodes to drain, the second kills them.
        case stopRequested
        case wake
    }

    enum Exit: Equatable {
        case code(Int32)
        case signal(Int32)

        var text: String {
            switch self {
            case .code(let code): "exited with \(code)"
            case .signal(9): "was killed (signal 9)"
            case .signal(let signal): "was ended by signal \(signal)"
            }
        }
    }

    enum Action: Equatable {
        case spawn(Int)
        case terminate(Int)
        case kill(Int)
        case announceReady(Int)
        case announceAllReady
        case announceRestart(Int, Exit, delayMilliseconds: UInt64)
        case announceGivingUp(Int, Exit)
        /// It ended by itself and as it should: it has left the cluster.
        case announceLeft(Int)
        /// It can't be helped, and the others can do without it.
        case announceDown(Int, Exit)
        case finish(code: Int32)
    }

    enum Phase: Equatable {
        case down
        case starting(since: UInt64)
        case ready(since: UInt64)
        case waiting(until: UInt64)

        var isRunning: Bool {
            switch self {
            case .starting, .ready: true
            case .down, .waiting: false
            }
        }
    }

    private struct Child: Equatable {
        var phase = Phase.down
        var hasBeenReady = false
        var hasLeft = false
        /// Deaths in a row, each soon after its start.
        var failures = 0
    }

    static let minBackoff: UInt64 = 500
    static let maxBackoff: UInt64 = 10_000
    /// A node that served for so long had no reason of its own to die: the back-off begins anew.
    static let stableMilliseconds: UInt64 = 30_000
    /// What can't get better by trying again: usage, EX_CONFIG, EX_UNAVAILABLE, EX_CANTCREAT.
    static let hopeless: Set<Int32> = [64, 69, 73, 78]

    private var children: [Child]
    /// How long nodes may drain before they are killed.
    private let drainMilliseconds: UInt64
    private var stopping = false
    private var killAt: UInt64?
    private var exitCode: Int32 = 0
    private var announcedAll = false
    private var finished = false

    init(nodes: Int, drainMilliseconds: UInt64) {
        children = Array(repeating: Child(), count: nodes)
        self.drainMilliseconds = drainMilliseconds
    }

    func phase(of node: Int) -> Phase { children[node].phase }

    /// When to feed in `wake`.
    var deadline: UInt64? {
        if finished { return nil }
        if stopping { return killAt }
        return children.compactMap { if case .waiting(let until) = $0.phase { until } else { nil } }.min()
    }

    mutating func receive(_ event: Event, now: UInt64) -> [Action] {
        guard !finished else { return [] }
        switch event {
        case .start:
            for node in children.indices { children[node].phase = .starting(since: now) }
            return children.indices.map { .spawn($0) }
        case .ready(let node): return ready(node, now: now)
        case .exited(let node, let exit): return exited(node, exit, now: now)
        case .left(let node):
            children[node].hasLeft = true
            return []
        case .stopRequested: return stop(now: now)
        case .wake: return wake(now: now)
        }
    }

    private mutating func ready(_ node: Int, now: UInt64) -> [Action] {
        guard case .starting = children[node].phase, !stopping else { return [] }
        children[node].phase = .ready(since: now)
        children[node].hasBeenReady = true
        var actions: [Action] = [.announceReady(node)]
        let allReady = children.allSatisfy { if case .ready = $0.phase { true } else { false } }
        if allReady, !announcedAll {
            announcedAll = true
            actions.append(.announceAllReady)
        }
        return actions
    }

    private mutating func exited(_ node: Int, _ exit: Exit, now: UInt64) -> [Action] {
        let before = children[node].phase
        guard before.isRunning else { return [] }
        children[node].phase = .down
        if stopping { return finishIfDone() }
        if children[node].hasLeft { return [.announceLeft(node)] + finishIfDone() }
        // Removed while it was away, say.
        if exit == .code(78), announcedAll {
            return [.announceDown(node, exit)] + finishIfDone()
        }
        if case .code(let code) = exit, Self.hopeless.contains(code), !children[node].hasBeenReady {
            exitCode = code
            return [.announceGivingUp(node, exit)] + stop(now: now)
        }
        if case .ready(let since) = before, now >= since + Self.stableMilliseconds { children[node].failures = 0 }
        let delay = min(Self.maxBackoff, Self.minBackoff << UInt64(min(children[node].failures, 16)))
        children[node].failures += 1
        children[node].phase = .waiting(until: now + delay)
        return [.announceRestart(node, exit, delayMilliseconds: delay)]
    }

    private mutating func stop(now: UInt64) -> [Action] {
        let running = children.indices.filter { children[$0].phase.isRunning }
        if stopping { return running.map { .kill($0) } }
        stopping = true
        killAt = now + drainMilliseconds
        for node in children.indices where !children[node].phase.isRunning { children[node].phase = .down }
        return running.map { .terminate($0) } + finishIfDone()
    }

    private mutating func wake(now: UInt64) -> [Action] {
        if stopping {
            guard let time = killAt, now >= time else { return [] }
            killAt = nil
            return children.indices.filter { children[$0].phase.isRunning }.map { .kill($0) }
        }
        var actions: [Action] = []
        for node in children.indices {
            guard case .waiting(let until) = children[node].phase, now >= until else { continue }
            children[node].phase = .starting(since: now)
            actions.append(.spawn(node))
        }
        return actions
    }

    private mutating func finishIfDone() -> [Action] {
        guard children.allSatisfy({ $0.phase == .down }) else { return [] }
        finished = true
        return [.finish(code: exitCode)]
    }
}
