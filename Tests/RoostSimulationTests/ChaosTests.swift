import RoostModel
import RoostNode
import RoostProtocol
import RoostSimulation
import RoostStorage
import Testing

/// Everything at once: nodes die and come back, links are cut and stall, devices come, go and move, members change, while
/// everybody sends. In the end everything accepted must be with everybody who may read it.
@Suite struct ChaosTests {
    @Test(arguments: World.seeds(6)) func losesNothing(seed: UInt64) throws {
        let world = try World(seed: seed, nodes: seed % 4 == 0 ? 5 : 3)
        let names = ["ada", "bob", "cyd", "dan"]
        let group = try world.conversation(.group, "ada", "bob", "cyd", "dan")
        let channel = try world.conversation(.channel, "bob", "ada", "cyd")
        for name in names {
            for device in ["phone", "desk"] {
                try world.device(name, device, waits: false) {
                    // One in eight is slow enough to fill its window.
                    if world.random(0...7) == 0 { $0.acknowledgeAfter = 500_000_000...3_000_000_000 }
                }
            }
        }
        let chaos = Chaos(world: world, names: names, group: group, channel: channel)
        while world.cluster.executor.now < 60_000_000_000 { try chaos.step() }
        try chaos.heal()
        world.expectWhole()
        // All was acknowledged: who connects now has nothing to be told again.
        world.run(8_000)
        for device in world.devices {
            device.connect()
            #expect(world.run(15_000) { device.isCaughtUp && device.session !== nil }, "seed \(seed)")
        }
        world.run(1_000)
        for device in world.devices {
            let again = device.session?.messages.map { "\($0.conversation) \($0.seq)" } ?? []
            #expect(again.isEmpty, "seed \(seed): \(device.summary): \(again.count) again \(again.prefix(3))")
        }
        world.expectWhole()
    }

    /// The same with disks that flip bits and fill up: of each row one copy at most is damaged.
    @Test(arguments: World.seeds(4)) func losesNothingOnBadDisks(seed: UInt64) throws {
        let world = try World(seed: seed) { $0.durability.scrubMinRowsPerSecond = 5_000 }
        let names = ["ada", "bob", "cyd", "dan"]
        let group = try world.conversation(.group, "ada", "bob", "cyd", "dan")
        let channel = try world.conversation(.channel, "bob", "ada", "cyd")
        for name in names { try world.device(name, "phone", waits: false) }
        let chaos = Chaos(world: world, names: names, group: group, channel: channel)
        chaos.hasBadDisks = true
        while world.cluster.executor.now < 40_000_000_000 { try chaos.step() }
        try chaos.heal()
        let healed = world.run(120_000) {
            world.cluster.nodeIDs.allSatisfy { node in
                let view = world.cluster.onNode(node) { $0.storageView }
                return view?.lastScrubAt ?? 0 > chaos.healedAt && view?.waitingRows == 0
                    && view?.damagedRows == view?.repairedRows
            }
        }
        let views = world.cluster.nodeIDs.compactMap { node in world.cluster.onNode(node) { $0.storageView } }
        #expect(healed, "seed \(seed): \(views)")
        #expect(chaos.flips > 5, "seed \(seed)")
        world.expectWhole()
    }
}

private final class Chaos {
    private let world: World
    private let names: [String]
    private let group: ConversationID
    private let channel: ConversationID
    private var cuts: [(NodeID, NodeID)] = []
    private var count = 0
    private var isOut = false
    var hasBadDisks = false
    private(set) var flips = 0
    /// Microseconds since 1970, of the nodes' clocks.
    private(set) var healedAt: Int64 = 0
    private var flipped: Set<LogDamage> = []
    private var full: NodeID?

    init(world: World, names: [String], group: ConversationID, channel: ConversationID) {
        self.world = world
        self.names = names
        self.group = group
        self.channel = channel
    }

    private var cluster: SimulationCluster { world.cluster }

    func step() throws {
        for _ in 0..<world.random(1...6) { send() }
        world.run(world.random(1...400))
        switch world.random(0...40) {
        case 0, 1, 2: if let node = world.pick(cluster.nodeIDs) { cluster.kill(node) }
        case 3...8: try startOne()
        case 9 where world.random(0...3) == 0:
            for node in cluster.nodeIDs { cluster.kill(node) }
            world.run(world.random(0...300))
            for node in cluster.nodeIDs { try cluster.start(node) }
        case 10, 11, 12: cutOne()
        case 13...17: healOne()
        case 18, 19: world.pick(world.devices)?.disconnect()
        case 20, 21: world.pick(world.devices)?.connect(to: world.pick(cluster.nodeIDs))
        case 22: changeMembers()
        case 23...30 where hasBadDisks: flipOne()
        case 31 where hasBadDisks:
            let table = world.pick([
                "members", "cursors", "messages", "message_ids", "accounts", "send_orders", "calls",
            ])
            guard let disk = anyDisk(), let table else { break }
            disk.damageState(PartitionID(UInt16(world.random(0...3))), table: table)
        case 32 where hasBadDisks && full == nil:
            full = world.pick(cluster.nodeIDs)
            if let full { cluster.changeDisk(full) { $0.isFull = true } }
        case 33...36: emptyDisk()
        default: break
        }
        let broken = cluster.checkInvariants()
        #expect(broken.isEmpty, "seed \(world.seed): \(broken.prefix(4))")
    }

    private func anyDisk() -> SimulationStorage? {
        world.pick(cluster.nodeIDs).flatMap { cluster.running[$0]?.storage }
    }

    private func flipOne() {
        guard let disk = anyDisk() else { return }
        let partition = PartitionID(UInt16(world.random(0...3)))
        guard let last = try? disk.database.loadPartition(partition).lastIndex, last > 0 else { return }
        let index = UInt64(world.random(1...Int(last)))
        // Another copy must be whole.
        guard flipped.insert(LogDamage(partition, index, .checksum)).inserted else { return }
        if disk.flipBit(partition, index) { flips += 1 }
    }

    private func emptyDisk() {
        if let full { cluster.changeDisk(full) { $0.isFull = false } }
        full = nil
    }

    private func send() {
        guard let device = world.pick(world.devices), device.outbox.count < 60 else { return }
        count += 1
        switch world.random(0...9) {
        case 0...4: device.send(to: group, "m\(count)")
        case 5: device.send(to: channel, "c\(count)")
        default:
            guard let name = world.pick(names) else { return }
            device.send(toUser: name, "d\(count)")
        }
    }

    private func startOne() throws {
        guard let node = world.pick(cluster.nodeIDs.filter { cluster.running[$0] == nil }) else { return }
        try cluster.start(node)
    }

    private func cutOne() {
        let pair = cluster.nodeIDs.shuffled(using: &world.generator).prefix(2)
        guard pair.count == 2 else { return }
        if world.random(0...1) == 0 {
            cluster.network.cut(pair[0], pair[1])
        } else {
            cluster.network.stall(pair[0], pair[1])
        }
        cuts.append((pair[0], pair[1]))
    }

    private func healOne() {
        guard !cuts.isEmpty else { return }
        let pair = cuts.remove(at: world.random(0...cuts.count - 1))
        cluster.network.heal(pair.0, pair.1)
    }

    /// Nobody waits for the answer: it may be long in coming.
    private func changeMembers() {
        isOut.toggle()
        guard let node = world.pick(cluster.nodeIDs.compactMap { cluster.running[$0]?.node }),
            let ada = world.users["ada"],
            let dan = world.users["dan"]
        else { return }
        let command = Command.changeMembers(
            ChangeMembersCommand(conversation: group, actor: ada, users: [dan], action: isOut ? .remove : .add))
        cluster.spawn {
            await node.propose(command)
        } then: { _ in
        }
    }

    func heal() throws {
        while !cuts.isEmpty { healOne() }
        emptyDisk()
        for node in cluster.nodeIDs { try cluster.start(node) }
        healedAt = cluster.nodeIDs.compactMap { cluster.running[$0]?.node.wall() }.max() ?? 0
    }
}
