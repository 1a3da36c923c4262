package import Logging
import NIOCore
import RoostConsensus
package import RoostModel
package import RoostNode
import RoostProtocol
package import RoostStorage

/// Whole nodes, actors included, in one process on one seed: started, killed, stopped and started again on the same
/// disks.
package final class SimulationCluster: @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    package struct Running {
        package var node: Node
        package var clock: SimulationClock
        package var storage: SimulationStorage
        package var gate: SimulationGate
        /// Why the process has to end, by its own word.
        package var failure: String?
    }

    /// What outlives a process.
    private struct Machine {
        var disk: SQLiteStore
        /// The one that was replaced last.
        var former: SQLiteStore?
        var behaviour = DiskBehaviour()
        /// Of the monotonic clock, in parts per million.
        var drift = 0
        /// Of the wall clock, in microseconds.
        var wallOffset: Int64 = 0
        /// It lost a database that was damaged: it founds nothing any more.
        var hasSetAside = false
        /// Makes its ports.
        var number = 0
    }

    package let executor: SimulationExecutor
    package let network: SimulationNetwork
    /// As founded.
    package let configuration: ClusterConfig
    /// The nodes that are there or will be again, in the order of their founding and joining.
    package private(set) var nodeIDs: [NodeID]
    private var joining: Set<NodeID> = []
    /// Nodes that were asked to leave.
    var leavers: Set<NodeID> = []
    /// What operators ask for until it is done.
    var deedsUnderWay = 0
    /// How many nodes there ever were.
    package private(set) var nodesEver: Int
    private var machines: [NodeID: Machine] = [:]
    private var sessions: [NodeID: [SimulationSession]] = [:]
    package private(set) var running: [NodeID: Running] = [:]
    /// What each node's disk is known as; nil where it is blank, or to be set aside.
    package private(set) var stores: [NodeID: StoreID] = [:]
    /// Lost their disk since they last started.
    private var isBlank: Set<NodeID> = []
    /// What nodes that were not made to said when they ended.
    package private(set) var failures: [String] = []
    /// Nodes of which a table was damaged: one that meets it while it writes ends, and makes the tables anew at its start.
    package var damagedTables: Set<NodeID> = []
    /// Why nodes ended whose database is to be set aside; they start again blank.
    package private(set) var condemned: [NodeID: String] = [:]
    private let logger: Logger
    /// A line of everything that happens, where it is wanted.
    package var trace: ((String) -> Void)? {
        didSet { network.trace = trace.map { trace in { [executor] in trace("\(executor.stamp) \($0)") } } }
    }
    /// Everything that is synced at a node, when it is.
    package var onSynced: ((NodeID, [PartitionWrite]) -> Void)?
    /// A node begins with a disk, blank or not.
    package var onStart: ((NodeID, StoreID, _ isBlank: Bool) -> Void)?
    /// A node is gone for good, and its disk with it.
    package var onGone: ((NodeID) -> Void)?

    package init(
        seed: UInt64, nodes: Int, replication: Int? = nil, partitions: Int = 4,
        configure: (inout ClusterConfig) -> Void = { _ in },
        logger: Logger = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }
    ) throws {
        executor = SimulationExecutor(seed: seed)
        network = SimulationNetwork(executor: executor)
        self.logger = logger
        let list = (1...nodes).map { Self.node(NodeID("node-\($0)"), number: $0) }
        var configuration = ClusterConfig(
            cluster: "simulated", replication: replication ?? min(3, nodes), partitions: partitions, nodes: list)
        configure(&configuration)
        self.configuration = configuration
        nodeIDs = list.map(\.id)
        nodesEver = nodes
        for node in list { machines[node.id] = Machine(disk: try Self.blankDisk(executor)) }
    }

    private static func node(_ id: NodeID, number: Int) -> ClusterConfig.Node {
        ClusterConfig.Node(
            id: id, host: "127.0.0.1", clientPort: 8_000 + number, peerPort: 7_000 + number,
            adminPort: 9_000 + number, dataDirectory: "/")
    }

    /// Of the node: that of the founding, and its own entry if it joined later.
    func configuration(of id: NodeID) -> ClusterConfig {
        var own = configuration
        if own.node(id) == nil, let number = machines[id]?.number { own.nodes.append(Self.node(id, number: number)) }
        return own
    }

    // MARK: Processes

    package func startAll() throws { for id in nodeIDs { try start(id) } }

    package func start(_ id: NodeID) throws {
        guard running[id] == nil, var machine = machines[id] else { return }
        if machine.disk.condemned != nil {
            machine.disk = try Self.blankDisk(executor)
            machine.hasSetAside = true
            machines[id] = machine
        }
        let gate = SimulationGate(executor: executor)
        let clock = SimulationClock(
            executor: executor, gate: gate, drift: machine.drift, wallOffset: machine.wallOffset)
        let storage = SimulationStorage(database: machine.disk, executor: executor, gate: gate)
        storage.change(machine.behaviour)
        storage.onSynced = { [weak self] in self?.onSynced?(id, $0) }
        let seed = executor.generator.next()
        let stored = try machine.disk.loadFacts()
        var facts =
            stored ?? NodeFacts(store: StoreID(executor.generator.next()), epoch: 0, joinsOnly: machine.hasSetAside)
        if stored == nil || !configuration.planted.contains(.epochIgnored) {
            facts.epoch = max(facts.epoch + 1, UInt64(max(0, clock.wall() / 1_000_000)))
        }
        try machine.disk.saveFacts(facts)
        stores[id] = facts.store
        note("\(id) starts, store \(facts.store), epoch \(facts.epoch)")
        onStart?(id, facts.store, isBlank.remove(id) != nil || stored == nil)
        let secrets = SecretBytes(seed: seed)
        let context = NodeContext(
            configuration: configuration(of: id), id: id, clock: clock, transport: network.transport(of: id),
            storage: storage, logger: logger, userID: { UserID(foldedUsername: $0.lowercased()) },
            secretBytes: { secrets.take($0) }, executor: executor)
        let node = Node(
            context: context, facts: facts, seed: seed, onLeft: { [weak self] in self?.left(id) },
            onFailure: { [weak self] in self?.ended(id, $0) })
        running[id] = Running(node: node, clock: clock, storage: storage, gate: gate)
        executor.perform {
            node.assumeIsolated { $0.start() }
            network.attach(id, node)
        }
    }

    /// The process ends itself: at once, as far as others see. Only where its disk was made to fail that is as it should.
    private func ended(_ id: NodeID, _ line: String) {
        guard var life = running[id], life.failure == nil else { return }
        life.failure = line
        running[id] = life
        note("\(id) ends: \(line)")
        // It was killed when it had just left, and learns so when it is started again.
        if leavers.contains(id), line.contains("removed from the cluster") { return left(id) }
        if machines[id]?.disk.condemned != nil {
            condemned[id] = line
            stores[id] = nil
        } else if life.storage.failures == 0,
            !(damagedTables.contains(id) && line.contains("the next start makes the tables anew"))
        {
            failures.append("\(id): \(line)")
        }
        let node = life.node
        executor.schedule(after: 0) { [weak self] in
            if self?.running[id]?.node === node { self?.kill(id) }
        }
    }

    /// As kill -9: what was not synced is forgotten, nobody is told but by broken links.
    package func kill(_ id: NodeID) {
        guard let life = running.removeValue(forKey: id) else { return }
        note("\(id) is killed")
        machines[id]?.behaviour = life.storage.behaviour
        life.storage.crash()
        life.gate.close()
        executor.perform {
            network.detach(id)
            life.node.assumeIsolated { $0.stop() }
            for session in sessions.removeValue(forKey: id) ?? [] { session.lost() }
        }
    }

    /// The node's data is gone for good; it comes back blank.
    package func wipe(_ id: NodeID) throws {
        kill(id)
        note("\(id) loses its disk")
        let disk = try Self.blankDisk(executor)
        if configuration.planted.contains(.wipedVotes), let facts = try machines[id]?.disk.loadFacts() {
            try disk.saveFacts(facts)
        }
        let former = machines[id]?.disk
        machines[id]?.former = former
        machines[id]?.disk = disk
        stores[id] = nil
        isBlank.insert(id)
    }

    /// The disk that was replaced last is put back, and the present one kept; false where there is none, or nothing on it.
    package func exchangeDisk(_ id: NodeID) throws -> Bool {
        guard let machine = machines[id], let former = machine.former, former.condemned == nil, !isBlank.contains(id),
            try former.loadFacts() != nil
        else { return false }
        kill(id)
        note("\(id) gets its other disk")
        machines[id]?.former = machine.disk.condemned == nil ? machine.disk : nil
        machines[id]?.disk = former
        try start(id)
        return true
    }

    // MARK: Membership

    /// False where the node is there already.
    func prepareToJoin(_ id: NodeID) throws -> Bool {
        guard !nodeIDs.contains(id), joining.insert(id).inserted else { return false }
        nodesEver += 1
        machines[id] = Machine(disk: try Self.blankDisk(executor), number: nodesEver)
        return true
    }

    func isJoining(_ id: NodeID) -> Bool { joining.contains(id) }
    var isAnybodyJoining: Bool { !joining.isEmpty }

    func joined(_ id: NodeID, _ grant: JoinGrant) throws {
        joining.remove(id)
        nodeIDs.append(id)
        try machines[id]?.disk.saveFacts(
            NodeFacts(
                store: StoreID(executor.generator.next()), epoch: 0, founded: grant.record, ring: grant.ring))
        isBlank.insert(id)
        try start(id)
    }

    /// It has left, and its process ends.
    private func left(_ id: NodeID) {
        executor.schedule(after: 0) { [weak self] in
            self?.kill(id)
            self?.note("\(id) has left")
            self?.gone(id)
        }
    }

    /// The node will not come back.
    func gone(_ id: NodeID) {
        nodeIDs.removeAll { $0 == id }
        machines[id] = nil
        onGone?(id)
    }

    private static func blankDisk(_ executor: SimulationExecutor) throws -> SQLiteStore {
        var options = SQLiteStore.Options()
        options.wall = { SimulationClock.begin + Int64(executor.now / 1_000) }
        return try SQLiteStore(inMemory: options)
    }

    /// As `roost recover --unsafe --from`, on nodes that do not run.
    @discardableResult
    package func recover(from ids: [NodeID]) throws -> UnsafeRecovery {
        let disks = ids.compactMap { id in running[id] == nil ? machines[id].map { (id: id, disk: $0.disk) } : nil }
        let surveys = try disks.compactMap { id, disk in
            try SurvivorSurvey(node: id, facts: try disk.loadFacts(), nonce: executor.generator.next()) {
                partition throws(StoreError) in try disk.loadPartition(partition)
            }
        }
        guard surveys.count == ids.count else { throw UnsafeRecovery.Refusal.blank }
        let plan = try UnsafeRecovery(surveys)
        for (id, disk) in disks {
            guard let facts = try disk.loadFacts() else { continue }
            try disk.saveFacts(plan.facts(facts))
            try disk.commit(plan.writes(of: id))
        }
        return plan
    }

    /// As SIGSTOP.
    package func pause(_ id: NodeID) {
        guard let life = running[id], !life.gate.isPaused else { return }
        note("\(id) stands still")
        life.gate.pause()
        network.freeze(id)
    }

    /// As SIGCONT.
    package func resume(_ id: NodeID) {
        guard let life = running[id], life.gate.isPaused else { return }
        note("\(id) goes on")
        // What other nodes sent comes before its timers, or after.
        let linksFirst = executor.random(0...1) == 0
        if linksFirst { network.thaw(id) }
        life.gate.resume()
        if !linksFirst { network.thaw(id) }
    }

    package func isPaused(_ id: NodeID) -> Bool { running[id]?.gate.isPaused ?? false }

    // MARK: Machines

    /// From its next start on, in parts per million.
    package func setDrift(_ id: NodeID, _ drift: Int) { machines[id]?.drift = drift }

    /// The wall clock is set, in microseconds from the true time.
    package func setWallOffset(_ id: NodeID, _ offset: Int64) {
        note("\(id): wall clock off by \(offset / 1_000_000) s")
        machines[id]?.wallOffset = offset
        running[id]?.clock.wallOffset = offset
    }

    package func changeDisk(_ id: NodeID, _ change: (inout DiskBehaviour) -> Void) {
        var behaviour = running[id]?.storage.behaviour ?? machines[id]?.behaviour ?? DiskBehaviour()
        change(&behaviour)
        machines[id]?.behaviour = behaviour
        running[id]?.storage.change(behaviour)
    }

    /// The database of a node, running or not.
    package func disk(of id: NodeID) -> SQLiteStore? { machines[id]?.disk }

    /// Sessions at a node end with it.
    package func register(_ session: SimulationSession, at node: NodeID) {
        sessions[node, default: []].removeAll { $0.closeCode != nil }
        sessions[node, default: []].append(session)
        session.node = node
    }

    // MARK: Running

    package func note(_ line: @autoclosure () -> String) { trace?("\(executor.stamp) \(line())") }

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

    /// Asks a node something, as a client's request would: it waits while the process stands still. Nothing comes back
    /// from one that ended meanwhile.
    package func ask<T: Sendable>(
        _ id: NodeID, _ body: @escaping @Sendable (Node) async -> T, then end: @escaping @Sendable (T) -> Void
    ) {
        guard let life = running[id] else { return }
        let node = life.node
        life.gate.pass { [self] in
            spawn {
                await body(node)
            } then: { [self] result in
                if running[id]?.node === node { end(result) }
            }
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

    /// What must hold at any moment.
    package func checkInvariants() -> [Breach] {
        var found = nodeIDs.flatMap { id in onNode(id) { $0.checkInvariants() } ?? [] }.map { Breach(.invariant, $0) }
        found += failures.map { Breach(.selfHealing, "it ended: \($0)") }
        if network.undecodable > 0 { found.append(Breach(.invariant, "frames that could not be decoded")) }
        return found
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
