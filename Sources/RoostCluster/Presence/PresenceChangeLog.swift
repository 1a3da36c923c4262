internal import RoostModel
internal import RoostProtocol

/// The owner's last changes, so that who is a little behind gets a delta: everything between `floor` and `version`.
/// Bounded: above the limit the oldest go, tombstones too, the floor rises, and who is below it needs a snapshot.
struct PresenceChangeLog: Sendable {
    let limit: Int
    private(set) var version: UInt64
    private var changes: ContiguousArray<PresenceChange> = []
    /// Changes at the front that were dropped and not yet removed from the array.
    private var dropped = 0

    init(version: UInt64, limit: Int) {
        self.version = version
        self.limit = max(1, limit)
    }

    var count: Int { changes.count - dropped }
    /// The oldest version from which a delta can go on.
    var floor: UInt64 { version - UInt64(count) }

    /// Gives the change the next version.
    mutating func append(_ entry: PresenceEntry, online: Bool) -> PresenceChange {
        version += 1
        let change = PresenceChange(version: version, online: online, entry: entry)
        changes.append(change)
        if count > limit {
            dropped += 1
            if dropped >= limit {
                changes.removeFirst(dropped)
                dropped = 0
            }
        }
        return change
    }

    /// The changes above `from`, which is at or above the floor: of each device the last one only, in order of version.
    func changes(after from: UInt64) -> [PresenceChange] {
        guard from < version else { return [] }
        let start = changes.count - Int(version - max(from, floor))
        return PresenceChangeLog.lastOfEach(changes[start...])
    }

    /// Of each device the last change, in the order given.
    static func lastOfEach(_ changes: some BidirectionalCollection<PresenceChange>) -> [PresenceChange] {
        var seen = Set<PresenceKey>()
        var last = changes.reversed().filter { seen.insert(PresenceKey($0.entry)).inserted }
        last.reverse()
        return last
    }
}

struct PresenceKey: Hashable, Sendable {
    let user: UserID
    let device: DeviceID
    init(user: UserID, device: DeviceID) {
        self.user = user
        self.device = device
    }
    init(_ entry: PresenceEntry) { self.init(user: entry.user, device: entry.device) }
}

/// When devices were last online: what tombstones leave behind, for `last_online`. Bounded; the oldest notes go first.
struct LastOnlineCache: Sendable {
    let limit: Int
    private var times: [PresenceKey: Int64] = [:]
    /// Keys in the order of their first note; of a ring of `limit`.
    private var ring: ContiguousArray<PresenceKey> = []
    private var next = 0

    init(limit: Int) { self.limit = max(1, limit) }

    var count: Int { times.count }

    subscript(key: PresenceKey) -> Int64? { times[key] }

    mutating func note(_ key: PresenceKey, at time: Int64) {
        if let known = times[key] {
            times[key] = max(known, time)
            return
        }
        times[key] = time
        if ring.count < limit {
            ring.append(key)
        } else {
            times[ring[next]] = nil
            ring[next] = key
            next = (next + 1) % limit
        }
    }
}
