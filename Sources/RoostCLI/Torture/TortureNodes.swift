internal import Foundation
internal import NIOCore
internal import NIOPosix
internal import RoostClient

/// The cluster of a torture: does to it what a round says, and looks whether it is well.
final class TortureNodes: Sendable {
    let local: LocalCluster
    private let disks: FullDisks?

    private init(local: LocalCluster, disks: FullDisks?) {
        self.local = local
        self.disks = disks
    }

    static func start(directory: String, nodes: Int, faults: [TortureFault], replication: Int) async throws
        -> TortureNodes
    {
        let local = try LocalCluster(
            name: "torture", directory: directory, program: "/proc/self/exe", nodes: nodes, replication: replication,
            settings: #","security":{"scrypt_log_n":10}"#)
        let disks = faults.contains(.full) ? try FullDisks(of: local) : nil
        let made = TortureNodes(local: local, disks: disks)
        do {
            try await local.addProxies(on: MultiThreadedEventLoopGroup.singleton.next())
            for node in local.nodes.indices { try local.start(node) }
            try await made.waitUntilReady(within: 60)
            return made
        } catch {
            made.end()
            throw error
        }
    }

    func end() {
        local.killAll()
        disks?.unmount()
    }

    func remove() {
        end()
        local.remove()
    }

    /// What it was told, in its order, to nodes and clients.
    func perform(_ round: TortureRound, _ load: BenchLoad) async throws {
        let begin = BenchLoop.now
        for step in round.steps {
            let due = begin + step.at * 1_000_000
            let now = BenchLoop.now
            if due > now { try await Task.sleep(for: .nanoseconds(Int64(due - now))) }
            if case .drop(let client) = step.act {
                try await load.drop(client)
            } else {
                try perform(step.act)
            }
            try checkAlive()
        }
    }

    private func perform(_ act: TortureRound.Act) throws {
        switch act {
        case .kill(let victims): kill(victims)
        case .start(let node): if local.child(node)?.status != nil { try local.start(node) }
        case .stop(let node): local.child(node)?.kill(SIGSTOP)
        case .resume(let node): local.child(node)?.kill(SIGCONT)
        case .cut(let pair, let mode): local.set(mode, between: pair)
        case .mend(let pair): local.set(.open, between: pair)
        case .wipe(let node):
            kill([node])
            try? FileManager.default.removeItem(atPath: "\(local.directory)/data/\(local.nodes[node].id)")
        case .fill(let node): try disks?.fill(node)
        case .empty(let node): disks?.empty(node)
        case .drop: break
        }
    }

    private func kill(_ victims: [Int]) {
        ChildProcess.killAndWait(victims.compactMap { local.child($0) })
    }

    /// Nothing ends but what was killed.
    func checkAlive() throws {
        for (node, place) in local.nodes.enumerated() {
            guard let status = local.child(node)?.status, status != .signal(SIGKILL) else { continue }
            throw TortureFailure("\(place.id) ended by itself: \(status)")
        }
    }

    /// Every node serves, and has all its votes: only then may the next disk be lost.
    func waitUntilReady(within seconds: Double) async throws {
        let deadline = BenchLoop.now + UInt64(seconds * 1e9)
        for node in local.nodes {
            try await AdminClient.with(urls: ["http://127.0.0.1:\(node.adminPort)"], token: nil) { client in
                while true {
                    try checkAlive()
                    do {
                        _ = try await client.get("/readyz")
                        let unfilled = try await client.get("/admin/cluster")["unfilled_replicas"]?.intValue ?? 0
                        if unfilled == 0 { return }
                        throw Failure("\(unfilled) of its replicas are not filled")
                    } catch {
                        guard BenchLoop.now < deadline else {
                            let reason = (error as? Failure)?.message ?? "\(error)"
                            throw TortureFailure("\(node.id) does not serve within \(Int(seconds)) s: \(reason)")
                        }
                    }
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
        }
    }
}

/// A promise was broken, or the cluster is not there any more.
struct TortureFailure: Error {
    var message: String
    init(_ message: String) { self.message = message }
}
