package import RoostModel
package import RoostProtocol

/// Bounds and times of a `PresenceTable`.
package struct PresenceLimits: Sendable, Equatable {
    /// How long the owner gathers changes before it broadcasts them, nanoseconds. 30 ms: unseen by people, and a
    /// thousand logins a second become 30 frames.
    package var batchDelay: UInt64 = 30_000_000
    /// How long after the last change the owner says once more how far its part goes, nanoseconds: what was lost last is
    /// missed then, and not only when a digest comes by. 100 ms, 40 bytes to each node.
    package var echoDelay: UInt64 = 100_000_000
    /// After which a request for what follows is repeated, nanoseconds; doubled each time up to 16 times. 50 ms: some
    /// ten round trips. Repeated only when a digest or delta shows that it is still needed.
    package var deltaTimeout: UInt64 = 50_000_000
    /// The same where nothing is known of the part, or a snapshot is coming: each chunk begins the wait anew. 1 s: 100,000
    /// devices are 8 MB, and many may ask for them at once.
    package var snapshotTimeout: UInt64 = 1_000_000_000
    /// Digests riding on one ping or ack: the own part's, then those of parts that changed of late, then of the others in
    /// turns. 8, of 15 bytes: with 13 messages a second, each of 50 parts comes by twice a second.
    package var digestsPerMessage = 8
    /// How often the digest of a part that changed goes first.
    package var freshSends: UInt8 = 4
    /// Changes in one delta, and entries in one chunk of a snapshot: about 40 kB.
    package var changesPerMessage = 512
    /// Changes the owner keeps, tombstones among them. 8,192: some minutes of coming and going on a busy node, 1 MB.
    package var keptChanges = 8_192
    /// Devices whose last time online is remembered.
    package var lastOnline = 32_768
    /// Parts of other nodes; those of more nodes are ignored.
    package var maxParts = 1_024
    /// Chunks of a snapshot; one that claims more is ignored.
    package var maxChunks: UInt32 = 16_384
    /// Rules that are broken on purpose, by a simulation.
    package var planted: PlantedFaults = []
    package init() {}
}

/// Who is connected where. Each node is the only writer of its own part, (node, epoch) -> version, floor and entries
/// (user, device) -> (session, generation); so nothing ever needs merging: a part is as old as its version says.
/// A pure machine; its shell owes it:
/// 1. `tick` at `nextDeadline`, and its messages sent to every node with a link.
/// 2. `receive` and `compare` for what comes from a link whose handshake has told who is at the other end.
/// 3. `linkUp` for each new link, `memberChanged` for each `statusChanged` of `Swim`.
/// 4. `digests(for:)` added to each message of `Swim`, and what comes with one given to `compare`.
package struct PresenceTable: Sendable {
    package enum Action: Sendable, Equatable {
        case send(PresenceMessage, to: NodeID)
        /// A device is connected at another node, visible; also where its session there was replaced by a newer one.
        case appeared(PresenceEntry, node: NodeID)
        case disappeared(PresenceEntry, node: NodeID)
        /// All that was known of a node's part is to be read again: hidden, shown, or begun anew in a higher epoch.
        /// No `appeared` or `disappeared` tells of its entries.
        case partChanged(NodeID)
    }

    package let me: NodeID
    package let limits: PresenceLimits
    package private(set) var epoch: Epoch
    /// This node's own entries, those not yet flushed included.
    private(set) var own = PresenceEntryTable()
    private(set) var log: PresenceChangeLog
    /// Changed since the last flush, in that order; false: went offline.
    private var pending: [PresenceChange] = []
    private var foldAbove = 4_096
    /// When `flush` is due; nil while nothing waits.
    package private(set) var nextFlush: UInt64?
    /// When the last flush is said once more; nil once it was.
    private var nextEcho: UInt64?
    /// The others' parts, sorted by node.
    var parts: [PresencePart] = []
    /// Of the parts: what is searched lies close together.
    var partNodes: [NodeID] = []
    /// Nodes whose parts went on of late, the newest last, and whose turn it is among all.
    var fresh: [NodeID] = []
    var turn = 0
    var lastOnlineTimes: LastOnlineCache
    /// Messages that broke a rule and were dropped.
    package internal(set) var ignored: UInt64 = 0

    package init(me: NodeID, epoch: Epoch, limits: PresenceLimits = PresenceLimits()) {
        self.me = me
        self.epoch = epoch
        self.limits = limits
        log = PresenceChangeLog(version: 0, limit: limits.keptChanges)
        lastOnlineTimes = LastOnlineCache(limit: limits.lastOnline)
    }

    // MARK: The own part

    /// A session of this node is there. Returns false, and changes nothing, if this node has a newer one of the device.
    @discardableResult
    package mutating func announce(_ entry: PresenceEntry, now: UInt64) -> Bool {
        if let there = own.find(entry.user, entry.device) {
            if there == entry { return true }
            if there.generation > entry.generation { return false }
        }
        own.put(entry)
        note(entry, online: true, now: now)
        return true
    }

    /// A session of this node ended, at `at` (microseconds since 1970). Removes its own entry only: returns false if
    /// the device has another session here by now, or none.
    @discardableResult
    package mutating func withdraw(
        user: UserID, device: DeviceID, session: SessionID, at: Int64, now: UInt64
    ) -> Bool {
        guard var entry = own.find(user, device), entry.session == session else { return false }
        own.remove(user, device)
        entry.since = at
        lastOnlineTimes.note(PresenceKey(entry), at: at)
        note(entry, online: false, now: now)
        return true
    }

    private mutating func note(_ entry: PresenceEntry, online: Bool, now: UInt64) {
        pending.append(PresenceChange(version: 0, online: online, entry: entry))
        if nextFlush == nil { nextFlush = now + limits.batchDelay }
        // Devices that come and go must not pile up: fold what was superseded meanwhile.
        if pending.count > foldAbove {
            pending = PresenceChangeLog.lastOfEach(pending)
            foldAbove = max(4_096, 2 * pending.count)
        }
    }

    /// When `tick` has something to do; nil while nothing waits.
    package var nextDeadline: UInt64? {
        guard let nextFlush else { return nextEcho }
        return min(nextFlush, nextEcho ?? .max)
    }

    /// What is to be broadcast now.
    package mutating func tick(now: UInt64) -> [PresenceMessage] {
        if let due = nextFlush, due <= now {
            let messages = flush()
            if !messages.isEmpty { nextEcho = now + limits.echoDelay }
            return messages
        }
        guard let due = nextEcho, due <= now else { return [] }
        nextEcho = nil
        return [.delta(node: me, epoch: epoch, from: log.version, to: log.version, changes: [])]
    }

    /// The deltas to broadcast, whether or not `nextFlush` was reached; none if nothing changed.
    package mutating func flush() -> [PresenceMessage] {
        nextFlush = nil
        guard !pending.isEmpty else { return [] }
        let from = log.version
        let changes = PresenceChangeLog.lastOfEach(pending).map { log.append($0.entry, online: $0.online) }
        pending = []
        return deltas(from: from, changes)
    }

    /// Splits changes (in order of version, up to the own version) into messages that continue each other.
    func deltas(from: UInt64, _ changes: [PresenceChange]) -> [PresenceMessage] {
        var messages: [PresenceMessage] = []
        var from = from
        var rest = changes[...]
        while !rest.isEmpty {
            let batch = rest.prefix(max(1, limits.changesPerMessage))
            rest = rest.dropFirst(batch.count)
            let to = rest.isEmpty ? log.version : batch.last?.version ?? log.version
            messages.append(.delta(node: me, epoch: epoch, from: from, to: to, changes: Array(batch)))
            from = to
        }
        return messages
    }

    /// This node has a higher epoch now: its part begins anew with the sessions that are there. Others learn of it by
    /// digests, and ask.
    package mutating func raise(to epoch: Epoch) {
        guard epoch > self.epoch else { return }
        self.epoch = epoch
        // Version 1 and floor 1: whoever has nothing of the epoch needs a snapshot.
        log = PresenceChangeLog(version: 1, limit: limits.keptChanges)
        pending = []
        nextFlush = nil
        nextEcho = nil
    }
}
