import Foundation
import NIOCore
import RoostModel
import RoostNode
import RoostProtocol
import RoostSimulation
import Testing

/// A simulated cluster with users, conversations and devices, for scenarios.
final class World {
    let seed: UInt64
    let cluster: SimulationCluster
    private(set) var devices: [SimulationDevice] = []
    private(set) var users: [String: UserID] = [:]
    var generator: SeededGenerator

    /// Starts the nodes and waits until all serve.
    init(
        seed: UInt64, nodes: Int = 3, replication: Int? = nil, partitions: Int = 4,
        configure: (inout ClusterConfig) -> Void = { _ in }
    ) throws {
        self.seed = seed
        generator = SeededGenerator(seed: seed ^ 0x5eed)
        cluster = try SimulationCluster(
            seed: seed, nodes: nodes, replication: replication, partitions: partitions, configure: configure)
        try cluster.startAll()
        #expect(cluster.run(milliseconds: 20_000) { cluster.isServing }, "seed \(seed): the cluster does not serve")
    }

    /// The seeds of a scenario: `ROOST_SIM_SEEDS` sets their number, `ROOST_SIM_FIRST` where they begin.
    static func seeds(_ count: UInt64) -> [UInt64] {
        let environment = ProcessInfo.processInfo.environment
        let first = environment["ROOST_SIM_FIRST"].flatMap(UInt64.init) ?? 1
        let count = environment["ROOST_SIM_SEEDS"].flatMap(UInt64.init) ?? count
        return Array(first..<first + max(1, count))
    }

    func node(_ number: Int) -> NodeID { cluster.nodeIDs[number - 1] }

    func random(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }
    func pick<T>(_ list: [T]) -> T? { list.randomElement(using: &generator) }

    // MARK: Accounts and conversations

    /// The first node that runs.
    private var service: Node? { cluster.nodeIDs.compactMap { cluster.running[$0]?.node }.first }

    func propose(_ command: Command, at node: NodeID? = nil) -> CommandResult? {
        guard let service = node.flatMap({ cluster.running[$0]?.node }) ?? service else { return nil }
        return cluster.await { await service.propose(command) }
    }

    func read(_ request: ReadRequest, at node: NodeID? = nil) -> ReadResponse? {
        guard let service = node.flatMap({ cluster.running[$0]?.node }) ?? service else { return nil }
        return cluster.await { await service.read(request) }
    }

    @discardableResult
    func user(_ name: String) throws -> UserID {
        if let user = users[name] { return user }
        let service = try #require(service, "seed \(seed)")
        let user = UserID(foldedUsername: name)
        let record = AccountRecord(
            user: user, username: name, passwordHash: "-", role: .user, createdAt: service.wall())
        let result = propose(.createAccount(record))
        #expect(result == .created(at: record.createdAt), "seed \(seed): \(String(describing: result))")
        users[name] = user
        return user
    }

    /// The first of the names is the owner.
    func conversation(_ type: ConversationType, _ names: String...) throws -> ConversationID {
        let members = try names.map { try user($0) }
        let id = ConversationID(UUID128.version4(using: &generator))
        let result = propose(
            .createConversation(
                CreateConversationCommand(
                    id: id, type: type, name: nil, creator: members[0], members: members.dropFirst().sorted())))
        guard case .conversation? = result else {
            Issue.record("seed \(seed): creating a conversation: \(String(describing: result))")
            return id
        }
        return id
    }

    @discardableResult
    func change(
        _ conversation: ConversationID, by actor: String, _ action: MembershipAction, _ names: String...
    ) throws -> CommandResult? {
        let users = try names.map { try user($0) }
        return propose(
            .changeMembers(
                ChangeMembersCommand(conversation: conversation, actor: try user(actor), users: users, action: action)))
    }

    // MARK: Devices

    /// A device that connects to a node and, where it is to, waits until it is caught up.
    @discardableResult
    func device(
        _ name: String, _ device: String, at node: NodeID? = nil, waits: Bool = true,
        prepare: (SimulationDevice) -> Void = { _ in }
    ) throws -> SimulationDevice {
        let made = SimulationDevice(
            user: try user(name), device: try #require(DeviceID(device)), cluster: cluster)
        prepare(made)
        devices.append(made)
        made.connect(to: node)
        if waits {
            let done = cluster.run(milliseconds: 15_000) { made.isCaughtUp }
            #expect(done, "seed \(seed): \(name)'s \(device) is not caught up")
        }
        return made
    }

    /// Every replica of every node has its vote.
    var isFilled: Bool {
        cluster.nodeIDs.allSatisfy { id in
            cluster.onNode(id) { $0.replicasWithVote == $0.replicasHere && $0.replicasHere > 0 } ?? false
        }
    }

    func run(_ milliseconds: Int) { cluster.run(milliseconds: UInt64(milliseconds)) }

    @discardableResult
    func run(_ milliseconds: Int, until condition: () -> Bool) -> Bool {
        cluster.run(milliseconds: UInt64(milliseconds), until: condition)
    }

    // MARK: Load

    /// Three users with two devices each, on different nodes, and a group of them.
    func busy() throws -> ConversationID {
        let group = try conversation(.group, "ada", "bob", "cyd")
        for (number, name) in ["ada", "bob", "cyd"].enumerated() {
            try device(name, "phone", at: node(1 + number % cluster.nodeIDs.count))
            try device(name, "desk", at: node(1 + (number + 1) % cluster.nodeIDs.count))
        }
        return group
    }

    /// Any device sends, to the group and to ada.
    func load(_ group: ConversationID, milliseconds: Int) {
        let end = cluster.executor.now + UInt64(milliseconds) * 1_000_000
        while cluster.executor.now < end {
            if let device = pick(devices), device.outbox.count < 100 { device.send(to: group, "m") }
            if let device = pick(devices), device.outbox.count < 100 { device.send(toUser: "ada", "d") }
            run(random(5...40))
        }
    }

    // MARK: Verdict

    /// Everything accepted is with everybody who may read it, exactly; and the replicas agree.
    func expectWhole(milliseconds: UInt64 = 60_000, sourceLocation: SourceLocation = #_sourceLocation) {
        let found = SimulationChecker(cluster, devices).settle(milliseconds: milliseconds)
        let stuck = found.isEmpty ? [] : devices.filter { !$0.isCaughtUp || !$0.outbox.isEmpty }.map(\.summary)
        #expect(found.isEmpty, "seed \(seed): \(found.prefix(8)) \(stuck)", sourceLocation: sourceLocation)
        expectAgreement(sourceLocation: sourceLocation)
    }

    /// Once nothing is under way any more.
    func expectAgreement(sourceLocation: SourceLocation = #_sourceLocation) {
        var differences = cluster.differences()
        for _ in 0..<20 where !differences.isEmpty {
            run(500)
            differences = cluster.differences()
        }
        #expect(differences.isEmpty, "seed \(seed): \(differences)", sourceLocation: sourceLocation)
        let broken = cluster.checkInvariants()
        #expect(broken.isEmpty, "seed \(seed): \(broken.prefix(8))", sourceLocation: sourceLocation)
    }
}
