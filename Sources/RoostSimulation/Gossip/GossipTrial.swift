import RoostCluster
import RoostModel
import RoostProtocol

/// Everything that happens to members, in an order drawn from the seed, and after each of it: whether all came to know
/// what is so, and whether nobody believed what never was.
struct GossipTrial {
    private(set) var cluster: GossipCluster
    private(set) var broken: [String] = []
    private(set) var counts: [String: Int] = [:]
    private var count: Int { cluster.options.nodes }
    /// Of a round: who may be held for dead by whom, since they can't reach each other.
    private var excused: Set<Int> = []
    private var seen = 0

    /// All of it heals within this, nanoseconds: with loss, a redial and a verdict of a node that sees nobody.
    private static let healing: UInt64 = 20_000_000_000
    /// Until all have the whole presence.
    private static let knowing: UInt64 = 10_000_000_000
    /// Until all know of a death; one whose suspicion nobody confirms would take 4.8 s at least.
    private static let mourning: UInt64 = 4_500_000_000
    /// After the end of a trouble, verdicts that were under way may still fall.
    private static let grace: UInt64 = 2_000_000_000

    init(_ options: GossipOptions) {
        var options = options
        // So that little is more than a delta or a chunk can hold.
        options.limits.changesPerMessage = 4
        options.limits.keptChanges = 16
        cluster = GossipCluster(options)
        cluster.settle()
    }

    mutating func run(rounds: Int) {
        for round in 0..<rounds where broken.count < 8 {
            let name = play()
            counts[name, default: 0] += 1
            settle("round \(round), \(name)")
        }
    }

    // MARK: Rounds

    private mutating func play() -> String {
        excused = []
        if count < 3 { return restart(frozen: draw(2) == 0) }
        switch draw(8) {
        case 0, 1, 2: return cut()
        case 3: return restart(frozen: true)
        case 4: return restart(frozen: false)
        case 5: return leave()
        case 6: return stall()
        default:
            cluster.raiseEpoch(cluster.pick())
            churn(for: seconds(1, 3))
            return "epoch raised"
        }
    }

    private mutating func cut() -> String {
        let shapes = GossipCut.allCases.filter { count >= $0.leastNodes }
        let shape = shapes[draw(shapes.count)]
        cluster.tearsLinks = draw(2) == 0
        cluster.make(shape)
        for pair in cluster.isCut.indices where cluster.isCut[pair] {
            excused.insert(pair)
            excused.insert(cluster.pair(pair % count, pair / count))
        }
        let deaf = cluster.nodes.indices.filter { index in
            count > 3 && cluster.nodes.indices.allSatisfy { $0 == index || cluster.isCut[cluster.pair($0, index)] }
        }
        churn(for: seconds(2, 25))
        // Who hears nobody judges nobody.
        for index in deaf {
            for other in cluster.nodes.indices where cluster.status(of: other, at: index) == .dead {
                broken.append("n\(index) hears nobody, and holds n\(other) for dead (\(shape))")
            }
        }
        judge()
        cluster.heal()
        cluster.tearsLinks = true
        return "cut"
    }

    private mutating func restart(frozen: Bool) -> String {
        let node = cluster.pick()
        end(node, frozen: frozen)
        let start = cluster.now
        // With more loss probes and rumours take their time.
        let bound = cluster.options.lossPerMillion <= 10_000 ? Self.mourning : 2 * Self.knowing
        while !others(node).allSatisfy({ cluster.status(of: node, at: $0) == .dead }), cluster.now < start + bound {
            churn(for: 100_000_000, except: node)
        }
        for index in others(node) {
            let id = GossipNode.id(node)
            if cluster.status(of: node, at: index) != .dead {
                broken.append("n\(node) is down for \((cluster.now - start) / 1_000_000) ms, and not so to n\(index)")
            } else if cluster.nodes[index].presence.deviceCount(on: id) > 0 {
                broken.append("n\(index) shows devices at n\(node), which is dead")
            }
        }
        churn(for: seconds(0, 10), except: node)
        begin(node)
        return frozen ? "stopped" : "killed"
    }

    private mutating func leave() -> String {
        let node = cluster.pick()
        cluster.feed(.leave, to: node)
        churn(for: 300_000_000, except: node)
        end(node, frozen: false)
        churn(for: seconds(3, 12), except: node)
        for index in others(node) where cluster.status(of: node, at: index) != .left {
            let status = cluster.status(of: node, at: index).map { "\($0)" } ?? "unknown"
            broken.append("n\(node) said goodbye, and is \(status) to n\(index)")
        }
        begin(node)
        return "left"
    }

    /// A process stands still, and goes on.
    private mutating func stall() -> String {
        let node = cluster.pick()
        cluster.watch.unhealthy.insert(node)
        cluster.stallOnce(node, for: seconds(1, 15))
        while cluster.nodes[node].stall != nil { churn(for: 100_000_000, except: node) }
        return "stood still"
    }

    private mutating func end(_ node: Int, frozen: Bool) {
        cluster.watch.setDown(node, true)
        cluster.kill(node, frozen: frozen)
    }

    private mutating func begin(_ node: Int) {
        cluster.watch.setDown(node, false)
        cluster.restart(node)
    }

    private func others(_ node: Int) -> [Int] { cluster.nodes.indices.filter { $0 != node } }

    // MARK: After each

    private mutating func settle(_ round: String) {
        churn(for: Self.grace)
        judge()
        excused = []
        if !cluster.runUntilAgreed(for: Self.healing) {
            broken.append("\(round): \(disagreement) after \((Self.healing + Self.grace) / 1_000_000_000) s")
            cluster.runUntilAgreed(for: Self.healing)
        }
        judge()
        cluster.watch.unhealthy = []
        let end = cluster.now + Self.knowing
        while !cluster.hasSamePresence, cluster.now < end { _ = cluster.run(for: 100_000_000) }
        if !cluster.hasSamePresence { broken.append("\(round): \(cluster.difference)") }
        broken += cluster.checkInvariants().map { "\(round): \($0)" }
        cluster.failures = []
    }

    private var disagreement: String {
        for index in cluster.nodes.indices {
            for other in others(index) where cluster.status(of: other, at: index) != .alive {
                let status = cluster.status(of: other, at: index).map { "\($0)" } ?? "unknown"
                return "n\(other) is \(status) to n\(index)"
            }
        }
        return "a former life is alive"
    }

    /// Nobody may have held a node for dead that it reaches. With more loss than 3 % that may happen.
    private mutating func judge() {
        defer { seen = cluster.watch.falseDeaths.count }
        guard cluster.options.lossPerMillion <= 30_000 else { return }
        for death in cluster.watch.falseDeaths[seen...]
        where !excused.contains(cluster.pair(death.observer, death.victim)) {
            broken.append("n\(death.observer) holds n\(death.victim) for dead, which it reaches")
        }
    }

    // MARK: Meanwhile

    /// Devices come and go for a time.
    private mutating func churn(for duration: UInt64, except skipped: Int? = nil) {
        let end = cluster.now + duration
        while cluster.now < end {
            let node = cluster.pick()
            if node != skipped, cluster.isUp(node) { cluster.flip(node, device: draw(24)) }
            _ = cluster.run(until: min(end, cluster.now + 20_000_000))
        }
    }

    private mutating func draw(_ count: Int) -> Int { Int(cluster.random(0...UInt64(count - 1))) }

    private mutating func seconds(_ low: UInt64, _ high: UInt64) -> UInt64 {
        cluster.random(low * 1_000_000_000...high * 1_000_000_000)
    }
}

extension GossipCluster {
    /// A device appears, or disappears if it is there.
    mutating func flip(_ node: Int, device number: Int) {
        let user = UserID(UUID128(high: UInt64(node), low: UInt64(number)))
        let device = DeviceID(validated: "phone")
        let there = nodes[node].presence.sessions(of: user).first { $0.node == GossipNode.id(node) }
        flips += 1
        let count = flips
        change(node) { table, now in
            let at = Int64(now / 1_000)
            if let there {
                table.withdraw(user: user, device: device, session: there.entry.session, at: at, now: now)
            } else {
                let entry = PresenceEntry(
                    user: user, device: device, session: SessionID(count),
                    generation: Generation(term: 1, count: count),
                    since: at)
                table.announce(entry, now: now)
            }
        }
    }

    /// Whether all have the same of each part as its owner, entry by entry.
    var hasSamePresence: Bool { isComplete && firstDifference == nil }

    var difference: String {
        guard let (index, owner) = firstDifference else { return "somebody's presence is behind" }
        let (id, truth) = (GossipNode.id(owner), nodes[owner].presence)
        let held = nodes[index].presence
        return
            "n\(index) knows \(held.deviceCount(on: id)) devices at n\(owner), version \(held.version(of: id)); there are "
            + "\(truth.deviceCount(on: id)), version \(truth.ownVersion)"
    }

    private var firstDifference: (Int, Int)? {
        for owner in nodes.indices where nodes[owner].isUp {
            let id = GossipNode.id(owner)
            let truth = nodes[owner].presence.devices(on: id)
            for index in nodes.indices where index != owner && nodes[index].isUp {
                if nodes[index].presence.devices(on: id) != truth { return (index, owner) }
            }
        }
        return nil
    }
}

extension GossipTrial {
    /// As a scenario: figures are what happened, failures what was broken.
    static func report(_ options: GossipOptions, rounds: Int) -> GossipReport {
        var trial = GossipTrial(options)
        let start = trial.cluster.now
        trial.run(rounds: rounds)
        var report = GossipReport(.gossip, options)
        for (name, number) in trial.counts.sorted(by: { $0.key < $1.key }) {
            report.add(name, "rounds: \(name)", Double(number), "")
        }
        report.failures = trial.broken
        report.virtualSeconds = Double(trial.cluster.now - start) / 1e9
        return report
    }
}

/// A rule of membership or presence that can be broken on purpose.
package struct GossipRule: Sendable {
    /// As the command line names it.
    package var name: String
    /// What the rule says.
    package var rule: String
    var fault: PlantedFaults

    private init(_ name: String, _ fault: PlantedFaults, _ rule: String) {
        self.name = name
        self.rule = rule
        self.fault = fault
    }

    package static let all: [GossipRule] = [
        GossipRule("denial-not-raised", .denialNotRaised, "who denies its death raises its incarnation"),
        GossipRule("incarnation-ignored", .incarnationIgnored, "a newer incarnation beats an older one"),
        GossipRule("deaths-not-spread", .deathsNotSpread, "suspicions and deaths are told to all"),
        GossipRule("left-forgotten", .leftForgotten, "who said goodbye is not dead"),
        GossipRule("death-on-trust", .deathOnTrust, "nobody takes a death on trust"),
        GossipRule("deaf-judges", .deafJudges, "who hears nobody judges nobody"),
        GossipRule("life-ignored", .lifeIgnored, "a new life beats whatever was said of a former one"),
        GossipRule("presence-gap-ignored", .presenceGapIgnored, "a delta is applied where it continues what is there"),
        GossipRule("snapshot-torn", .snapshotTorn, "a snapshot is swapped in when it is whole"),
        GossipRule("digests-ignored", .digestsIgnored, "who is behind asks the owner"),
        GossipRule("dead-shown", .deadShown, "devices at a dead node are not shown"),
        GossipRule("part-outlives-life", .partOutlivesLife, "a node's part ends with its life"),
    ]

    /// What is broken in a run with this seed, and `nodes` nodes of which one message in a hundred is lost.
    package static func run(_ rule: GossipRule?, seed: UInt64, nodes: Int, rounds: Int) -> [String] {
        var options = GossipOptions(nodes: nodes, seed: seed, lossPerCent: 1)
        if let rule {
            options.timing.planted = rule.fault
            options.limits.planted = rule.fault
        }
        return GossipTrial.report(options, rounds: rounds).failures
    }
}
