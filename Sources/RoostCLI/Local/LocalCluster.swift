internal import Foundation
internal import NIOCore

/// A cluster of its own on this machine: nodes as processes on free ports of loopback, files and logs in one directory.
/// It lives no longer than this process.
final class LocalCluster: @unchecked Sendable {
    // Unchecked: `children` and `proxies` are touched under `lock` only; all else never changes.
    struct Node: Sendable {
        var id: String
        var clientPort: Int
        var peerPort: Int
        var adminPort: Int
    }

    /// Two nodes; the lower one dials.
    struct Pair: Hashable, Sendable {
        var low: Int
        var high: Int

        init(_ one: Int, _ other: Int) {
            low = min(one, other)
            high = max(one, other)
        }
    }

    let directory: String
    /// Those of `cluster.json`, then those that may join.
    let nodes: [Node]
    private let founders: Int
    private let name: String
    private let program: String
    private let replication: Int
    private let settings: String
    private let lock = NSLock()
    private var children: [Int: ChildProcess] = [:]
    private var proxies: [Pair: PeerProxy] = [:]

    /// - Parameters:
    ///   - directory: made, where it is not there.
    ///   - spares: nodes that stand in no file: `start` has them join.
    ///   - settings: further members of `cluster.json`, each with a comma before it.
    init(
        name: String, directory: String, program: String, nodes count: Int, spares: Int = 0, replication: Int? = nil,
        settings: String
    ) throws {
        self.name = name
        self.directory = directory
        self.program = program
        self.settings = settings
        self.replication = replication ?? min(3, count)
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        founders = count
        let ports = try FreePorts.take((count + spares) * 3)
        nodes = (0..<count + spares).map {
            Node(
                id: "node-\($0 + 1)", clientPort: ports[3 * $0], peerPort: ports[3 * $0 + 1],
                adminPort: ports[3 * $0 + 2])
        }
        try write(UUID().uuidString, to: secretPath)
        try write(configuration(peerPorts: nodes.map(\.peerPort)), to: configPath)
    }

    var configPath: String { directory + "/cluster.json" }
    var secretPath: String { directory + "/cluster.secret" }
    var pairs: [Pair] { (0..<founders).flatMap { low in (low + 1..<founders).map { Pair(low, $0) } } }

    private func configuration(peerPorts: [Int]) -> String {
        let list = zip(nodes.prefix(founders), peerPorts).map { node, peerPort in
            #"{"id":"\#(node.id)","host":"127.0.0.1","client_port":\#(node.clientPort),"peer_port":\#(peerPort),"#
                + #""admin_port":\#(node.adminPort),"data_dir":"data/\#(node.id)"}"#
        }
        return #"{"cluster":"\#(name)","replication":\#(replication),"#
            + #""nodes":[\#(list.joined(separator: ","))]\#(settings)}"#
    }

    private func write(_ text: String, to path: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    }

    /// Each node's file, which is `cluster.json` where there are no proxies.
    func configPath(of node: Int) -> String {
        lock.withLock { proxies.isEmpty } ? configPath : "\(directory)/\(nodes[node].id).json"
    }

    /// From now on each pair of nodes talks through a proxy, which can cut them off from each other. Before the first
    /// node is started.
    func addProxies(on loop: any EventLoop) async throws {
        var made: [Pair: PeerProxy] = [:]
        for pair in pairs { made[pair] = try await PeerProxy.start(to: nodes[pair.high].peerPort, on: loop) }
        for node in nodes.indices {
            let ports = nodes.indices.map { other in
                other > node ? made[Pair(node, other)]?.port ?? nodes[other].peerPort : nodes[other].peerPort
            }
            try write(configuration(peerPorts: ports), to: "\(directory)/\(nodes[node].id).json")
        }
        lock.withLock { proxies = made }
    }

    func set(_ mode: PeerProxy.Mode, between pair: Pair) { lock.withLock { proxies[pair] }?.set(mode) }

    // MARK: Processes

    /// - Parameter peerPort: where it listens for the others, if not where their files say.
    @discardableResult
    func start(_ node: Int, logLevel: String = "info", peerPort: Int? = nil) throws -> ChildProcess {
        let own = nodes[node]
        var arguments = [
            "node", "--id", own.id, "--config", configPath(of: node), "--log-level", logLevel, "--exit-with-parent",
            "--cluster-secret-file", secretPath,
        ]
        if node >= founders {
            arguments += [
                "--join", "127.0.0.1:\(nodes[0].peerPort)", "--client-port", String(own.clientPort), "--peer-port",
                String(own.peerPort), "--admin-port", String(own.adminPort), "--data-dir",
                "\(directory)/data/\(own.id)",
            ]
        }
        if let peerPort { arguments += ["--peer-port", String(peerPort)] }
        let child = try ChildProcess(program, arguments, log: "\(directory)/\(own.id)")
        lock.withLock { children[node] = child }
        return child
    }

    /// The process started last; nil where there was none.
    func child(_ node: Int) -> ChildProcess? { lock.withLock { children[node] } }

    /// Ends all processes, as a crash would.
    func killAll() {
        let running = lock.withLock { Array(children.values) }
        ChildProcess.killAndWait(running)
        for proxy in lock.withLock({ Array(proxies.values) }) { proxy.stop() }
    }

    /// Ends all, and leaves nothing behind.
    func remove() {
        killAll()
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// The last lines of all nodes' logs.
    var logs: String {
        nodes.indices.map { node in
            let lines = (child(node)?.errors ?? "").split(separator: "\n").suffix(40).joined(separator: "\n")
            return "--- \(nodes[node].id)\n\(lines)\n"
        }.joined()
    }
}
