internal import Dispatch
internal import Foundation
internal import RoostModel
internal import RoostNode

/// The shell around `Supervisor`: processes, signals and timers. Everything of it runs on one queue.
final class UpRunner: @unchecked Sendable {
    private let config: ClusterConfig
    private let configPath: String
    private let secretPath: String?
    private let authorityPath: String?
    private let logLevel: String
    private let queue = DispatchQueue(label: "roost.up")
    private var supervisor: Supervisor
    private var children: [SupervisedProcess?]
    /// By node: goes up with each process and each end, so that no end counts for a later process; and how often the
    /// present one was found ended with nothing told.
    private var lives: [Int]
    private var untold: [Int]
    private var splitters: [[LineSplitter]]
    private var readyLines: [ReadyLine?]
    private var signals: [any DispatchSourceSignal] = []
    private var done: CheckedContinuation<Int32, Never>?
    private let width: Int
    private var stopping = false

    /// Beyond the nodes' own deadline for draining.
    private static let graceMilliseconds: UInt64 = 5_000

    init(config: ClusterConfig, configPath: String, secretPath: String?, authorityPath: String?, logLevel: String) {
        self.authorityPath = authorityPath
        self.secretPath = secretPath
        self.config = config
        self.configPath = configPath
        self.logLevel = logLevel
        supervisor = Supervisor(
            nodes: config.nodes.count,
            drainMilliseconds: UInt64(config.timing.drainMilliseconds) + Self.graceMilliseconds)
        children = Array(repeating: nil, count: config.nodes.count)
        lives = Array(repeating: 0, count: config.nodes.count)
        untold = lives
        splitters = Array(repeating: [LineSplitter(), LineSplitter()], count: config.nodes.count)
        readyLines = Array(repeating: nil, count: config.nodes.count)
        width = config.nodes.map(\.id.name.count).max() ?? 0
    }

    /// Until all nodes have ended; the exit code.
    func run() async -> Int32 {
        await withCheckedContinuation { continuation in
            queue.async {
                self.done = continuation
                self.watchSignals()
                self.watchChildren()
                self.feed(.start)
            }
        }
    }

    private func watchSignals() {
        for number in [SIGINT, SIGTERM, SIGHUP] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler { [weak self] in self?.stop() }
            source.resume()
            signals.append(source)
        }
    }

    /// Ends that were not told.
    private func watchChildren() {
        for (node, child) in children.enumerated() {
            guard let exit = child?.exit else { continue }
            untold[node] += 1
            if untold[node] > 2 { exited(node, lives[node], exit) }
        }
        guard done != nil else { return }
        queue.asyncAfter(deadline: .now() + .seconds(1)) { [weak self] in self?.watchChildren() }
    }

    private func stop() {
        if !stopping { Console.error("stopping: all nodes drain; once more kills them") }
        stopping = true
        feed(.stopRequested)
    }

    private var now: UInt64 { DispatchTime.now().uptimeNanoseconds / 1_000_000 }

    private func feed(_ event: Supervisor.Event) {
        for action in supervisor.receive(event, now: now) { perform(action) }
        guard let deadline = supervisor.deadline else { return }
        // One too many does no harm: the machine looks at the time.
        let delay = deadline > now ? deadline - now : 0
        queue.asyncAfter(deadline: .now() + .milliseconds(Int(delay))) { [weak self] in
            guard let self, let due = self.supervisor.deadline, due <= self.now else { return }
            self.feed(.wake)
        }
    }

    /// 0.5, 1, 2 …
    private static func seconds(_ milliseconds: UInt64) -> String {
        milliseconds % 1_000 == 0 ? "\(milliseconds / 1_000)" : "\(Double(milliseconds) / 1_000)"
    }

    private func name(_ node: Int) -> String { config.nodes[node].id.name }

    private func perform(_ action: Supervisor.Action) {
        switch action {
        case .spawn(let node): spawn(node)
        case .terminate(let node): children[node]?.terminate()
        case .kill(let node):
            Console.error("\(name(node)) is killed before it has drained")
            children[node]?.kill()
        case .announceReady(let node):
            guard let line = readyLines[node] else { return }
            Console.out("\(name(node)) ready: clients \(line.client), admin \(line.admin)")
        case .announceAllReady:
            Console.out("cluster \(config.cluster) ready: \(config.nodes.count) nodes")
        case .announceRestart(let node, let exit, let delay):
            Console.error("\(name(node)) \(exit.text); starting it again in \(Self.seconds(delay)) s")
        case .announceGivingUp(let node, let exit):
            Console.error("\(name(node)) \(exit.text); trying again can't help, stopping all")
        case .announceLeft(let node): Console.error("\(name(node)) has left the cluster: take it out of the file")
        case .announceDown(let node, let exit):
            Console.error("\(name(node)) \(exit.text); trying again can't help, the others go on without it")
        case .finish(let code):
            if stopping { Console.error("all nodes have stopped") }
            done?.resume(returning: code)
            done = nil
        }
    }

    private func spawn(_ node: Int) {
        splitters[node] = [LineSplitter(), LineSplitter()]
        lives[node] += 1
        untold[node] = 0
        let life = lives[node]
        var arguments = [
            "node", "--id", name(node), "--config", configPath, "--log-level", logLevel, "--exit-with-parent",
        ]
        if let secretPath { arguments += ["--cluster-secret-file", secretPath] }
        if let authorityPath { arguments += ["--certificate-authority", authorityPath] }
        do {
            children[node] = try SupervisedProcess(
                executable: "/proc/self/exe", arguments: arguments,
                output: { kind, data in self.queue.async { self.took(data, kind, from: node) } },
                exited: { exit in self.queue.async { self.exited(node, life, exit) } })
        } catch {
            Console.error("\(name(node)): \((error as? Failure)?.message ?? "\(error)")")
            queue.async { self.exited(node, life, .code(1)) }
        }
    }

    private func exited(_ node: Int, _ life: Int, _ exit: Supervisor.Exit) {
        guard life == lives[node] else { return }
        // Told once.
        lives[node] += 1
        children[node] = nil
        feed(.exited(node, exit))
    }

    private func took(_ data: Data, _ kind: SupervisedProcess.Output, from node: Int) {
        let index = kind == .out ? 0 : 1
        let lines = data.isEmpty ? splitters[node][index].finish() : splitters[node][index].feed(data)
        for line in lines {
            if kind == .out, let ready = ReadyLine(line), ready.node == name(node) {
                readyLines[node] = ready
                feed(.ready(node))
                continue
            }
            if kind == .out, line == "left \(name(node))" {
                feed(.left(node))
                continue
            }
            let padding = String(repeating: " ", count: width - name(node).count)
            Console.note("\(name(node))\(padding) | \(line)")
        }
    }
}
