internal import DequeModule
internal import RoostProtocol

/// What a leader knows of one other member (Ongaro 2014, sections 3.5 and 10.2.1). Followers keep it for reachability.
struct RaftProgress: Sendable {
    enum Mode: Sendable, Equatable {
        /// Where the logs part is not known: one append at a time. `awaiting`: it is on its way.
        case probing(awaiting: Bool)
        /// The logs match so far: appends follow each other without waiting.
        case replicating
    }

    let peer: RaftPeer
    var isVoter: Bool
    var isReachable = true
    /// Synced there through this, in this term.
    private(set) var match: UInt64 = 0
    /// The first entry that the next append carries.
    private(set) var next: UInt64 = 1
    private(set) var mode = Mode.probing(awaiting: false)
    private(set) var inflight = Inflight()
    /// The load whose entries it waits for.
    var load: UInt64?
    /// When a message of this term last came from it.
    var heardAt: UInt64 = 0
    /// When it last confirmed, or when an append left while none was on its way, or when it was last asked again.
    var movedAt: UInt64 = 0
    /// The newest round of heartbeats that it has answered.
    var round: UInt64 = 0
    /// A round, and what was confirmed before it was sent: an answer to it or a later one must have at least that.
    var check: (round: UInt64, match: UInt64)?

    init(peer: RaftPeer, isVoter: Bool) {
        self.peer = peer
        self.isVoter = isVoter
    }

    /// A new leader's first guess is that all have all it has.
    mutating func reset(lastIndex: UInt64, now: UInt64) {
        match = 0
        next = lastIndex + 1
        mode = .probing(awaiting: false)
        inflight.removeAll()
        load = nil
        heardAt = now
        movedAt = now
        round = 0
        check = nil
    }

    func canSend(_ options: RaftOptions) -> Bool {
        guard isReachable, load == nil else { return false }
        switch mode {
        case .probing(let awaiting): return !awaiting
        case .replicating:
            return inflight.count < options.maxInflightAppends && inflight.bytes < options.maxInflightBytes
        }
    }

    mutating func sent(through last: UInt64, bytes: Int, now: UInt64) {
        switch mode {
        case .probing:
            mode = .probing(awaiting: true)
            movedAt = now
        case .replicating:
            if inflight.count == 0 { movedAt = now }
            inflight.add(last: last, bytes: bytes)
            next = last + 1
        }
    }

    /// Returns false if this was known.
    mutating func confirmed(through index: UInt64, now: UInt64) -> Bool {
        inflight.free(through: index)
        movedAt = now
        let isNews = index > match
        match = max(match, index)
        if mode != .replicating {
            mode = .replicating
            next = match + 1
            return true
        }
        next = max(next, match + 1)
        return isNews
    }

    /// The logs part at or before `next - 1`; try after `candidate`. Returns false if that is old news.
    mutating func rejected(tryAfter candidate: UInt64) -> Bool {
        let attempt = max(candidate, match) + 1
        guard attempt < next else { return false }
        next = attempt
        mode = .probing(awaiting: false)
        inflight.removeAll()
        load = nil
        return true
    }

    /// What was on its way may be lost.
    mutating func probe() {
        if mode == .replicating { next = match + 1 }
        mode = .probing(awaiting: false)
        inflight.removeAll()
        load = nil
    }

    /// Appends on their way, oldest first.
    struct Inflight: Sendable {
        private var appends: Deque<(last: UInt64, bytes: Int)> = []
        private(set) var bytes = 0
        var count: Int { appends.count }

        mutating func add(last: UInt64, bytes size: Int) {
            appends.append((last, size))
            bytes += size
        }

        mutating func free(through index: UInt64) {
            while let first = appends.first, first.last <= index {
                bytes -= first.bytes
                appends.removeFirst()
            }
        }

        mutating func removeAll() {
            appends.removeAll(keepingCapacity: true)
            bytes = 0
        }
    }
}
