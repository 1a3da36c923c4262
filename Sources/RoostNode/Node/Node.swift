import Logging
import NIOCore
import RoostCluster
import RoostConsensus
import RoostModel
package import RoostProtocol
package import RoostStorage

/// This process as a member of the cluster: owns its links, partitions, users and sessions, and carries between them.
///
/// All actors of a node share its executor and enter one another synchronously. What is to be sent, written or proposed
/// is gathered while a turn lasts and goes out when it ends (`endTurn`): one frame per peer, one append per partition,
/// one flush per socket, however many events the turn took in.
package actor Node {
    package nonisolated let context: NodeContext
    nonisolated let me: NodeID
    package nonisolated var unownedExecutor: UnownedSerialExecutor { context.executor.asUnownedSerialExecutor() }

    // Identity.
    var facts: NodeFacts
    var founding: Founding
    var record: FoundingRecord?
    var phase: NodeView.Phase = .founding
    var failure: String?
    /// Since everything was loaded, before it serves.
    var ticksOfWaiting = 0
    /// The last that was logged.
    var saidWaiting: String?
    let onFailure: @Sendable (String) -> Void
    /// Called once when this node has left the cluster: the process ends.
    let onLeft: @Sendable () -> Void
    var generator: SeededGenerator

    // The ring.
    /// The newest heard of; nil until the cluster is founded.
    var ring: Ring?
    var proposingRing = false
    /// It gives its replicas away.
    var isLeaving = false
    var hasLeft = false
    /// How many replicas the log said last that it still has.
    var saidReplicas = -1

    // Others.
    var peers: [NodeID: Peer] = [:]
    /// The disk that each had when its link last came up.
    var disksSeen: [NodeID: StoreID] = [:]
    /// With whom each linked node has links itself.
    var reaches: [NodeID: Set<NodeID>] = [:]
    /// Linked nodes that take no leadership.
    var drainingPeers: Set<NodeID> = []
    /// Of whom the log says last that they do not answer.
    var silent: Set<NodeID> = []
    var swim: Swim
    var presence: PresenceTable
    var swimTimer: (any ScheduledTimer)?
    var swimDeadline: UInt64?
    var presenceTimer: (any ScheduledTimer)?
    var presenceDeadline: UInt64?
    /// Whom the sessions here watch.
    var watch: PresenceWatch
    var watchTimer: (any ScheduledTimer)?
    var watchDeadline: UInt64?

    // Partitions.
    /// By the ring: who should hold what.
    var layout: [[NodeID]] = []
    /// As founded: who held what in the beginning.
    var foundingLayout: [[NodeID]] = []
    /// As whom leaders ask for replicas here.
    var wantedIdentities: [PartitionID: StoreID] = [:]
    var partitions: [PartitionID: Partition] = [:]
    /// Who leads, and how the streams from there stand; by partition.
    var receivers: [StreamReceiver] = []
    var calls: CallTable
    package var signingKeyList: [SigningKey] = []
    var keysHeld = KeysHeld()
    var proposingKey = false
    var catchUp: CatchUpBudget
    var clocks: ClockWatch
    var isSkewed = false
    /// Replicas led here that are being filled, by their node; and those here that are.
    var filling: [NodeID: Int] = [:]
    var unfilled = 0

    // Damage.
    var repairs = RepairTable()
    var loading: Set<PartitionID> = []
    /// Partitions whose tables are being emptied.
    var clearing: Set<PartitionID> = []
    /// Partitions whose state is made anew, and up to which entry that must be before they should lead.
    var rebuilding: [PartitionID: UInt64] = [:]
    var scrubber: Scrubber
    /// As of the last step of the scrub.
    var databaseBytes: UInt64 = 0
    /// The disk is full or read-only.
    var isFull = false
    var ownUnfit = Unfitness()
    var othersUnfit: [NodeID: Unfitness] = [:]

    // Sessions.
    var users: [UserID: User] = [:]
    var sessions: [UInt32: SessionEntry] = [:]
    var sessionDigests = DigestHistory()
    var admission: SessionAdmission
    /// Who waits for a turn to open a session: as many as come in `SessionAdmission.maxHold`.
    var held: [UInt64: CheckedContinuation<Void, Never>] = [:]
    var heldNumber: UInt64 = 0
    var nextSlot: UInt32
    var nextOpen: UInt64
    var opens: [UInt64: OpenInFlight] = [:]
    var newSessions: [UInt32] = []
    /// When those that came since may be opened, and whether that is waited for.
    var nextOpening: UInt64 = 0
    var opensLater = false
    var ackBuffer: [PartitionID: [AckKey: UInt64]] = [:]
    var ackTimer: (any ScheduledTimer)?
    var reopenScheduled = false
    var servingWaiters: [@Sendable () -> Void] = []
    var drainWaiters: [@Sendable () -> Void] = []
    var drainWaited = false
    var drainPolling = false
    /// Drained, and saying goodbye.
    var isParting = false

    // The turn.
    private var turnScheduled = false
    private var dirtyPeers: [Peer] = []
    private var dirtyPartitions: [Partition] = []
    private var dirtyPartitionIDs: Set<PartitionID> = []
    private var dirtyDevices: [Device] = []
    var writes: [PendingWrite] = []
    private var stateFlushTimer: (any ScheduledTimer)?
    private var unflushed: Set<PartitionID> = []
    private var writeCount: UInt64 = 0
    var writesInFlight: [PartitionID: Int] = [:]
    /// Writes refused by a queue at its bound, and what came after them, to be tried again in their order.
    var stalledWrites: [PartitionID: [PendingWrite]] = [:]
    var retryScheduled = false
    private var tickTimer: (any ScheduledTimer)?
    private var ticks: UInt64 = 0
    private var tickDue: UInt64 = 0
    private(set) var isStopped = false
    /// Where nodes say that they are now.
    var foundAt: [NodeID: String] = [:]

    struct PendingWrite: Sendable {
        /// Writes of a partition stand on disk in this order.
        var order: UInt64
        var write: PartitionWrite
        var urgent: Bool
        var mayWait = false
        var completion: @Sendable () -> Void
    }

    struct SessionEntry: Sendable {
        var device: Device
        /// Partitions that have not answered its open yet.
        var unanswered: Set<PartitionID>
    }

    struct OpenInFlight: Sendable {
        /// Sessions that each partition has not answered for yet.
        var unanswered: [PartitionID: Int]
        var reset: Bool
        var leader: NodeID
        /// How long the leader may say nothing, in nanoseconds, and until when.
        var patience: UInt64
        var deadline: UInt64
    }

    struct AckKey: Hashable, Sendable {
        var user: UserID
        var device: DeviceID
        var conversation: ConversationID
    }

    /// `facts` are those of this life: the epoch is raised and synced before a node is made.
    package init(
        context: NodeContext, facts: NodeFacts, seed: UInt64, onLeft: @escaping @Sendable () -> Void = {},
        onFailure: @escaping @Sendable (String) -> Void
    ) {
        self.context = context
        self.facts = facts
        self.onFailure = onFailure
        self.onLeft = onLeft
        let configuration = context.configuration
        me = context.id
        calls = CallTable(epoch: facts.epoch)
        nextOpen = CallTable.firstID(epoch: facts.epoch)
        generator = SeededGenerator(seed: seed)
        // What was meant for a session of a former life must not meet one of this.
        nextSlot = UInt32(truncatingIfNeeded: generator.next()) & 0x0fff_ffff
        founding = Founding(facts: facts, configuration: configuration, me: context.id, seed: generator.next())
        swim = Swim(
            me: context.id, epoch: facts.epoch, address: configuration.node(context.id)?.peerAddress ?? "",
            seeds: Self.members(facts, configuration), timing: SwimTiming(configuration.timing),
            now: context.clock.now(), seed: generator.next())
        var limits = PresenceLimits()
        limits.batchDelay = UInt64(configuration.timing.presenceBatchMilliseconds) * 1_000_000
        presence = PresenceTable(me: context.id, epoch: facts.epoch, limits: limits)
        admission = SessionAdmission(
            perSecond: configuration.limits.maxSessionOpensPerSecond,
            maxHold: UInt64(configuration.timing.httpTimeoutMilliseconds) * 500_000)
        watch = Self.presenceWatch(configuration, now: context.clock.now())
        for node in Self.members(facts, configuration).map(\.node) + [me] {
            peers[node] = Peer(id: node, context: context)
        }
        clocks = ClockWatch(bound: Int64(configuration.timing.clockBoundMilliseconds) * 1_000)
        catchUp = CatchUpBudget(bytesPerSecond: configuration.durability.catchUpBytesPerSecond)
        scrubber = Scrubber(
            options: configuration.durability, begin: generator.next() % UInt64(max(1, configuration.partitions)))
        receivers = Array(repeating: StreamReceiver(planted: configuration.planted), count: configuration.partitions)
    }

    var partitionCount: Int { receivers.count }

    package func start() {
        context.storage.onStall { [weak self] error in self?.onCore { $0.storageStalled(error) } }
        var actions: [Founding.Action] = []
        founding.start(into: &actions)
        perform(actions)
        rescheduleSwim()
        scheduleTick()
    }

    /// Ends all timers and breaks the cycles: nothing is called back after it.
    package func stop() {
        isStopped = true
        releaseHeld()
        for partition in partitions.values { partition.onCore { $0.stop() } }
        partitions.removeAll()
        swimTimer?.cancel()
        presenceTimer?.cancel()
        watchTimer?.cancel()
        ackTimer?.cancel()
        tickTimer?.cancel()
        stateFlushTimer?.cancel()
        peers.removeAll()
        sessions.removeAll()
        users.removeAll()
        dirtyDevices.removeAll()
        dirtyPeers.removeAll()
        dirtyPartitions.removeAll()
        for id in calls.calls.keys.sorted() { calls.remove(id)?.completion(.unavailable) }
        phase = .draining
        let waiting = servingWaiters + drainWaiters
        servingWaiters.removeAll()
        drainWaiters.removeAll()
        for waiter in waiting { waiter() }
    }

    /// Nothing is known any more of what is on disk, or of what the log says: the process must end.
    func fail(_ line: String) {
        // What it still asks of a storage that is being shut down is refused.
        guard failure == nil, !isStopped else { return }
        failure = line
        onFailure(line)
    }

    // MARK: The turn

    func needTurn() {
        guard !turnScheduled else { return }
        turnScheduled = true
        context.clock.schedule(after: 0) { [weak self] in self?.onCore { $0.endTurn() } }
    }

    func markPartition(_ partition: Partition) {
        if dirtyPartitionIDs.insert(partition.id).inserted { dirtyPartitions.append(partition) }
        needTurn()
    }

    func markDevice(_ device: Device) {
        dirtyDevices.append(device)
        needTurn()
    }

    func markPeer(_ peer: Peer, first: Bool) {
        if first { dirtyPeers.append(peer) }
        needTurn()
    }

    func write(
        _ write: PartitionWrite, urgent: Bool, mayWait: Bool = false, completion: @escaping @Sendable () -> Void
    ) {
        writeCount += 1
        let item = PendingWrite(
            order: writeCount, write: write, urgent: urgent, mayWait: mayWait, completion: completion)
        if stalledWrites[write.partition] != nil {
            stalledWrites[write.partition]?.append(item)
        } else {
            writes.append(item)
            needTurn()
        }
    }

    /// Everything gathered goes out. What this node sends itself is taken in at once, and may bring more: a bounded
    /// number of rounds, then another turn.
    private func endTurn() {
        var rounds = 0
        while rounds < 8 {
            rounds += 1
            if !newSessions.isEmpty { openGathered() }
            let touched = dirtyPartitions
            dirtyPartitions.removeAll(keepingCapacity: true)
            dirtyPartitionIDs.removeAll(keepingCapacity: true)
            for partition in touched {
                partition.onCore { $0.flushProposals() }
                unflushed.insert(partition.id)
            }
            guard let own = peers[me], let place = dirtyPeers.firstIndex(where: { $0 === own }) else { break }
            dirtyPeers.remove(at: place)
            let frames = own.onCore { $0.takeForSelf() }
            receive(frames, from: me)
        }
        turnScheduled = false
        submitWrites()
        let out = dirtyPeers
        dirtyPeers.removeAll(keepingCapacity: true)
        for peer in out where peer.id != me { flush(peer) }
        for peer in out where peer.id == me { dirtyPeers.append(peer) }
        let devices = dirtyDevices
        dirtyDevices.removeAll(keepingCapacity: true)
        for device in devices { device.onCore { $0.flush() } }
        if !dirtyPeers.isEmpty || !dirtyPartitions.isEmpty || !dirtyDevices.isEmpty || !writes.isEmpty { needTurn() }
        scheduleStateFlush()
    }

    /// State rows ride along with log entries where there are some; alone they wait a little for company.
    private func submitWrites() {
        if !writes.isEmpty {
            for id in unflushed.sorted() { partitions[id]?.onCore { $0.flushState(urgent: false) } }
            unflushed.removeAll(keepingCapacity: true)
        }
        guard !writes.isEmpty else { return }
        let batch = writes
        writes.removeAll(keepingCapacity: true)
        for item in batch { writesInFlight[item.write.partition, default: 0] += 1 }
        context.storage.submit(
            batch.map { item in
                StorageSubmission(write: item.write, urgent: item.urgent, mayWait: item.mayWait) { [weak self] result in
                    self?.onCore { $0.written(item, result) }
                }
            })
    }

    private func scheduleStateFlush() {
        guard !unflushed.isEmpty, stateFlushTimer == nil else { return }
        stateFlushTimer = context.after(milliseconds: 20) { [weak self] in
            self?.onCore { node in
                node.stateFlushTimer = nil
                for id in node.unflushed.sorted() { node.partitions[id]?.onCore { $0.flushState(urgent: false) } }
                node.unflushed.removeAll(keepingCapacity: true)
                node.submitWrites()
            }
        }
    }

    // MARK: Housekeeping

    /// Every 100 ms.
    private func scheduleTick() {
        tickDue = context.clock.now() + 100_000_000
        tickTimer = context.after(milliseconds: 100) { [weak self] in
            self?.onCore {
                $0.tick()
                $0.scheduleTick()
            }
        }
    }

    private func tick() {
        ticks += 1
        feelLag(since: tickDue)
        retryCalls()
        if ticks % 5 == 0 { reopenStreams() }
        if ticks % UInt64(max(1, configuration.timing.streamStatusMilliseconds / 100)) == 0 { sendStreamStatus() }
        if ticks % 20 == 0 { balanceLeaders() }
        if ticks % 5 == 0, phase == .draining { handOverLeaderships() }
        if ticks % 10 == 0 {
            watchClocks()
            tendSigningKeys()
            askForRemovals()
        }
        if phase == .starting { checkServing() }
        if ticks % 50 == 0 { tellWaiting() }
        if ticks % 5 == 0 {
            ensureSigningKey()
            ensureRing()
            announceMove()
            mendReplicas()
            leaveOn()
        }
        sweepDevices(tick: ticks)
        if ticks % 5 == 0 { tickRepairs() }
        if ticks % 10 == 0 { scrubOn() }
        // One partition after the other.
        let led = sortedPartitions
        if !led.isEmpty { led[Int(ticks % UInt64(led.count))].onCore { $0.sweepRetention() } }
    }
}
