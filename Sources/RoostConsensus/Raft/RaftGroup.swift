package import NIOCore
package import RoostModel
package import RoostProtocol

/// One partition's Raft (Ongaro 2014), as a value: same state, same event, same `now` give the same actions.
///
/// It decides; a shell performs. The shell's obligations:
///
/// 1. Give `now` from one monotonic clock, in nanoseconds, never falling. After each call look at `nextDeadline`, and
///    send `tick` when it is reached; nil means no timer. It moves with nearly every call, so a timer that fires early
///    and is armed again costs less than one that is moved each time.
/// 2. Perform the actions of a call in order, before the next call for this group.
/// 3. Write each `persist` atomically and after all earlier ones, sync, and only then report `persisted`. Several may
///    share one sync; then the highest ticket reports them all. A write that fails for lack of room is kept and tried
///    again (`storageFull`, later `storageAvailable`); after any other failure the process ends.
/// 4. Send messages at once; what must wait for the disk has waited. They may be lost, doubled, delayed or reordered,
///    but not altered, and reach only the store they are for. Report broken links and dead nodes as `peerUnreachable`.
/// 5. Apply `committed` entries in order. What they change is written in a later batch together with the applied index,
///    so that the state tables are never ahead of the log. An entry whose term is not the one it was proposed in means
///    that proposal is lost.
/// 6. Answer each `load` once, from synced storage, with `entriesLoaded`.
/// 7. Answer a read as of `readReady`'s index or later: wait until it is applied.
/// 8. After a crash make a new group from what is synced (`RaftRestored`). A store that may have lost something synced
///    must not be used again under its store id; `peerRegressed` at a leader tells of one that did.
///
/// Deviations from the dissertation: a follower may be put to sleep (`heartbeat` with `hibernate`); a learner that is
/// asked for its vote answers, since only one who counts it as a voter asks (the entry that promotes it may not have
/// reached it); entries are handed out only once they are synced here, even if a majority without this peer has them.
package struct RaftGroup: Sendable {
    package let id: PartitionID
    package let me: RaftPeer
    package let options: RaftOptions

    package internal(set) var role = Role.follower
    package internal(set) var leader: RaftPeer?
    package internal(set) var commitIndex: UInt64
    /// Handed out as committed, through this.
    package internal(set) var appliedIndex: UInt64
    package var term: UInt64 { hardState.term }
    package var vote: RaftPeer? { hardState.vote }
    package var lastIndex: UInt64 { log.lastIndex }
    /// Synced here, through this.
    package var persistedIndex: UInt64 { log.persisted }
    /// In force: the last in the log, committed or not.
    package var configuration: RaftConfiguration { log.configuration }
    /// Index of the entry with the configuration in force; it is committed once `commitIndex` is there.
    package var configurationIndex: UInt64 { log.configurationIndex }

    var hardState: RaftHardState
    var log: RaftLog
    var outbox = RaftOutbox()
    var generator: SeededGenerator
    /// All other members, ascending.
    var peers: [RaftProgress] = []
    var isVoter = false
    var unreachable: [NodeID] = []
    /// Nodes that are not handed leadership.
    var draining: [NodeID] = []
    var isStorageFull = false
    /// See `setFitness`.
    var isUnfit = false
    package internal(set) var unfitNodes: [NodeID] = []
    var skippedElections = 0
    var handOverAt: UInt64 = 0
    var handOvers = 0

    // Elections
    /// When to campaign or, as a learner, to give up the leader.
    var electionDeadline: UInt64?
    /// Drawn anew for each attempt.
    var electionTimeout: UInt64 = 0
    var leaderHeardAt: UInt64 = 0
    /// The leader's node is reported unreachable since it was last heard.
    var isLeaderLost = false
    var grants: [RaftPeer] = []

    // As leader
    var heartbeatDeadline: UInt64?
    /// Rising with each round of heartbeats.
    var round: UInt64 = 0
    /// The last proposal, read or wake.
    var activeAt: UInt64 = 0
    /// First index of this term.
    var termStart: UInt64 = 0
    var uncommittedBytes = 0
    var transfer: Transfer?
    /// Whom the last transfer that failed was for: others come before it.
    var failedTarget: RaftPeer?
    var reads = RaftReads()

    var hibernation = Hibernation.awake
    var applyLoad: UInt64?
    var applyRetryAt: UInt64?
    var lastLoad: UInt64 = 0

    var announced: Announcement
    /// Something that must not happen: what came was not as Raft makes it, and was not followed.
    package internal(set) var fault: String?

    struct Transfer: Sendable {
        var target: RaftPeer
        var deadline: UInt64
        var isTold = false
    }

    struct Announcement: Sendable, Equatable {
        var role: Role
        var term: UInt64
        var leader: RaftPeer?
    }

    package init(
        id: PartitionID, me: RaftPeer, restored: RaftRestored, options: RaftOptions = RaftOptions(), now: UInt64,
        seed: UInt64
    ) {
        self.id = id
        self.me = me
        self.options = options
        hardState = restored.hardState
        log = RaftLog(restored)
        let applied = min(restored.appliedIndex, restored.lastIndex)
        commitIndex = applied
        appliedIndex = applied
        log.committed(through: applied)
        generator = SeededGenerator(seed: seed)
        announced = Announcement(role: .follower, term: restored.hardState.term, leader: nil)
        adoptConfiguration()
        drawElectionTimeout()
        if isVoter {
            // Alone there is nobody to wait for.
            electionDeadline = peers.contains { $0.isVoter } ? now + electionTimeout : now
        }
    }

    package mutating func receive(_ event: Event, now: UInt64, into actions: inout [Action]) {
        switch event {
        case .tick: tick(now, &actions)
        case .received(let message, let peer): step(message, from: peer, now, &actions)
        case .persisted(let ticket): persisted(ticket, now, &actions)
        case .readIndex(let id): read(id, now, &actions)
        case .entriesLoaded(let id, let entries): loaded(id, entries, now, &actions)
        case .transferLeadership(let target): startTransfer(to: target, now, &actions)
        case .peerUnreachable(let node): lost(node, now, &actions)
        case .peerReachable(let node): found(node, now, &actions)
        case .wake: wake(now, &actions)
        case .storageFull: storageFilled(now, &actions)
        case .storageAvailable: isStorageFull = false
        case .draining(let node): startDraining(node)
        case .drainingEnded(let node): draining.removeAll { $0 == node }
        case .fitness(let isFit): setFitness(isFit, now, &actions)
        case .peersUnfit(let nodes): setUnfit(nodes, now, &actions)
        case .stepDown: if role == .leader { becomeFollower(term: term, leader: nil, now, &actions) }
        }
        finish(now, &actions)
    }

    /// Appends commands. Nil where they cannot be taken: not the leader, handing leadership on, storage full, or too
    /// much is uncommitted already. Else their indices, ascending; their term is `term`.
    package mutating func propose(
        _ payloads: [ByteBuffer], now: UInt64, into actions: inout [Action]
    ) -> [UInt64]? {
        guard role == .leader, transfer == nil, !isStorageFull, uncommittedBytes < options.maxUncommittedBytes else {
            return nil
        }
        guard !payloads.isEmpty else { return [] }
        rouse(now)
        let first = log.lastIndex + 1
        var entries: [RaftEntry] = []
        entries.reserveCapacity(payloads.count)
        for payload in payloads {
            let index = first + UInt64(entries.count)
            entries.append(RaftEntry(index: index, term: term, kind: .command, payload: payload))
        }
        appendAsLeader(entries, now, &actions)
        finish(now, &actions)
        return Array(first...log.lastIndex)
    }

    /// When `tick` is due; nil if nothing is.
    package var nextDeadline: UInt64? {
        var earliest: UInt64?
        func include(_ deadline: UInt64?) {
            guard let deadline else { return }
            earliest = min(earliest ?? deadline, deadline)
        }
        include(electionDeadline)
        include(heartbeatDeadline)
        include(applyRetryAt)
        include(transfer?.deadline)
        return earliest
    }

    /// The last thing in every call.
    mutating func finish(_ now: UInt64, _ actions: inout [Action]) {
        deliver(&actions)
        log.evict(through: min(appliedIndex, log.persisted), limit: options.cacheBytes)
        outbox.flush(lastIndex: log.lastIndex, into: &actions)
        let current = Announcement(role: role, term: term, leader: leader)
        if current != announced {
            announced = current
            actions.append(.roleChanged(role: role, term: term, leader: leader))
        }
    }

    private mutating func tick(_ now: UInt64, _ actions: inout [Action]) {
        if let due = applyRetryAt, now >= due { applyRetryAt = nil }
        if let transfer, now >= transfer.deadline { giveUpTransfer() }
        if let due = heartbeatDeadline, now >= due { leaderTick(now, &actions) }
        if let due = electionDeadline, now >= due { electionTimedOut(now, &actions) }
    }

    private mutating func persisted(_ ticket: UInt64, _ now: UInt64, _ actions: inout [Action]) {
        guard let through = outbox.persisted(ticket: ticket) else { return }
        log.persisted(through: through)
        while let held = outbox.nextReleased() {
            switch held {
            case .message(let message, let peer): actions.append(.send(message, to: peer))
            case .selfVote(let term): if role == .candidate, term == self.term { count(grant: me, now, &actions) }
            }
        }
        if role == .leader { advanceCommit(now, &actions) }
    }

    /// Every message, after what only concerns elections.
    private mutating func step(_ message: RaftMessage, from peer: RaftPeer, _ now: UInt64, _ actions: inout [Action]) {
        guard peer != me, !isTombstone(peer) else { return }
        let position = self.position(of: peer)
        if let position { isSeen(position, now, &actions) }
        switch message {
        case .preVote(let term, let lastIndex, let lastTerm):
            answerPreVote(term: term, lastIndex: lastIndex, lastTerm: lastTerm, from: peer, now, &actions)
        case .preVoteReply(let term, let granted):
            guard position != nil else { return }
            preVoteAnswered(term: term, granted: granted, from: peer, now, &actions)
        case .vote(let term, let lastIndex, let lastTerm, let transfer):
            answerVote(
                term: term, lastIndex: lastIndex, lastTerm: lastTerm, transfer: transfer, from: peer, now, &actions)
        case .append, .heartbeat:
            guard message.term >= term else { return refuseOldLeader(message, peer, &actions) }
            guard follow(peer, term: message.term, now, &actions) else { return }
            switch message {
            case .append(_, let prevIndex, let prevTerm, let commit, let entries):
                append(entries, after: prevIndex, prevTerm, commit: commit, from: peer, now, &actions)
            case .heartbeat(_, let commit, let read, let hibernate):
                heartbeat(commit: commit, read: read, hibernate: hibernate, from: peer, now, &actions)
            default: break
            }
        case .timeoutNow(let term):
            guard role == .follower, term == self.term, peer == leader, isVoter, !isStorageFull, !isDraining else {
                return
            }
            campaign(transfer: true, now, &actions)
        case .voteReply(let term, _), .appendReply(let term, _, _, _), .heartbeatReply(let term, _, _):
            guard let position, term >= self.term else { return }
            guard term == self.term else { return becomeFollower(term: term, leader: nil, now, &actions) }
            peers[position].heardAt = now
            answered(message, from: position, now, &actions)
        }
    }

    private mutating func answered(
        _ message: RaftMessage, from position: Int, _ now: UInt64, _ actions: inout [Action]
    ) {
        switch (message, role) {
        case (.voteReply(_, true), .candidate): count(grant: peers[position].peer, now, &actions)
        case (.appendReply(_, let success, let index, let conflictTerm), .leader):
            if success {
                confirmed(position, through: index, now, &actions)
            } else {
                rejected(position, index: index, conflictTerm: conflictTerm, now, &actions)
            }
        case (.heartbeatReply(_, let read, let lastIndex), .leader):
            heartbeatAnswered(position, round: read, lastIndex: lastIndex, now, &actions)
        default: break
        }
    }

    func position(of peer: RaftPeer) -> Int? { peers.firstIndex { $0.peer == peer } }
}
