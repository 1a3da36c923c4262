package import RoostModel
package import RoostNode

/// What goes wrong in a run: drawn from its seed, so that some runs are gentle and others brutal.
package struct FaultPlan: Sendable {
    package enum Kind: String, Sendable, CaseIterable {
        /// kill -9 of a node, which comes back after a while.
        case crash
        /// kill -9 of all nodes at once.
        case crashAll = "crash-all"
        /// SIGTERM: the node drains, ends and comes back.
        case drain
        /// A node stands still (SIGSTOP), and goes on.
        case pause
        /// A connection is lost, and made anew.
        case lostConnection = "lost-connection"
        /// A link is cut, and both ends know.
        case cut
        /// A frame of deliveries is lost, and no link breaks: as a leader that skips one.
        case lostDelivery = "lost-delivery"
        /// Nothing arrives on a link, and nobody is told.
        case silence
        /// The same in one direction.
        case oneWay = "one-way"
        /// A node is cut off from all others.
        case isolation
        /// The cluster falls into two parts.
        case split
        case slowLink = "slow-link"
        case slowDisk = "slow-disk"
        /// A sync fails: the process ends, and comes back.
        case failedSync = "failed-sync"
        /// The wall clock jumps, up to an hour either way.
        case clockJump = "clock-jump"
        /// One wall clock is wrong by up to ten days for a while, and all others are right.
        case wrongClock = "wrong-clock"
        /// No space on the disk for a while.
        case fullDisk = "full-disk"
        /// A node's disk is replaced by a blank one.
        case wipe
        /// The disk that was replaced last is put back for a while: nobody should, and nothing may come of it.
        case oldDisk = "old-disk"
        /// A bit of a row of the log is turned over, or a row of a table that is derived from it.
        case flippedBit = "flipped-bit"
        /// A new node joins, with a disk of its own.
        case join
        /// A node gives its replicas away, and goes.
        case leave
        /// A node is gone with its disk, and is removed.
        case remove

        /// Mistakes of operators: off until a run asks for them.
        package static let mistakes: [Kind] = [.oldDisk]
        /// Those that everybody learns of at once.
        package static let loud: Set<Kind> = [
            .crash, .crashAll, .drain, .failedSync, .lostConnection, .lostDelivery, .cut,
        ]
        /// Those that change who belongs to the cluster: in the scenario of that name alone.
        package static let membership: [Kind] = [.join, .leave, .remove]
    }

    package struct Weighted: Sendable {
        package var kind: Kind
        package var weight: UInt64
    }

    package var kinds: [Weighted] = []
    /// Mean virtual milliseconds from one fault to the next.
    package var gap: UInt64 = 10_000
    /// How long a fault lasts, in milliseconds.
    package var lasts: ClosedRange<UInt64> = 500...10_000
    /// No more nodes are harmed at a time than leaves every partition a majority.
    package var sparesMajority = false
    /// Of all links, in nanoseconds.
    package var latency: ClosedRange<UInt64> = 50_000...1_000_000
    /// Of all disks, in nanoseconds.
    package var commit: ClosedRange<UInt64> = 100_000...1_500_000
    /// In a thousand.
    package var duplicates: UInt64 = 0
    /// What is removed after a while, and how fast damage is looked for.
    package var durability = ClusterConfig.Durability()
    /// A device not seen for so long is given up, in seconds; nil: it never is within a run.
    package var deviceExpiry: Int?
    /// Largest drift of a monotonic clock, in parts per million.
    package var drift = 0

    package init() {}

    package static func draw(
        _ scenario: Scenario, allowed: Set<Kind>, using generator: inout SeededGenerator
    ) -> FaultPlan {
        var plan = FaultPlan()
        func random(_ range: ClosedRange<UInt64>) -> UInt64 { .random(in: range, using: &generator) }
        // Even on a scale of doublings: 1.5 s to 48 s, or as the scenario has it.
        let doublings = scenario.doublings
        plan.gap = 1_500 << random(doublings)
        plan.gap += random(0...plan.gap)
        plan.sparesMajority = random(0...2) != 0 && scenario != .losses
        let longest: UInt64 = [3_000, 10_000, 30_000][Int(random(0...2))]
        // Where nothing else happens, long enough for everything to come to rest.
        plan.lasts = scenario == .idle ? 10_000...20_000 : 100...longest
        plan.latency = [50_000...300_000, 50_000...2_000_000, 1_000_000...40_000_000][Int(random(0...2))]
        plan.commit = [50_000...300_000, 100_000...3_000_000, 500_000...30_000_000][Int(random(0...2))]
        plan.duplicates = random(0...1) == 0 ? 0 : random(1...1_000)
        plan.drift = [0, 200, 20_000][Int(random(0...2))]
        let membership = Set(scenario == .membership ? Kind.membership : [])
        for kind in Kind.allCases
        where scenario.kinds.contains(kind) && (allowed.contains(kind) || membership.contains(kind)) {
            // Each kind is in two runs of three, rarely or often.
            let weight = random(0...2) == 0 ? 0 : kind.weight * (1 << random(0...3))
            if weight > 0 { plan.kinds.append(Weighted(kind: kind, weight: weight)) }
        }
        // What clocks that jump together do says nothing of a rule for one that is wrong.
        if scenario == .clocks, random(0...1) == 0 { plan.kinds.removeAll { $0.kind == .clockJump } }
        if plan.kinds.contains(where: { $0.kind == .clockJump }) { plan.kinds.removeAll { $0.kind == .wrongClock } }
        plan.drawRetention(using: &generator)
        return plan
    }

    /// Nothing goes wrong that some learn of late.
    package var isLoud: Bool { kinds.allSatisfy { Kind.loud.contains($0.kind) } }

    private mutating func drawRetention(using generator: inout SeededGenerator) {
        func has(_ kind: Kind) -> Bool { kinds.contains { $0.kind == kind } }
        func random(_ range: ClosedRange<Int>) -> Int { .random(in: range, using: &generator) }
        if has(.flippedBit) { durability.scrubMinRowsPerSecond = 500 << random(0...3) }
        guard random(0...1) == 0 else { return }
        durability.retentionSeconds = [2, 10, 40][random(0...2)]
        // By clocks that jump together, any time may have passed: then only what is right at any time is drawn.
        guard !has(.clockJump) else { return }
        // Longer than any send is under way, pauses and cuts included.
        if random(0...1) == 0 { durability.idRetentionSeconds = 240 }
        if random(0...3) == 0 { deviceExpiry = [15, 45][random(0...1)] }
    }

    package var summary: String {
        let list = kinds.map { "\($0.kind.rawValue)×\($0.weight)" }.joined(separator: " ")
        let retention =
            durability.retentionSeconds == 0
            ? ""
            : "; messages stay \(durability.retentionSeconds) s, ids \(durability.idRetentionSeconds) s, "
                + "devices \(deviceExpiry.map { "\($0) s" } ?? "for good")"
        return "a fault in \(gap) ms, of up to \(lasts.upperBound) ms, "
            + "\(sparesMajority ? "sparing a majority" : "sparing nobody"): \(list)\(retention)"
    }
}

extension FaultPlan.Kind {
    fileprivate var weight: UInt64 {
        switch self {
        case .crashAll, .split, .drain: 1
        case .oldDisk: 8
        case .fullDisk, .wipe, .flippedBit, .failedSync: 2
        case .crash, .pause, .lostConnection, .join, .leave, .remove: 4
        default: 3
        }
    }
}

/// Which kinds of trouble a run may have.
package enum Scenario: String, Sendable, CaseIterable {
    /// Everything, as the seed has it.
    case mixed
    /// No faults at all: only clients that come and go.
    case quiet
    /// Rare faults.
    case gentle
    /// Often and together.
    case brutal
    case crashes
    case partitions
    case pauses
    case clocks
    case disks
    /// Nothing but connections and deliveries that get lost.
    case connections
    /// Leaders that hand over, all the time.
    case handovers
    /// Disks that are lost, and processes that end at the same time.
    case losses
    /// Users who do next to nothing, so that groups fall asleep.
    case idle
    /// Accounts are disabled and enabled all the time, while answers get lost.
    case calls
    /// Nodes join, leave and are removed, and are killed in the middle of it.
    case membership

    package var kinds: Set<FaultPlan.Kind> {
        switch self {
        case .mixed, .gentle, .brutal: Set(FaultPlan.Kind.allCases)
        case .quiet: []
        case .calls: [.lostConnection, .oneWay, .silence]
        case .crashes: [.crash, .crashAll, .drain, .failedSync, .wipe, .oldDisk]
        case .partitions: [.lostConnection, .lostDelivery, .cut, .silence, .oneWay, .isolation, .split, .slowLink]
        case .pauses: [.pause, .slowLink, .slowDisk]
        case .clocks: [.clockJump, .wrongClock, .crash, .pause]
        case .connections: [.lostConnection, .lostDelivery]
        case .handovers: [.drain, .lostConnection]
        case .losses: [.wipe, .oldDisk, .crash, .crashAll]
        case .idle: [.crash, .lostConnection]
        case .disks: [.slowDisk, .failedSync, .fullDisk, .wipe, .flippedBit, .crash]
        case .membership: [.join, .leave, .remove, .crash, .lostConnection, .cut, .isolation, .drain, .slowDisk]
        }
    }

    /// Users change and read what can be changed, more than they write to each other.
    var prefersCalls: Bool { self == .calls }
    /// Members come and go more often, and whoever was just taken into a group says something in it, maybe at a node that
    /// has not heard of anything for a while.
    var newcomersSpeak: Bool { self == .pauses || self == .partitions }

    /// How much longer than otherwise users wait between two deeds.
    var patience: Int { self == .idle ? 60 : 1 }

    /// The mean gap between faults is 1.5 s doubled so often.
    var doublings: ClosedRange<UInt64> {
        switch self {
        case .gentle: 3...5
        case .brutal, .losses, .calls: 0...1
        case .pauses: 0...2
        case .idle: 2...3
        default: 0...4
        }
    }
}
