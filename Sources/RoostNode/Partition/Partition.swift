import DequeModule
import Logging
import NIOCore
import OrderedCollections
import RoostCluster
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage

/// One replica here: a Raft group, the state machine above it and, where it leads, the streams to the nodes.
///
/// Synchronous around its machines: an event goes in, what they ask for is performed; what takes time (storage) comes
/// back as an event. What it says to others is gathered by the node and goes out at the end of the turn.
actor Partition {
    nonisolated let context: NodeContext
    nonisolated let id: PartitionID
    nonisolated let me: RaftPeer
    nonisolated var unownedExecutor: UnownedSerialExecutor { context.executor.asUnownedSerialExecutor() }
    /// Its owner; the node ends the cycle when it stops.
    nonisolated let node: Node

    var raft: RaftGroup
    var state: PartitionState
    var hlc: HybridLogicalClock
    private var actions: [RaftGroup.Action] = []
    private var timer: (any ScheduledTimer)?
    private var timerDeadline: UInt64?

    // Proposals.
    typealias Proposing = (payload: ByteBuffer, origin: ProposalOrigin)
    var proposing: [Proposing] = []
    var waiting: Deque<(index: UInt64, term: UInt64, origin: ProposalOrigin)> = []
    var inFlight: Set<ProposalOrigin> = []
    var refusals = RecentRefusals()

    // Reads that wait for a proof of leadership, then for the state to be as new.
    var reads: [UInt64: PendingRead] = [:]
    var nextRead: UInt64 = 1
    /// Reads that are being served.
    var underway: Set<ReadOrigin> = []
    var provenReads: Deque<(index: UInt64, id: UInt64)> = []
    var generations: UInt64 = 0

    /// Spares most lookups of message ids.
    var filter: MessageFilter
    var fills: UInt64 = 0

    // State rows on their way to the tables.
    var output = ApplyOutput()
    var unwritten: [StateChange] = []
    var writtenIndex: UInt64
    var submittedIndex: UInt64
    /// What was submitted with time up to this index.
    var waitingIndex: UInt64 = 0
    /// The last entry that was given to the log with time.
    var waitingEntry: UInt64 = 0
    var writeWaiters: [WriteWaiter] = []
    /// Nothing goes out of it any more.
    private(set) var isRetired = false
    /// Its state is void, and it is about to be retired.
    var isAbandoned = false

    // Streams; empty unless this leads.
    var subscriptions = SubscriptionTable()
    var openings: Deque<Opening> = []
    var retentionPlace = 0
    var retentionSweeps: UInt64 = 0
    var retentionSweep: RetentionSweep?
    var cursors: OrderedDictionary<CursorKey, UInt64> = [:]
    var cursorCommitScheduled = false
    /// Entries with cursors whose outcome is not known yet: no more until then.
    var cursorEntries = 0

    struct ProposalOrigin: Hashable, Sendable {
        var node: NodeID
        var id: UInt64
    }

    struct CursorKey: Hashable, Sendable {
        var user: UserID
        var device: DeviceID
        var conversation: ConversationID
    }

    struct WriteWaiter: Sendable {
        var index: UInt64
        var body: @Sendable (isolated Partition) -> Void
        /// Where that never comes, or not before there is space on the disk; nil for what waits however long.
        var failed: (@Sendable (isolated Partition) -> Void)?
    }

    init(
        id: PartitionID, me: RaftPeer, founding: RaftConfiguration, restored: RestoredPartition, node: Node,
        context: NodeContext, seed: UInt64
    ) {
        self.id = id
        self.me = me
        self.node = node
        self.context = context
        let limits = context.configuration.limits
        var stateLimits = StateLimits(
            partitions: context.configuration.partitions, members: limits.maxMembers,
            conversationsPerUser: limits.maxConversationsPerUser, devicesPerUser: limits.maxDevicesPerUser,
            deviceExpiry: limits.deviceExpiry)
        stateLimits.planted = context.configuration.planted
        state = PartitionState(partition: id, limits: stateLimits, restoring: restored.state)
        hlc = HybridLogicalClock(last: restored.state.lastStamp)
        filter = MessageFilter(capacity: 16_384, known: context.storage.store)
        writtenIndex = restored.state.appliedIndex
        submittedIndex = restored.state.appliedIndex
        var configurations = [RaftConfigurationRecord(index: 0, configuration: founding)]
        for entry in restored.configurations {
            var payload = entry.payload
            guard let configuration = RaftConfiguration(decoding: &payload) else { continue }
            configurations.append(RaftConfigurationRecord(index: entry.index, configuration: configuration))
        }
        var options = RaftOptions()
        options.planted = context.configuration.planted
        let timing = context.configuration.timing
        options.electionTimeout = UInt64(timing.electionMilliseconds) * 1_000_000
        options.heartbeatInterval = UInt64(timing.raftHeartbeatMilliseconds) * 1_000_000
        // A node's caches together stay within 32 MiB, however many partitions there are.
        let share = (32 << 20) / max(1, context.configuration.partitions)
        options.cacheBytes = max(128 << 10, share)
        // What is on its way to one node, of all partitions together, fits the link's queue.
        options.maxInflightBytes = max(1 << 20, share)
        options.hibernateAfter = UInt64(timing.hibernateMilliseconds) * 1_000_000
        raft = RaftGroup(
            id: id, me: me,
            restored: RaftRestored(
                hardState: restored.hardState, configurations: configurations, lastIndex: restored.lastIndex,
                termRuns: restored.termRuns.map { RaftTermRun(firstIndex: $0.firstIndex, term: $0.term) },
                appliedIndex: restored.state.appliedIndex),
            options: options, now: context.clock.now(), seed: seed)
    }

    var isLeader: Bool { raft.role == .leader }

    /// Starts the timers; called once.
    func start() {
        reschedule()
        fillFilter()
    }

    func stop() {
        timer?.cancel()
        timer = nil
        timerDeadline = nil
        reads.removeAll()
        writeWaiters.removeAll()
    }

    /// The replica ends while the node goes on: leadership is handed over, whoever waits is told.
    func retire() {
        receive(.fitness(false))
        receive(.stepDown)
        failWaiting(hint: nil)
        for request in reads.keys.sorted() { failRead(request) }
        let waiters = writeWaiters
        stop()
        isRetired = true
        for waiter in waiters { waiter.failed?(self) }
    }

    /// The disk is full: who waits for what is not written yet to read it turns to others.
    func storageFull() {
        receive(.storageFull)
        let waiters = writeWaiters.filter { $0.failed != nil }
        writeWaiters.removeAll { $0.failed != nil }
        for waiter in waiters { waiter.failed?(self) }
    }

    // MARK: Raft's shell

    func receive(_ event: RaftGroup.Event) {
        guard !isRetired else { return }
        raft.receive(event, now: context.clock.now(), into: &actions)
        perform()
    }

    /// Performs what the machine asked for, in order (see `RaftGroup`'s obligations).
    func perform() {
        while !actions.isEmpty {
            let batch = actions
            actions.removeAll(keepingCapacity: true)
            for action in batch where !isRetired { perform(action) }
        }
        if !isRetired { reschedule() }
    }

    func withRaft<T: Sendable>(_ body: (inout RaftGroup, UInt64, inout [RaftGroup.Action]) -> T) -> T {
        let result = body(&raft, context.clock.now(), &actions)
        perform()
        return result
    }

    private func perform(_ action: RaftGroup.Action) {
        switch action {
        case .persist(let ticket, let hardState, let truncateFrom, let entries):
            let write = PartitionWrite(
                partition: id, hardState: hardState, truncateFrom: truncateFrom, entries: entries)
            // Acknowledgements alone are worth no sync: unconfirmed they wait for the next one.
            let mayWait =
                hardState == nil && truncateFrom == nil && !entries.isEmpty
                && entries.allSatisfy { $0.kind == .command && StampedCommand.mayWait($0.payload) }
            if mayWait { waitingEntry = entries.last?.index ?? 0 }
            node.onCore {
                $0.write(write, urgent: !mayWait, mayWait: mayWait) { [weak self] in
                    self?.onCore { $0.receive(.persisted(ticket: ticket)) }
                }
            }
        case .send(let message, let peer):
            let envelope = RaftEnvelope(partition: id, fromStore: me.store, toStore: peer.store, message: message)
            node.onCore { $0.send(raft: envelope, to: peer) }
        case .committed(let entries):
            apply(entries)
        case .load(let request, let from, let through, let maxBytes, let purpose):
            load(request: request, from: from, through: through, maxBytes: maxBytes, paced: purpose != .apply)
        case .readReady(let read, let index):
            provenReads.append((index, read))
            serveReads()
            hurryEntry()
        case .readFailed(let read):
            failRead(read)
        case .roleChanged(let role, let term, let leader):
            roleChanged(role, term: term, leader: leader)
        case .membershipChanged:
            node.onCore { $0.markPartition(self) }
        case .peerRegressed(let peer, let confirmed, let has):
            context.logger.error(
                "partition \(id): \(peer.node) has only \(has) of \(confirmed) entries it had confirmed; it is left out"
            )
            let message = RepairMessage.regressed(
                partition: id, term: raft.term, store: peer.store, confirmed: confirmed)
            node.onCore { $0.send(control: .repair(message), to: peer.node) }
        }
    }

    /// A read waits for an entry whose sync has time, and which others have synced and committed: now it has none any more.
    private func hurryEntry() {
        guard let first = provenReads.first, first.index > state.appliedIndex, waitingEntry > state.appliedIndex
        else { return }
        waitingEntry = 0
        hurryWriter()
    }

    /// What was handed to the writer and has time has none any more.
    func hurryWriter() {
        node.onCore { $0.write(PartitionWrite(partition: self.id), urgent: true) {} }
    }

    /// - Parameter paced: for a replica that is behind, which must not slow the others.
    private func load(request: UInt64, from: UInt64, through: UInt64, maxBytes: Int, paced: Bool) {
        let partition = id
        context.storage.read({ (store: any NodeStore) throws(StoreError) -> [RaftEntry] in
            try store.entries(partition: partition, from: from, through: through, maxBytes: maxBytes)
        }) { [weak self] (result: Result<[RaftEntry], StoreError>) in
            self?.onCore { partition in
                switch result {
                case .success(let entries): partition.loaded(request, entries, paced: paced)
                case .failure(let error):
                    // Raft asks again: until a damaged row is mended it gets what stands before it.
                    partition.receive(.entriesLoaded(id: request, entries: []))
                    partition.node.onCore {
                        $0.storageFailed(error, doing: "reading the log of partition \(partition.id)")
                    }
                }
            }
        }
    }

    private func loaded(_ request: UInt64, _ entries: [RaftEntry], paced: Bool) {
        let bytes = paced ? entries.reduce(0) { $0 + $1.payload.readableBytes + 64 } : 0
        if paced { context.counters.catchUpBytes.increment(by: UInt64(bytes)) }
        let delay = paced ? node.onCore { $0.catchUp.charge(bytes: bytes, now: $0.context.clock.now()) } : 0
        guard delay > 0 else { return receive(.entriesLoaded(id: request, entries: entries)) }
        context.clock.schedule(after: delay) { [weak self] in
            self?.onCore { $0.receive(.entriesLoaded(id: request, entries: entries)) }
        }
    }

    private func reschedule() {
        guard let deadline = raft.nextDeadline else {
            timer?.cancel()
            timer = nil
            timerDeadline = nil
            return
        }
        if let set = timerDeadline, set <= deadline { return }
        timer?.cancel()
        timerDeadline = deadline
        let now = context.clock.now()
        timer = context.clock.schedule(after: deadline > now ? deadline - now : 0) { [weak self] in
            self?.onCore {
                $0.timerDeadline = nil
                $0.receive(.tick)
            }
        }
    }

    private func roleChanged(_ role: RaftGroup.Role, term: UInt64, leader: RaftPeer?) {
        if role == .candidate { context.counters.elections.increment() }
        if role != .leader {
            subscriptions = SubscriptionTable()
            failWaiting(hint: leader?.node)
        } else {
            generations = 0
            subscriptions = SubscriptionTable()
        }
        openings.removeAll()
        retentionSweep = nil
        let partition = id
        node.onCore { $0.leaderChanged(partition, term: term, leader: leader?.node) }
        if let leader, leader.node != context.id, !cursors.isEmpty { forwardCursors(to: leader.node) }
    }
}
