internal import RoostModel

/// A suspicion that runs here. Independent accusers shorten it (Dadgar, Phillips, Currey: "Lifeguard", 2017, §IV.B):
/// timeout = max - (max - min) · log(c + 1) / log(k + 1), where c accusers confirmed the first. So does the word that
/// the suspect is dead, but nothing makes it shorter than the lowest: whoever is accused has that time to deny it, at
/// every node.
struct Suspicion: Sendable, Equatable {
    private(set) var start: UInt64
    let lowest: UInt64
    let highest: UInt64
    /// Confirmations that matter: min(K, n - 2), since neither the suspect nor the first accuser confirms.
    let needed: Int
    /// The first accuser, then those who confirmed; at most `needed` + 1.
    private(set) var accusers: [NodeID] = []
    /// Somebody holds the suspect for dead.
    private(set) var isCondemned = false
    /// When this node, being an accuser, tells the suspect again; nil where it only heard of the suspicion.
    var retryAt: UInt64?
    /// When the suspect is declared dead, monotonic nanoseconds.
    private(set) var deadline: UInt64

    init(start: UInt64, members: Int, timing: SwimTiming) {
        self.start = start
        lowest = timing.lowestSuspicion(members: members)
        highest = lowest * max(1, timing.suspicionCeiling)
        needed = max(0, min(timing.maxConfirmations, members - 2))
        deadline = start
        schedule()
    }

    var confirmations: Int { max(0, accusers.count - 1) }

    /// When it wants something done.
    var due: UInt64 { min(deadline, retryAt ?? .max) }

    private mutating func schedule() {
        guard needed > 0, !isCondemned else {
            deadline = start + lowest
            return
        }
        let gained =
            (highest - lowest) * FixedLog.milliLog2(confirmations + 1) / max(1, FixedLog.milliLog2(needed + 1))
        deadline = start + max(lowest, highest - gained)
    }

    /// Counts an accuser. Returns whether that was a confirmation that still mattered.
    mutating func accuse(_ accuser: NodeID) -> Bool {
        guard accusers.count <= needed, !accusers.contains(accuser) else { return false }
        accusers.append(accuser)
        schedule()
        return true
    }

    /// No verdict before.
    mutating func putOff(until time: UInt64) { deadline = max(deadline, time) }

    mutating func condemn() {
        isCondemned = true
        schedule()
    }

    /// Gives the suspect the time that this node itself lost.
    mutating func postpone(by lag: UInt64) {
        start += lag
        schedule()
        if let due = retryAt { retryAt = due + lag }
    }
}

/// Lifeguard's local health: a node that seems to be slow itself trusts its own verdicts less.
struct LocalHealth: Sendable, Equatable {
    let limit: Int
    private(set) var score = 0

    init(limit: Int) { self.limit = max(0, limit) }

    /// A missed nack, a failed probe, a refutation of our own death, a late tick, a lag of the event loop.
    mutating func penalise(_ points: Int) { score = min(limit, max(0, score + min(points, limit))) }
    mutating func reward() { score = max(0, score - 1) }
    func stretch(_ duration: UInt64) -> UInt64 { duration * UInt64(1 + score) }
}
