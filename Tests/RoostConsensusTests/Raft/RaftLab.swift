import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol

/// A few nodes with a clock that moves only when told, for unit tests and transcripts. Messages arrive in order.
struct RaftLab {
    static let millisecond: UInt64 = 1_000_000

    var nodes: [Int: LabNode] = [:]
    var now: UInt64 = 1_000_000_000
    var queue: [(from: RaftPeer, to: RaftPeer, message: RaftMessage)] = []
    var cuts: [(Int, Int)] = []
    var options: RaftOptions
    /// Messages that reached somebody.
    var deliveries = 0

    /// Nodes 1 ... `voters`, then as many learners. `blank` ones know of no configuration.
    init(voters: Int, learners: Int = 0, blank: Int = 0, options: RaftOptions = RaftOptions()) {
        self.options = options
        let configuration = RaftConfiguration(
            voters: (1...voters).map { RaftPeer($0) },
            learners: (0..<learners).map { RaftPeer(voters + 1 + $0) })
        for number in 1...(voters + learners + blank) {
            var disk = LabDisk()
            if number <= voters + learners { disk.founding = configuration }
            start(number, RaftPeer(number), disk)
        }
    }

    mutating func start(_ number: Int, _ peer: RaftPeer, _ disk: LabDisk) {
        nodes[number] = LabNode(peer, disk: disk, options: options, now: now, seed: UInt64(number))
    }

    var numbers: [Int] { nodes.keys.sorted() }

    subscript(_ number: Int) -> LabNode {
        get { nodes[number]! }
        set { nodes[number] = newValue }
    }

    /// The only leader of the highest term.
    var leader: Int? {
        numbers.filter { self[$0].group.role == .leader }.max { self[$0].group.term < self[$1].group.term }
    }

    mutating func receive(_ number: Int, _ event: RaftGroup.Event) {
        nodes[number]?.receive(event, now: now)
        collect(number)
    }

    @discardableResult
    mutating func propose(_ number: Int, _ texts: String...) -> [UInt64]? {
        let indices = nodes[number]?.propose(texts, now: now)
        collect(number)
        return indices ?? nil
    }

    @discardableResult
    mutating func change(
        _ number: Int, _ change: RaftGroup.MembershipChange
    ) -> Result<UInt64, RaftGroup.MembershipRefusal> {
        let result = self[number].change(change, now: now)
        collect(number)
        return result
    }

    mutating func sync(_ number: Int) {
        nodes[number]?.syncAll(now: now)
        collect(number)
    }

    mutating func collect(_ number: Int) {
        for (to, message) in self[number].outgoing { queue.append((self[number].peer, to, message)) }
        nodes[number]?.outgoing = []
    }

    func number(of peer: RaftPeer) -> Int? { numbers.first { self[$0].peer == peer } }

    /// Delivers what is on its way now, all of it or one pair's.
    mutating func deliver(from: Int? = nil, to: Int? = nil) {
        let sent = queue
        queue = []
        for item in sent {
            let source = number(of: item.from)
            let target = number(of: item.to)
            guard from == nil || from == source, to == nil || to == target else {
                queue.append(item)
                continue
            }
            guard let target else { continue }
            if let source, cuts.contains(where: { $0 == (source, target) || $0 == (target, source) }) { continue }
            deliveries += 1
            receive(target, .received(item.message, from: item.from))
        }
    }

    mutating func drop(from: Int? = nil, to: Int? = nil) {
        queue = queue.filter {
            !((from == nil || number(of: $0.from) == from) && (to == nil || number(of: $0.to) == to))
        }
    }

    /// Syncs, loads and delivers until nothing is left to do at this moment.
    mutating func settle() {
        for _ in 0..<10_000 {
            var isQuiet = queue.isEmpty
            for number in numbers {
                if !self[number].disk.unsynced.isEmpty || !self[number].loads.isEmpty { isQuiet = false }
                nodes[number]?.syncAll(now: now)
                nodes[number]?.answerLoads(now: now)
                collect(number)
            }
            if isQuiet { return }
            deliver()
        }
    }

    /// Lets time pass, with disks and network that answer at once.
    mutating func run(milliseconds: UInt64) {
        settle()
        let end = now + milliseconds * Self.millisecond
        while true {
            let due = numbers.compactMap { number in self[number].group.nextDeadline.map { (max($0, now), number) } }
            guard let (time, number) = due.min(by: { $0 < $1 }), time <= end else { break }
            now = time
            receive(number, .tick)
            settle()
        }
        now = end
    }

    /// Time jumps to the node's deadline; the others do not notice.
    mutating func tick(_ number: Int) {
        guard let deadline = self[number].group.nextDeadline else { return }
        now = max(now, deadline)
        receive(number, .tick)
    }

    /// Makes a node leader, whatever the others' timers say.
    mutating func elect(_ number: Int) {
        tick(number)
        settle()
    }

    /// Cuts a node off from all others.
    mutating func isolate(_ number: Int) {
        for other in numbers where other != number { cuts.append((number, other)) }
    }

    mutating func heal() { cuts = [] }

    /// Loses all that was not synced, and starts again.
    mutating func crash(_ number: Int) {
        let node = self[number]
        var disk = node.disk
        disk.unsynced = []
        disk.appliedIndex = 0
        start(number, node.peer, disk)
    }

    func texts(_ number: Int) -> [String] {
        self[number].applied.filter { $0.kind == .command }.map { String(buffer: $0.payload) }
    }

    func checkInvariants() -> [String] { numbers.flatMap { self[$0].checkInvariants() } }
}
