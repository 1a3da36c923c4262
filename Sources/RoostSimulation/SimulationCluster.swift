package import Logging
import NIOCore
import RoostConsensus
package import RoostModel
package import RoostNode
import RoostProtocol
import RoostStorage

/// Whole nodes, actors included, in one process on one seed: started, killed and started again on the same disks.
package final class SimulationCluster: @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    package struct Running {
        package var node: Node
        package var clock: SimulationClock
        package var storage: SimulationStorage
    }

    package let executor: SimulationExecutor
    package let network: SimulationNetwork
    package let configuration: ClusterConfig
    private var disks: [NodeID: SQLiteStore]
    private var sessions: [NodeID: [SimulationSession]] = [:]
    package private(set) var running: [NodeID: Running] = [:]
    package private(set) var failures: [String] = []
    /// Why nodes ended whose database is to be set aside; they start again blank.
    package private(set) var condemned: [NodeID: String] = [:]
    private var hasSetAside: Set<NodeID> = []
    private let logger: Logger

    package init(
        seed: UInt64, nodes: Int, replication: Int? = nil, partitions: Int = 4,
        configure: (inout ClusterConfig) -> Void = { _ in },
        logger: Logger = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }
    ) throws {
        executor = SimulationExecutor(seed: seed)
        network = SimulationNetwork(executor: executor)
        self.logger = logger
        let list = (1...nodes).map { number in
            ClusterConfig.Node(
                id: NodeID("node-\(number)"), host: "127.0.0.1", clientPort: 8_000 + number, peerPort: 7_000 + number,
                adminPort: 9_000 + number, dataDirectory: "/")
        }
        var configuration = ClusterConfig(
            cluster: "simulated", replication: replication ?? min(3, nodes), partitions: partitions, nodes: list)
        configure(&configuration)
        self.configuration = configuration
        var disks: [NodeID: SQLiteStore] = [:]
        for node in list { disks[node.id] = try SQLiteStore() }
        self.disks = disks
    }

    package var nodeIDs: [NodeID] { configuration.nodes.map(\.id) }

    package func startAll() throws { for id in nodeIDs { try start(id) } }

    package func start(_ id: NodeID) throws {
        guard running[id] == nil, let former = disks[id] else { return }
        let disk = former.condemned == nil ? former : try SQLiteStore()
        if disk !== former {
            disks[id] = disk
            hasSetAside.insert(id)
        }
        let clock = SimulationClock(executor: executor)
        let storage = SimulationStorage(database: disk, executor: executor)
        let seed = executor.generator.next()
        var facts =
            try disk.loadFacts()
            ?? NodeFacts(
                store: StoreID(executor.generator.next()), epoch: 0, joinsOnly: hasSetAside.contains(id))
        facts.epoch = max(facts.epoch + 1, UInt64(clock.wall() / 1_000_000))
        try disk.saveFacts(facts)
        let secrets = SecretBytes(seed: seed)
        let context = NodeContext(
            configuration: configuration, id: id, clock: clock, transport: network.transport(of: id),
            storage: storage, logger: logger, userID: { UserID(foldedUsername: $0.lowercased()) },
            secretBytes: { secrets.take($0) }, executor: executor)
        let node = Node(context: context, facts: facts, seed: seed) { [weak self] line in
            if disk.condemned == nil {
                self?.failures.append("\(id): \(line)")
            } else {
                self?.condemned[id] = line
            }
        }
        running[id] = Running(node: node, clock: clock, storage: storage)
        executor.perform {
            node.assumeIsolated { $0.start() }
            network.attach(id, node)
        }
    }

    /// As kill -9: what was not synced is forgotten, nobody is told but by broken links.
    package func kill(_ id: NodeID) {
        guard let life = running.removeValue(forKey: id) else { return }
        life.storage.crash()
        life.clock.stop()
        executor.perform {
            network.detach(id)
            life.node.assumeIsolated { $0.stop() }
            for session in sessions.removeValue(forKey: id) ?? [] { session.lost() }
        }
    }

    /// The node's data is gone for good; it comes back blank.
    package func wipe(_ id: NodeID) throws {
        kill(id)
        disks[id] = try SQLiteStore()
    }

    /// Sessions at a node end with it.
    package func register(_ session: SimulationSession, at node: NodeID) {
        sessions[node, default: []].removeAll { $0.closeCode != nil }
        sessions[node, default: []].append(session)
    }

    /// Runs virtual time on, in milliseconds, until the condition holds; says whether it did.
    @discardableResult
    package func run(milliseconds: UInt64, until condition: () -> Bool = { false }) -> Bool {
        if condition() { return true }
        return executor.run(until: executor.now + milliseconds * 1_000_000, while: { !condition() })
    }

    /// Runs an asynchronous body as a task of the simulation and waits for its end, at most `milliseconds`.
    package func await<T: Sendable>(
        milliseconds: UInt64 = 30_000, _ body: @escaping @Sendable () async -> T
    ) -> T? {
        let box = Box<T>()
        spawn(body) { box.value = $0 }
        run(milliseconds: milliseconds) { box.value != nil }
        return box.value
    }

    /// Runs an asynchronous body as a task of the simulation, then `end` as an event of it.
    package func spawn<T: Sendable>(
        _ body: @escaping @Sendable () async -> T, then end: @escaping @Sendable (T) -> Void
    ) {
        executor.perform {
            // Its executor is the simulation's: no thread of the runtime takes part.
            _ = Task(executorPreference: executor) { end(await body()) }
        }
    }

    package func onNode<T: Sendable>(_ id: NodeID, _ body: @Sendable (isolated Node) -> T) -> T? {
        guard let life = running[id] else { return nil }
        var result: T?
        executor.perform { result = life.node.assumeIsolated { body($0) } }
        return result
    }

    /// Every node that runs serves.
    package var isServing: Bool {
        nodeIDs.allSatisfy { id in onNode(id) { $0.isServing } ?? true }
    }

    /// What must hold at any moment; each line is a breach.
    package func checkInvariants() -> [String] {
        nodeIDs.flatMap { id in onNode(id) { $0.checkInvariants() } ?? [] } + failures
    }

    /// Where replicas of a partition differ. To be asked once nothing is under way.
    package func differences() -> [String] {
        var first: [PartitionID: (node: NodeID, state: StateSnapshot)] = [:]
        var found: [String] = []
        for id in nodeIDs {
            let states = onNode(id) { $0.snapshots() } ?? [:]
            for (partition, state) in states.sorted(by: { $0.key < $1.key }) {
                if let other = first[partition] {
                    if other.state != state { found.append("partition \(partition): \(other.node) and \(id) differ") }
                } else {
                    first[partition] = (id, state)
                }
            }
        }
        return found
    }

    /// The node that leads a partition, as it sees itself.
    package func leader(of partition: PartitionID) -> NodeID? {
        nodeIDs.first { id in onNode(id) { $0.leads(partition) } ?? false }
    }

    package func partition(of conversation: ConversationID) -> PartitionID {
        PartitionID(of: conversation.uuid, count: configuration.partitions)
    }
}

private final class Box<T: Sendable>: @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    var value: T?
}

private final class SecretBytes: @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    private var generator: SeededGenerator
    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }
    func take(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) } }
}
