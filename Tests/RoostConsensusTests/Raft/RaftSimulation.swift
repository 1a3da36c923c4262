import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol

/// Nodes under faults drawn from a seed: loss, delay, reordering, duplicates, crashes that forget what is not synced,
/// partitions, full disks, and changes of membership. Then all is healed, and progress demanded.
struct RaftSimulation {
    enum Item {
        case deliver(RaftMessage, from: RaftPeer, to: RaftPeer)
        case tick(Int, life: Int)
        case sync(Int, life: Int)
        case load(Int, life: Int, LabNode.Load)
        case restart(Int)
        case propose
        case read
        case trouble
    }

    struct Slot {
        var node: LabNode
        var isUp = true
        /// Counts restarts: what was planned for an earlier life is void.
        var life = 0
        var store: UInt64 = 1
        var armed: UInt64?
        var seenApplied = 0
        var seenReady = 0
        var isSyncing = false
        var isFull = false
    }

    static let millisecond: UInt64 = 1_000_000
    let seed: UInt64
    let changesMembers: Bool
    var generator: SeededGenerator
    var now: UInt64 = 1_000_000_000
    var schedule = Schedule<Item>()
    var slots: [Slot] = []
    var groups: [Int]
    var model: RaftModel
    var options = RaftOptions()
    var isHealed = false
    /// For each read, what was known to be committed when it was asked.
    var reads: [UInt64] = []
    var readsAnswered = 0
    var proposed = 0
    var steps = 0

    // Drawn from the seed.
    let lossPercent: UInt64
    let duplicatePercent: UInt64
    let maxDelay: UInt64
    let maxSync: UInt64
    let troubleEvery: UInt64

    init(seed: UInt64, voters: Int, spares: Int = 0) {
        self.seed = seed
        changesMembers = spares > 0
        generator = SeededGenerator(seed: seed)
        lossPercent = generator.next() % 20
        duplicatePercent = generator.next() % 10
        maxDelay = [2, 20, 100, 400][Int(generator.next() % 4)] * Self.millisecond
        maxSync = [1, 10, 100][Int(generator.next() % 3)] * Self.millisecond
        troubleEvery = [150, 400, 1_000][Int(generator.next() % 3)] * Self.millisecond
        options.cacheBytes = [0, 1_000, 20_000][Int(generator.next() % 3)]
        options.maxAppendBytes = [100, 1_000, 100_000][Int(generator.next() % 3)]
        options.maxInflightAppends = [1, 4, 64][Int(generator.next() % 3)]
        options.hibernateAfter = [100, 500, 1_000][Int(generator.next() % 3)] * Self.millisecond
        groups = Array(repeating: 0, count: voters + spares)
        let configuration = RaftConfiguration(voters: (0..<voters).map { RaftPeer($0) })
        model = RaftModel(configuration)
        for number in 0..<(voters + spares) {
            var disk = LabDisk()
            if number < voters { disk.founding = configuration }
            let node = LabNode(
                RaftPeer(number), disk: disk, options: options, now: now, seed: seed &* 31 &+ UInt64(number))
            slots.append(Slot(node: node))
        }
        for number in slots.indices { arm(number) }
        schedule.plan(.propose, at: now)
        schedule.plan(.read, at: now)
        schedule.plan(.trouble, at: now + troubleEvery)
    }

    mutating func random(_ bound: UInt64) -> UInt64 { generator.next() % max(1, bound) }
    mutating func chance(_ percent: UInt64) -> Bool { random(100) < percent }

    /// Runs until the given time passed, or something broke.
    mutating func run(milliseconds: UInt64) {
        let end = now + milliseconds * Self.millisecond
        while model.broken.isEmpty, let next = schedule.next() {
            if next.time > end {
                schedule.plan(next.item, at: next.time)
                break
            }
            now = next.time
            perform(next.item)
            steps += 1
        }
        now = end
    }

    private mutating func perform(_ item: Item) {
        switch item {
        case .deliver(let message, let from, let to):
            guard let target = number(of: to), let source = number(of: from.node), groups[source] == groups[target]
            else { return }
            receive(target, .received(message, from: from))
        case .tick(let number, let life):
            guard isCurrent(number, life) else { return }
            slots[number].armed = nil
            receive(number, .tick)
        case .sync(let number, let life):
            guard isCurrent(number, life) else { return }
            slots[number].isSyncing = false
            guard !slots[number].isFull else { return }
            let count = isHealed ? Int.max : 1 + Int(random(4))
            if let ticket = slots[number].node.disk.sync(count) { receive(number, .persisted(ticket: ticket)) }
        case .load(let number, let life, let load):
            guard isCurrent(number, life) else { return }
            if !isHealed, chance(5) {
                receive(number, .entriesLoaded(id: load.id, entries: []))
            } else {
                slots[number].node.answer(load, now: now)
                after(number)
            }
        case .restart(let number): restart(number)
        case .propose:
            propose()
            schedule.plan(.propose, at: now + ((isHealed ? 100 : 10) + random(60)) * Self.millisecond)
        case .read:
            if let number = anyLeader() {
                reads.append(UInt64(model.committed.count))
                receive(number, .readIndex(id: UInt64(reads.count - 1)))
            }
            schedule.plan(.read, at: now + (20 + random(100)) * Self.millisecond)
        case .trouble:
            guard !isHealed else { return }
            trouble()
            if chance(25) { compareLogs() }
            schedule.plan(.trouble, at: now + random(2 * troubleEvery))
        }
    }

    /// By index, since a slot is large to copy.
    private func number(of peer: RaftPeer) -> Int? {
        for number in slots.indices where slots[number].isUp && slots[number].node.peer == peer { return number }
        return nil
    }

    private func number(of node: NodeID) -> Int? {
        for number in slots.indices where slots[number].node.peer.node == node { return number }
        return nil
    }

    private func isCurrent(_ number: Int, _ life: Int) -> Bool { slots[number].isUp && slots[number].life == life }

    mutating func receive(_ number: Int, _ event: RaftGroup.Event) {
        slots[number].node.receive(event, now: now)
        after(number)
    }

    mutating func propose() {
        guard let number = anyLeader() else { return }
        let texts = (0...random(3)).map { "\(proposed).\($0)" }
        proposed += 1
        _ = slots[number].node.propose(texts, now: now)
        after(number)
    }

    /// Somebody who believes to lead; the newest one once healed.
    mutating func anyLeader() -> Int? {
        let leading = slots.indices.filter { slots[$0].isUp && slots[$0].node.group.role == .leader }
        guard !leading.isEmpty else { return nil }
        if isHealed { return leading.max { slots[$0].node.group.term < slots[$1].node.group.term } }
        return leading[Int(random(UInt64(leading.count)))]
    }

    /// Judges and schedules what a node just did.
    mutating func after(_ number: Int) {
        let peer = slots[number].node.peer
        let outgoing = slots[number].node.outgoing
        slots[number].node.outgoing = []
        for item in outgoing { send(item.message, from: peer, to: item.to) }
        let loads = slots[number].node.loads
        slots[number].node.loads = []
        for load in loads {
            schedule.plan(.load(number, life: slots[number].life, load), at: now + random(maxSync))
        }
        judge(number, peer)
        if !slots[number].node.disk.unsynced.isEmpty, !slots[number].isSyncing, !slots[number].isFull {
            slots[number].isSyncing = true
            schedule.plan(.sync(number, life: slots[number].life), at: now + random(isHealed ? 1_000_000 : maxSync))
        }
        arm(number)
    }

    private mutating func judge(_ number: Int, _ peer: RaftPeer) {
        while slots[number].seenApplied < slots[number].node.applied.count {
            model.applied(slots[number].node.applied[slots[number].seenApplied], by: peer)
            slots[number].seenApplied += 1
        }
        while slots[number].seenReady < slots[number].node.ready.count {
            let read = slots[number].node.ready[slots[number].seenReady]
            slots[number].seenReady += 1
            readsAnswered += 1
            if read.index < reads[Int(read.id)] { model.fail("\(peer.node) answered a stale read") }
        }
        if slots[number].node.group.role == .leader {
            model.leads(peer, term: slots[number].node.group.term, log: slots[number].node.disk.withUnsynced)
        }
        if steps % 64 == 0 || slots[number].node.group.fault != nil {
            for text in slots[number].node.group.checkInvariants() { model.fail("\(peer.node): \(text)") }
        }
    }

    mutating func arm(_ number: Int) {
        guard let deadline = slots[number].node.group.nextDeadline else { return }
        if let armed = slots[number].armed, armed <= deadline, armed > now { return }
        slots[number].armed = deadline
        schedule.plan(.tick(number, life: slots[number].life), at: max(now, deadline))
    }

    private mutating func send(_ message: RaftMessage, from: RaftPeer, to: RaftPeer) {
        if isHealed { return schedule.plan(.deliver(message, from: from, to: to), at: now + random(1_000_000)) }
        if chance(lossPercent) { return }
        schedule.plan(.deliver(message, from: from, to: to), at: now + random(maxDelay))
        if chance(duplicatePercent) {
            schedule.plan(.deliver(message, from: from, to: to), at: now + random(4 * maxDelay))
        }
    }

    mutating func compareLogs() {
        let logs = slots.map(\.node.disk.withUnsynced)
        let distance = 1 + Int(random(UInt64(logs.count - 1)))
        for number in logs.indices { model.compare(logs[number], logs[(number + distance) % logs.count]) }
    }
}
