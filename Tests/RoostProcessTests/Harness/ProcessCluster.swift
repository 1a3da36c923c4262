import Foundation

/// Nodes as processes, each from the built program, on free ports, with data in a directory that goes with them.
final class ProcessCluster: @unchecked Sendable {
    struct Node: Sendable {
        var id: String
        var clientPort: Int
        var peerPort: Int
        var adminPort: Int
    }

    let directory: String
    let nodes: [Node]
    private let lock = NSLock()
    private var children: [Int: ChildProcess] = [:]
    var configPath: String { directory + "/cluster.json" }

    /// - Parameter settings: further members of `cluster.json`, each with a comma before it.
    init(
        nodes count: Int = 3, replication: Int? = nil, settings: String = #","security":{"scrypt_log_n":10}"#
    ) throws {
        directory = NSTemporaryDirectory() + "roost-process-\(newID())"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let ports = Wire.freePorts(count * 3)
        nodes = (0..<count).map {
            Node(
                id: "node-\($0 + 1)", clientPort: ports[3 * $0], peerPort: ports[3 * $0 + 1],
                adminPort: ports[3 * $0 + 2])
        }
        let list = nodes.map {
            #"{"id":"\#($0.id)","host":"127.0.0.1","client_port":\#($0.clientPort),"peer_port":\#($0.peerPort),"#
                + #""admin_port":\#($0.adminPort),"data_dir":"data/\#($0.id)"}"#
        }
        try write(
            #"{"cluster":"process-test","replication":\#(replication ?? min(3, count)),"#
                + #""nodes":[\#(list.joined(separator: ","))]\#(settings)}"#)
    }

    func write(_ config: String) throws { try Data(config.utf8).write(to: URL(fileURLWithPath: configPath)) }

    /// Starts all, runs `body`, and leaves nothing behind. What failed is told with the nodes' logs.
    static func run<Value>(
        nodes: Int = 3, settings: String = #","security":{"scrypt_log_n":10}"#,
        _ body: (ProcessCluster) async throws -> Value
    ) async throws -> Value {
        let cluster = try ProcessCluster(nodes: nodes, settings: settings)
        defer { cluster.remove() }
        do {
            try await cluster.startAll()
            return try await body(cluster)
        } catch {
            print("\(error)\n\(cluster.logs)")
            throw error
        }
    }

    func remove() {
        let running = lock.withLock { Array(children.values) }
        for child in running { child.kill(SIGKILL) }
        for child in running {
            while child.status == nil { usleep(1_000) }
        }
        try? FileManager.default.removeItem(atPath: directory)
    }

    // MARK: Processes

    @discardableResult
    func start(_ node: Int) throws -> ChildProcess {
        let child = try ChildProcess(
            try RoostProgram.path(),
            ["node", "--id", nodes[node].id, "--config", configPath, "--exit-with-parent"], log: log(node))
        lock.withLock { children[node] = child }
        return child
    }

    func startAll() async throws {
        for node in nodes.indices { try start(node) }
        try await ready()
    }

    func child(_ node: Int) throws -> ChildProcess {
        try lock.withLock { children[node] }.orThrow("\(nodes[node].id) was not started")
    }

    /// Until the nodes serve.
    func ready(_ which: [Int]? = nil) async throws {
        for node in which ?? Array(nodes.indices) {
            let child = try child(node)
            try await eventually("\(nodes[node].id) is ready", within: .seconds(15)) {
                if let status = child.status { throw HarnessError("\(self.nodes[node].id): \(status)") }
                return (try? await self.admin(node, "/readyz"))?.status == 200
            }
        }
    }

    /// As if the machine had stopped: nothing is said, nothing is flushed.
    func kill(_ which: [Int]) async throws {
        let victims = try which.map { try child($0) }
        for victim in victims { victim.kill(SIGKILL) }
        for victim in victims { _ = try await victim.exited() }
    }

    func kill(_ node: Int) async throws { try await kill([node]) }

    func terminate(_ node: Int) async throws -> ChildProcess.Exit {
        let child = try child(node)
        child.kill(SIGTERM)
        return try await child.exited()
    }

    private func log(_ node: Int) -> String { "\(directory)/\(nodes[node].id)" }

    /// The last lines of all nodes.
    var logs: String {
        nodes.indices.map { node in
            let text = lock.withLock { children[node] }?.errors ?? ""
            let lines = text.split(separator: "\n").suffix(40).joined(separator: "\n")
            return "--- \(nodes[node].id)\n\(lines)\n"
        }.joined()
    }

    // MARK: Calls

    func api(
        _ node: Int, _ method: String, _ path: String, body: String? = nil, token: String? = nil
    ) async throws -> HTTPResult {
        try await HTTP.call(port: nodes[node].clientPort, method, "/api/" + path, body: body, token: token)
    }

    func admin(_ node: Int, _ path: String, post body: String? = nil) async throws -> HTTPResult {
        try await HTTP.call(port: nodes[node].adminPort, body == nil ? "GET" : "POST", path, body: body)
    }

    func index(of id: String?) -> Int? { nodes.firstIndex { $0.id == id } }

    /// Of a node in another's eyes.
    func member(_ node: Int, seenBy observer: Int) async throws -> JSON {
        let members = try await admin(observer, "/admin/cluster").json["members"].array
        return members.first { $0["id"].string == nodes[node].id } ?? .null
    }
}
