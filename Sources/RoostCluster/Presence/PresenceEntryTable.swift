internal import RoostModel
internal import RoostProtocol

/// The entries of one part: open addressing (linear probing, backward-shift deletion) over one array, found by user, so
/// that all devices of a user are met in one run. 64 bytes an entry and up to a quarter of slack, 11 to 21 bytes of
/// index: about 90 bytes a device (device ids of more than 15 bytes cost their text on top).
struct PresenceEntryTable: Sendable {
    private(set) var entries: ContiguousArray<PresenceEntry> = []
    /// Low half: position in `entries` plus 1; 0: empty. High half: of the user's hash, so that only entries that are
    /// very likely the user's are looked at. The count is a power of two, at most three quarters are taken.
    private var slots: ContiguousArray<UInt64> = []

    var count: Int { entries.count }

    init() {}

    private static func tag(_ user: UserID) -> UInt64 { StableHash.of(user.uuid) >> 32 }
    private static func slot(_ tag: UInt64, _ position: Int) -> UInt64 { tag << 32 | UInt64(position + 1) }
    private static func position(_ slot: UInt64) -> Int { Int(slot & 0xffff_ffff) - 1 }
    private func home(_ tag: UInt64) -> Int { Int(tag) & (slots.count - 1) }

    /// The slot of a device's entry.
    private func slot(of user: UserID, _ device: DeviceID) -> Int? {
        guard !slots.isEmpty else { return nil }
        let tag = Self.tag(user)
        var slot = home(tag)
        while slots[slot] != 0 {
            if slots[slot] >> 32 == tag {
                let position = Self.position(slots[slot])
                if entries[position].user == user && entries[position].device == device { return slot }
            }
            slot = (slot + 1) & (slots.count - 1)
        }
        return nil
    }

    func find(_ user: UserID, _ device: DeviceID) -> PresenceEntry? {
        slot(of: user, device).map { entries[Self.position(slots[$0])] }
    }

    /// Calls `body` with each of a user's entries, in no stated order.
    func forEach(of user: UserID, _ body: (PresenceEntry) -> Void) {
        guard !slots.isEmpty else { return }
        let tag = Self.tag(user)
        var slot = home(tag)
        while slots[slot] != 0 {
            if slots[slot] >> 32 == tag {
                let position = Self.position(slots[slot])
                if entries[position].user == user { body(entries[position]) }
            }
            slot = (slot + 1) & (slots.count - 1)
        }
    }

    /// Stores an entry in the place of the device's former one, which it returns.
    @discardableResult
    mutating func put(_ entry: PresenceEntry) -> PresenceEntry? {
        if let slot = slot(of: entry.user, entry.device) {
            let index = Self.position(slots[slot])
            let old = entries[index]
            entries[index] = entry
            return old
        }
        if (entries.count + 1) * 4 > slots.count * 3 { grow() }
        if entries.count == entries.capacity { entries.reserveCapacity(entries.count + entries.count / 4 + 4) }
        entries.append(entry)
        insert(Self.slot(Self.tag(entry.user), entries.count - 1))
        return nil
    }

    @discardableResult
    mutating func remove(_ user: UserID, _ device: DeviceID) -> PresenceEntry? {
        guard let slot = slot(of: user, device) else { return nil }
        let index = Self.position(slots[slot])
        let removed = entries[index]
        let last = entries.count - 1
        if index != last {
            let moved = entries[last]
            // Found before the array changes: the slot holds the moved entry's old position.
            if let movedSlot = self.slot(of: moved.user, moved.device) {
                slots[movedSlot] = Self.slot(Self.tag(moved.user), index)
            }
            entries[index] = moved
        }
        entries.removeLast()
        closeGap(at: slot)
        return removed
    }

    private mutating func insert(_ value: UInt64) {
        var slot = home(value >> 32)
        while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
        slots[slot] = value
    }

    /// Moves later entries of the run back, so that no search ends too early at the emptied slot.
    private mutating func closeGap(at emptied: Int) {
        let mask = slots.count - 1
        var gap = emptied
        var slot = (gap + 1) & mask
        while slots[slot] != 0 {
            let wanted = home(slots[slot] >> 32)
            if (slot - wanted) & mask >= (slot - gap) & mask {
                slots[gap] = slots[slot]
                gap = slot
            }
            slot = (slot + 1) & mask
        }
        slots[gap] = 0
    }

    private mutating func grow() {
        let former = slots
        slots = ContiguousArray(repeating: 0, count: max(8, former.count * 2))
        for slot in former where slot != 0 { insert(slot) }
    }

    /// Whether every entry is found at its place, and nothing else.
    var isConsistent: Bool {
        guard slots.lazy.filter({ $0 != 0 }).count == entries.count else { return false }
        return entries.indices.allSatisfy { index in
            slot(of: entries[index].user, entries[index].device).map { Self.position(slots[$0]) == index } ?? false
        }
    }
}

extension PresenceEntry {
    /// An order that is the same everywhere.
    static func ordered(_ a: PresenceEntry, _ b: PresenceEntry) -> Bool {
        a.user != b.user ? a.user < b.user : a.device < b.device
    }
}
