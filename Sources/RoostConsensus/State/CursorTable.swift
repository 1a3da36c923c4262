internal import RoostModel

/// The cursors of one conversation.
struct CursorTable: Sendable {
    struct Slot: Sendable {
        var user: UserID
        /// Of `DeviceNames`.
        var device: UInt32
        var seq: UInt64
    }

    /// Sorted by (user, device number).
    private(set) var slots: [Slot] = []

    func seq(user: UserID, device: UInt32) -> UInt64? {
        let position = position(user, device)
        return matches(position, user, device) ? slots[position].seq : nil
    }

    /// Whether the cursor went forward.
    mutating func advance(user: UserID, device: UInt32, to seq: UInt64) -> Bool {
        let position = position(user, device)
        guard matches(position, user, device) else {
            slots.insert(Slot(user: user, device: device, seq: seq), at: position)
            return true
        }
        guard seq > slots[position].seq else { return false }
        slots[position].seq = seq
        return true
    }

    /// Whether there was one.
    mutating func remove(user: UserID, device: UInt32) -> Bool {
        let position = position(user, device)
        guard matches(position, user, device) else { return false }
        slots.remove(at: position)
        return true
    }

    private func position(_ user: UserID, _ device: UInt32) -> Int {
        slots.lowerBound { $0.user != user ? $0.user < user : $0.device < device }
    }

    private func matches(_ position: Int, _ user: UserID, _ device: UInt32) -> Bool {
        position < slots.count && slots[position].user == user && slots[position].device == device
    }
}

/// Small numbers for device names, which are texts of up to 64 bytes and stand in many cursors. The numbers are of this
/// process: nothing that leaves it may depend on them.
struct DeviceNames: Sendable {
    private var numbers: [DeviceID: UInt32] = [:]
    private var names: [DeviceID] = []

    subscript(_ number: UInt32) -> DeviceID { names[Int(number)] }
    func number(of name: DeviceID) -> UInt32? { numbers[name] }

    mutating func intern(_ name: DeviceID) -> UInt32 {
        if let known = numbers[name] { return known }
        let number = UInt32(names.count)
        names.append(name)
        numbers[name] = number
        return number
    }
}
