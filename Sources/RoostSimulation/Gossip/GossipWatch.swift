import RoostCluster
import RoostModel
import RoostProtocol

/// Who learnt what when.
struct GossipWatch {
    /// How nodes are held up.
    struct Stalls: Sendable {
        var lengths: [UInt64]
        /// The process stands still; else messages alone are held up.
        var stopsTimers: Bool
    }

    /// Somebody holds a node for dead that is up.
    struct FalseDeath: Sendable {
        var at: UInt64
        var observer: Int
        var victim: Int
        /// Nobody else held it for dead at the time.
        var isFirst: Bool
    }

    /// A change of presence that not everybody has yet.
    private struct Change {
        var version: UInt64
        var madeAt: UInt64
        var missing: Int
    }

    private let nodes: Int
    /// Nodes that are down: no false death.
    private var down: Set<Int> = []
    var stalls: Stalls?
    /// Nodes that are held up, and no healthy ones.
    var unhealthy: Set<Int> = []
    private(set) var falseDeaths: [FalseDeath] = []
    /// How many hold each node for dead.
    private var mourners: [Int]
    /// Pairs of which the one does not hold the other for alive.
    private(set) var disagreements: Int
    var refutations = 0

    /// Of the one member that is looked at: who holds it for what we wait for.
    private var subject: (node: Int, epoch: Epoch?, status: MemberStatus)?
    private var informed: Set<Int> = []
    /// When each node learnt of it.
    private(set) var learnt: [UInt64] = []

    // Presence.
    private var known: [UInt64]
    private var unflushed: [[UInt64]]
    private var open: [[Change]]
    /// From a change at its owner until everybody had it.
    var presenceTimes: [UInt64] = []

    init(nodes: Int) {
        self.nodes = nodes
        mourners = Array(repeating: 0, count: nodes)
        disagreements = nodes * (nodes - 1)
        known = Array(repeating: 0, count: nodes * nodes)
        unflushed = Array(repeating: [], count: nodes)
        open = Array(repeating: [], count: nodes)
    }

    // MARK: Membership

    /// From now on it is noted who holds a node for this.
    mutating func lookFor(_ node: Int, epoch: Epoch? = nil, status: MemberStatus) {
        subject = (node, epoch, status)
        informed = []
        learnt = []
    }

    mutating func setDown(_ node: Int, _ isDown: Bool) {
        if isDown { down.insert(node) } else { down.remove(node) }
    }

    mutating func statusChanged(old: MemberState?, new: MemberState, at observer: Int, now: UInt64) {
        let node = GossipNode.index(of: new.node)
        guard node != observer else { return }
        if (old?.status == .alive) != (new.status == .alive) { disagreements += new.status == .alive ? -1 : 1 }
        if new.status == .dead, old?.status != .dead {
            if !down.contains(node), !unhealthy.contains(node) {
                falseDeaths.append(
                    FalseDeath(at: now, observer: observer, victim: node, isFirst: mourners[node] == 0))
            }
            mourners[node] += 1
        } else if old?.status == .dead, new.status != .dead {
            mourners[node] -= 1
        }
        guard let subject, subject.node == node, subject.status == new.status,
            subject.epoch.map({ $0 == new.epoch }) ?? true, informed.insert(observer).inserted
        else { return }
        learnt.append(now)
    }

    // MARK: Presence

    /// A device came or went.
    mutating func changed(_ node: Int, now: UInt64) { unflushed[node].append(now) }

    mutating func flushed(_ node: Int, version: UInt64, now: UInt64) {
        // A flush that was split into several messages: each has some of them.
        let count = unflushed[node].count
        let first = version - UInt64(min(UInt64(count), version)) + 1
        for (offset, madeAt) in unflushed[node].enumerated() {
            open[node].append(
                Change(version: first + UInt64(offset), madeAt: madeAt, missing: nodes - 1 - down.count))
        }
        unflushed[node] = []
    }

    mutating func heard(_ version: UInt64, of owner: Int, at node: Int, now: UInt64) {
        let place = owner * nodes + node
        let before = known[place]
        guard version > before else { return }
        known[place] = version
        guard !open[owner].isEmpty else { return }
        for index in open[owner].indices where open[owner][index].version > before {
            guard open[owner][index].version <= version else { break }
            open[owner][index].missing -= 1
        }
        while let change = open[owner].first, change.missing <= 0 {
            presenceTimes.append(now - change.madeAt)
            open[owner].removeFirst()
        }
    }

    /// Changes that somebody still lacks.
    var openChanges: Int { open.reduce(0) { $0 + $1.count } }

    /// A new life knows nobody.
    mutating func forgot(held: Int) { disagreements += held }

    /// What a node knew, and what was known of it, counts anew.
    mutating func restarted(_ node: Int) {
        for other in 0..<nodes {
            known[node * nodes + other] = 0
            known[other * nodes + node] = 0
        }
        open[node] = []
        unflushed[node] = []
    }
}
