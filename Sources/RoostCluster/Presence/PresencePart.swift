internal import RoostModel
internal import RoostProtocol

/// What is known of another node's part.
struct PresencePart: Sendable {
    let node: NodeID
    private(set) var epoch: Epoch
    private(set) var version: UInt64 = 0
    var table = PresenceEntryTable()
    /// Nil while SWIM holds the node for alive or suspect; else when it was hidden, microseconds since 1970.
    var hiddenSince: Int64?
    /// When the owner was asked last and has not brought us up to date since, monotonic nanoseconds, and how often.
    private(set) var requestedAt: UInt64?
    private var requests: UInt64 = 0
    /// How many more times its digest goes before those of others.
    var freshness: UInt8 = 0
    private var assembly: Assembly?

    /// A snapshot of which not all chunks are there.
    private struct Assembly: Sendable {
        let version: UInt64
        let chunks: UInt32
        var arrived: Set<UInt32> = []
        var table = PresenceEntryTable()
    }

    init(node: NodeID, epoch: Epoch) {
        self.node = node
        self.epoch = epoch
    }

    var isVisible: Bool { hiddenSince == nil }
    var isAssembling: Bool { assembly != nil }
    var digest: PresenceDigest { PresenceDigest(node: node, epoch: epoch, version: version) }

    /// Whether the owner is to be asked now; notes that it is. Whoever has some of the part wants a delta, which comes
    /// at once or not at all; who has nothing wants what may be megabytes, and is more patient.
    mutating func asks(now: UInt64, limits: PresenceLimits) -> Bool {
        let timeout = version > 0 && assembly == nil ? limits.deltaTimeout : limits.snapshotTimeout
        if let asked = requestedAt, now < asked + timeout << min(max(1, requests) - 1, 4) { return false }
        requestedAt = now
        requests += 1
        return true
    }

    /// Something of the answer has come: the wait begins anew.
    mutating func answerComes(now: UInt64) { requestedAt = now }

    /// What was asked for is here, or no more wanted.
    mutating func forgetRequest() {
        requestedAt = nil
        requests = 0
    }

    enum Applied {
        /// Nothing new in it.
        case known
        case applied
        /// It does not continue what is here.
        case gap
    }

    /// Applies a delta that continues what is here; of one that overlaps, what is new. Each change carries the whole
    /// state of its device, so a change met twice does no harm.
    mutating func apply(
        from: UInt64, to: UInt64, changes: [PresenceChange], changed: (_ old: PresenceEntry?, PresenceChange) -> Void
    ) -> Applied {
        guard to > version else { return .known }
        guard from <= version else { return .gap }
        for change in changes where change.version > version {
            let old: PresenceEntry?
            if change.online {
                old = table.put(change.entry)
            } else {
                old = table.remove(change.entry.user, change.entry.device)
            }
            changed(old, change)
        }
        version = to
        forgetRequest()
        if let assembly, assembly.version <= version { self.assembly = nil }
        return .applied
    }

    enum ChunkTaken {
        case known
        case more
        /// The last one: the snapshot is in place, and this was here before.
        case complete(former: PresenceEntryTable)
    }

    /// Takes a chunk of a snapshot. They may come in any order and twice; a newer snapshot replaces an unfinished one.
    mutating func take(chunk: UInt32, of chunks: UInt32, version newVersion: UInt64, entries: [PresenceEntry])
        -> ChunkTaken
    {
        guard newVersion > version, chunk < chunks else { return .known }
        if let running = assembly, newVersion < running.version { return .known }
        if assembly.map({ newVersion > $0.version || chunks != $0.chunks }) ?? true {
            assembly = Assembly(version: newVersion, chunks: chunks)
        }
        guard var running = assembly, running.arrived.insert(chunk).inserted else { return .known }
        assembly = nil  // So that the table has one owner while it grows.
        for entry in entries { running.table.put(entry) }
        guard running.arrived.count == Int(chunks) else {
            assembly = running
            return .more
        }
        let former = table
        table = running.table
        version = newVersion
        forgetRequest()
        return .complete(former: former)
    }
}
