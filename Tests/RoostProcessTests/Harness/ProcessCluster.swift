import Foundation

@testable import RoostCLI

/// Nodes as processes, each from the built program, with what tests ask of them.
final class ProcessCluster: Sendable {
    let local: LocalCluster
    /// Those that are started at first.
    let founders: Int
    var directory: String { local.directory }
    var nodes: [LocalCluster.Node] { local.nodes }
    var configPath: String { local.configPath }
    var logs: String { local.logs }

    static let defaults = #","security":{"scrypt_log_n":10}"#

    /// - Parameter settings: further members of `cluster.json`, each with a comma before it.
    init(
        nodes count: Int = 3, spares: Int = 0, replication: Int? = nil, settings: String = ProcessCluster.defaults
    ) throws {
        founders = count
        local = try LocalCluster(
            name: "process-test", directory: NSTemporaryDirectory() + "roost-process-\(newID())",
            program: RoostProgram.path(), nodes: count, spares: spares, replication: replication, settings: settings)
    }

    func write(_ config: String) throws { try Data(config.utf8).write(to: URL(fileURLWithPath: configPath)) }

    /// Starts all, runs `body`, and leaves nothing behind. What failed is told with the nodes' logs.
    static func run<Value>(
        nodes: Int = 3, spares: Int = 0, settings: String = ProcessCluster.defaults, proxied: Bool = false,
        _ body: (ProcessCluster) async throws -> Value
    ) async throws -> Value {
        let cluster = try ProcessCluster(nodes: nodes, spares: spares, settings: settings)
        defer { cluster.remove() }
        do {
            if proxied { try await cluster.local.addProxies(on: testLoop) }
            try await cluster.startAll()
            return try await body(cluster)
        } catch {
            print("\(error)\n\(cluster.logs)")
            throw error
        }
    }

    func remove() { local.remove() }

    // MARK: Processes

    @discardableResult
    func start(_ node: Int) throws -> ChildProcess { try local.start(node) }

    func startAll() async throws {
        for node in 0..<founders { try start(node) }
        try await ready(Array(0..<founders))
    }

    func child(_ node: Int) throws -> ChildProcess {
        try local.child(node).orThrow("\(nodes[node].id) was not started")
    }

    /// Until the nodes serve.
    func ready(_ which: [Int]? = nil) async throws {
        for node in which ?? Array(nodes.indices) {
            let child = try child(node)
            try await eventually("\(nodes[node].id) is ready", within: .seconds(30)) {
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

extension ChildProcess {
    /// SIGSTOP has reached all of its threads.
    var standsStill: Bool {
        let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
        return !tasks.isEmpty
            && tasks.allSatisfy { task in
                let stat = (try? String(contentsOfFile: "/proc/\(pid)/task/\(task)/stat", encoding: .utf8)) ?? ""
                return stat.split(separator: ")").last?.hasPrefix(" T") == true
            }
    }

    func exited(within limit: Duration = .seconds(20)) async throws -> Exit {
        try await eventually("process \(pid) ends", within: limit) { self.status != nil }
        return try status.orThrow("process \(pid) did not end")
    }
}
