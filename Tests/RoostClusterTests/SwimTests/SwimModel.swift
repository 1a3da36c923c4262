import RoostCluster
import RoostModel
import RoostProtocol

/// n nodes and a network in virtual time: delays of 0.2 to 2 ms, loss, broken paths, killed and restarted nodes. One
/// seed, one run.
struct SwimModel {
    struct Node {
        var swim: Swim
        var isUp = true
    }
    struct Change {
        var at: UInt64
        var seenBy: Int
        var old: MemberState?
        var new: MemberState
    }
    private struct Flight {
        var at: UInt64
        var order: UInt64
        var from: Int
        var to: Int
        var message: SwimMessage
    }

    private(set) var nodes: [Node] = []
    private(set) var now: UInt64 = 1_000_000_000
    private(set) var changes: [Change] = []
    private(set) var conflicts: [(node: Int, epoch: Epoch)] = []
    private(set) var refutations = 0
    private(set) var messages = 0
    private(set) var largestMessage = 0
    /// Out of 1,000 messages, how many are lost.
    var lossPerMille = 0
    /// Which of two groups a node is in; messages between groups are lost.
    var group: [Int]
    /// Until when a node's process does not run; what is sent to it waits.
    private var asleepUntil: [UInt64]
    private var deadlines: [UInt64]
    private var flights = Heap()
    private var generator: SeededGenerator
    private var order: UInt64 = 0
    let seed: UInt64
    let timing: SwimTiming

    init(count: Int, seed: UInt64, timing: SwimTiming = SwimTiming()) {
        self.seed = seed
        self.timing = timing
        generator = SeededGenerator(seed: seed)
        group = Array(repeating: 0, count: count)
        asleepUntil = Array(repeating: 0, count: count)
        deadlines = Array(repeating: 0, count: count)
        for index in 0..<count {
            nodes.append(Node(swim: makeSwim(index, count: count, epoch: 100)))
            deadlines[index] = nodes[index].swim.nextDeadline ?? .max
        }
        for index in 0..<count { linkAll(index) }
    }

    static func id(_ index: Int) -> NodeID { NodeID("node-\(index + 1)") }
    private func index(of node: NodeID) -> Int? {
        Int(node.name.dropFirst(5)).map { $0 - 1 }.flatMap { nodes.indices.contains($0) ? $0 : nil }
    }

    private func makeSwim(_ index: Int, count: Int, epoch: Epoch) -> Swim {
        Swim(
            me: Self.id(index), epoch: epoch, address: "host:\(index)",
            seeds: (0..<count).map { (Self.id($0), "host:\($0)") }, timing: timing, now: now,
            seed: StableHash.mix(seed ^ UInt64(index) << 32 ^ epoch))
    }

    /// Handshakes between a node and all it can reach.
    mutating func linkAll(_ index: Int) {
        for other in nodes.indices where other != index && nodes[other].isUp && group[other] == group[index] {
            link(index, sees: other)
            link(other, sees: index)
        }
    }
    private mutating func link(_ index: Int, sees other: Int) {
        let state = nodes[other].swim.own
        feed(.linkUp(state.node, epoch: state.epoch, address: state.address), to: index)
    }

    mutating func feed(_ event: Swim.Event, to index: Int) {
        guard nodes[index].isUp else { return }
        var actions: [Swim.Action] = []
        nodes[index].swim.receive(event, now: now, into: &actions)
        deadlines[index] = nodes[index].swim.nextDeadline ?? .max
        for action in actions {
            switch action {
            case .send(let message, let to):
                guard let to = self.index(of: to) else { continue }
                messages += 1
                largestMessage = max(largestMessage, message.rumours.count)
                guard group[to] == group[index], Int.random(in: 0..<1_000, using: &generator) >= lossPerMille else {
                    continue
                }
                order += 1
                let delay = UInt64.random(in: 200_000...2_000_000, using: &generator)
                flights.push(Flight(at: now + delay, order: order, from: index, to: to, message: message))
            case .statusChanged(let old, let new):
                changes.append(Change(at: now, seenBy: index, old: old, new: new))
            case .refuted: refutations += 1
            case .conflictingSelf(let epoch): conflicts.append((index, epoch))
            case .digests: break
            }
        }
    }

    /// Stops a node at once; `linksBreak`: the others notice that their connections end (a process was killed), else
    /// they do not (its machine froze).
    mutating func kill(_ index: Int, linksBreak: Bool = true) {
        nodes[index].isUp = false
        guard linksBreak else { return }
        for other in nodes.indices where other != index { feed(.linkDown(Self.id(index)), to: other) }
    }

    mutating func sleep(_ index: Int, for duration: UInt64) { asleepUntil[index] = now + duration }

    mutating func restart(_ index: Int, epoch: Epoch) {
        nodes[index] = Node(swim: makeSwim(index, count: nodes.count, epoch: epoch))
        asleepUntil[index] = 0
        linkAll(index)
    }

    /// Runs until `until` or the condition holds; returns whether it did.
    @discardableResult
    mutating func run(for duration: UInt64, until condition: ((SwimModel) -> Bool)? = nil) -> Bool {
        let end = now + duration
        while true {
            if let condition, condition(self) { return true }
            var next = end
            var due: Int?
            for index in nodes.indices where nodes[index].isUp {
                let deadline = max(deadlines[index], asleepUntil[index])
                if deadline < next {
                    next = deadline
                    due = index
                }
            }
            if let flight = flights.first, flight.at <= next {
                flights.pop()
                now = max(now, flight.at)
                if now < asleepUntil[flight.to] {
                    var late = flight
                    late.at = asleepUntil[flight.to]
                    flights.push(late)
                    continue
                }
                feed(.received(flight.message, from: Self.id(flight.from)), to: flight.to)
            } else if let due {
                now = max(now, next)
                feed(.tick, to: due)
            } else {
                now = end
                return condition?(self) ?? false
            }
        }
    }

    func status(of other: Int, at index: Int) -> MemberStatus? { nodes[index].swim.state(of: Self.id(other))?.status }

    /// Whether all nodes that are up, `except` left out, hold `other` for `status`.
    func all(hold other: Int, for status: MemberStatus) -> Bool {
        nodes.indices.allSatisfy { $0 == other || !nodes[$0].isUp || self.status(of: other, at: $0) == status }
    }
    var allAlive: Bool { nodes.indices.allSatisfy { all(hold: $0, for: .alive) } }

    func checkInvariants() -> [String] { nodes.flatMap { $0.swim.checkInvariants() } }

    /// A binary heap of messages under way, by time, then by order of sending.
    private struct Heap {
        private var items: [Flight] = []
        var first: Flight? { items.first }
        private func before(_ a: Int, _ b: Int) -> Bool {
            items[a].at != items[b].at ? items[a].at < items[b].at : items[a].order < items[b].order
        }
        mutating func push(_ flight: Flight) {
            items.append(flight)
            var child = items.count - 1
            while child > 0, before(child, (child - 1) / 2) {
                items.swapAt(child, (child - 1) / 2)
                child = (child - 1) / 2
            }
        }
        mutating func pop() {
            guard let last = items.popLast(), !items.isEmpty else { return }
            items[0] = last
            var parent = 0
            while true {
                var least = parent
                for child in [2 * parent + 1, 2 * parent + 2] where child < items.count && before(child, least) {
                    least = child
                }
                guard least != parent else { return }
                items.swapAt(parent, least)
                parent = least
            }
        }
    }
}

let milliseconds: UInt64 = 1_000_000
let seconds: UInt64 = 1_000_000_000
