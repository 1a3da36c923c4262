internal import RoostModel
internal import RoostProtocol

/// The entries of one part: open addressing (linear probing, backward-shift deletion) over one array, found by user, so
/// that all devices of a user are met in one run. 64 bytes an entry, 6 to 11 bytes of index, and the slack of the
/// array's growth: about 100 bytes a device (device ids of more than 15 bytes cost their text on top).
struct PresenceEntryTable: Sendable {
    private(set) var entries: ContiguousArray<PresenceEntry> = []
    /// Position in `entries` plus 1; 0: empty. The count is a power of two, at most three quarters are taken.
    private var slots: ContiguousArray<UInt32> = []

    var count: Int { entries.count }

    init() {}

    private func home(_ user: UserID) -> Int {
        Int(truncatingIfNeeded: StableHash.of(user.uuid)) & (slots.count - 1)
    }

    /// The slot of a device's entry.
    private func slot(of user: UserID, _ device: DeviceID) -> Int? {
        guard !slots.isEmpty else { return nil }
        var slot = home(user)
        while slots[slot] != 0 {
            let entry = entries[Int(slots[slot]) - 1]
            if entry.user == user && entry.device == device { return slot }
            slot = (slot + 1) & (slots.count - 1)
        }
        return nil
    }

    func find(_ user: UserID, _ device: DeviceID) -> PresenceEntry? {
        slot(of: user, device).map { entries[Int(slots[$0]) - 1] }
    }

    /// Calls `body` with each of a user's entries, in no stated order.
    func forEach(of user: UserID, _ body: (PresenceEntry) -> Void) {
        guard !slots.isEmpty else { return }
        var slot = home(user)
        while slots[slot] != 0 {
            let entry = entries[Int(slots[slot]) - 1]
            if entry.user == user { body(entry) }
            slot = (slot + 1) & (slots.count - 1)
        }
    }

    /// Stores an entry in the place of the device's former one, which it returns.
    @discardableResult
    mutating func put(_ entry: PresenceEntry) -> PresenceEntry? {
        if let slot = slot(of: entry.user, entry.device) {
            let index = Int(slots[slot]) - 1
            let old = entries[index]
            entries[index] = entry
            return old
        }
        if (entries.count + 1) * 4 > slots.count * 3 { grow() }
        entries.append(entry)
        insertSlot(of: entry.user, UInt32(entries.count))
        return nil
    }

    @discardableResult
    mutating func remove(_ user: UserID, _ device: DeviceID) -> PresenceEntry? {
        guard let slot = slot(of: user, device) else { return nil }
        let index = Int(slots[slot]) - 1
        let removed = entries[index]
        let last = entries.count - 1
        if index != last {
            let moved = entries[last]
            // Found before the array changes: the slot holds the moved entry's old position.
            if let movedSlot = self.slot(of: moved.user, moved.device) { slots[movedSlot] = UInt32(index + 1) }
            entries[index] = moved
        }
        entries.removeLast()
        closeGap(at: slot)
        return removed
    }

    private mutating func insertSlot(of user: UserID, _ value: UInt32) {
        var slot = home(user)
        while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
        slots[slot] = value
    }

    /// Moves later entries of the run back, so that no search ends too early at the emptied slot.
    private mutating func closeGap(at emptied: Int) {
        let mask = slots.count - 1
        var gap = emptied
        var slot = (gap + 1) & mask
        while slots[slot] != 0 {
            let wanted = home(entries[Int(slots[slot]) - 1].user)
            if (slot - wanted) & mask >= (slot - gap) & mask {
                slots[gap] = slots[slot]
                gap = slot
            }
            slot = (slot + 1) & mask
        }
        slots[gap] = 0
    }

    private mutating func grow() {
        let size = max(8, slots.count * 2)
        slots = ContiguousArray(repeating: 0, count: size)
        for index in entries.indices { insertSlot(of: entries[index].user, UInt32(index + 1)) }
    }

    /// Whether every entry is found at its place, and nothing else.
    var isConsistent: Bool {
        guard slots.lazy.filter({ $0 != 0 }).count == entries.count else { return false }
        return entries.indices.allSatisfy { index in
            slot(of: entries[index].user, entries[index].device).map { Int(slots[$0]) - 1 == index } ?? false
        }
    }
}

extension PresenceEntry {
    /// An order that is the same everywhere.
    static func ordered(_ a: PresenceEntry, _ b: PresenceEntry) -> Bool {
        a.user != b.user ? a.user < b.user : a.device < b.device
    }
}
