package import RoostModel
package import RoostProtocol

extension PresenceTable {
    /// A user's devices over the own and all visible parts, sorted by device, then node. While a device moves, it may
    /// be met at two nodes: the higher generation is the newer session.
    package func sessions(of user: UserID) -> [(node: NodeID, entry: PresenceEntry)] {
        var found: [(node: NodeID, entry: PresenceEntry)] = []
        own.forEach(of: user) { found.append((me, $0)) }
        for part in parts where part.isVisible {
            part.table.forEach(of: user) { found.append((part.node, $0)) }
        }
        if found.count > 1 {
            found.sort { $0.entry.device != $1.entry.device ? $0.entry.device < $1.entry.device : $0.node < $1.node }
        }
        return found
    }

    /// Users online above `user`, ascending, at most `limit`.
    package func users(after user: UserID?, limit: Int) -> [UserID] {
        var lowest = Lowest<UserID>(limit)
        for table in [own] + parts.lazy.filter(\.isVisible).map(\.table) {
            for entry in table.entries where user.map({ entry.user > $0 }) ?? true { lowest.insert(entry.user) }
        }
        return lowest.take()
    }

    /// All devices at a node, sorted by user and device; none while its part is hidden.
    package func devices(on node: NodeID) -> [PresenceEntry] {
        guard let table = visibleTable(of: node) else { return [] }
        return table.entries.sorted(by: PresenceEntry.ordered)
    }

    /// Calls `body` with every device at a visible node, in no stated order, without copying.
    package func forEachDevice(on node: NodeID, _ body: (PresenceEntry) -> Void) {
        visibleTable(of: node)?.entries.forEach(body)
    }

    private func visibleTable(of node: NodeID) -> PresenceEntryTable? {
        if node == me { return own }
        guard let index = find(node), parts[index].isVisible else { return nil }
        return parts[index].table
    }

    /// The session that replaces one of `generation`, if there is one, wherever it is: the highest generation wins.
    package func newerSession(
        user: UserID, device: DeviceID, than generation: Generation
    ) -> (node: NodeID, entry: PresenceEntry)? {
        var newest: (node: NodeID, entry: PresenceEntry)?
        for found in sessions(of: user) where found.entry.device == device {
            if found.entry.generation > newest?.entry.generation ?? generation { newest = found }
        }
        return newest
    }

    package func deviceCount(on node: NodeID) -> Int { visibleTable(of: node)?.count ?? 0 }

    /// Devices connected at the own node and all visible ones.
    package var onlineDevices: Int {
        parts.reduce(own.count) { $0 + ($1.isVisible ? $1.table.count : 0) }
    }

    /// How far each visible part goes, sorted by node.
    package var versions: [PresenceDigest] { digests().sorted { $0.node < $1.node } }

    package var ownVersion: UInt64 { log.version }

    /// How far another node's part goes here; 0 where nothing is known of it.
    package func version(of node: NodeID) -> UInt64 { find(node).map { parts[$0].version } ?? 0 }

    /// When a device that is not connected was so last, microseconds since 1970, as far as it is remembered: since it
    /// said goodbye, or since its node was declared dead.
    package func lastOnline(user: UserID, device: DeviceID) -> Int64? {
        var latest = lastOnlineTimes[PresenceKey(user: user, device: device)]
        for part in parts {
            guard let hidden = part.hiddenSince, part.table.find(user, device) != nil else { continue }
            latest = max(latest ?? hidden, hidden)
        }
        return latest
    }

    /// What must hold between events; empty if it does.
    package func checkInvariants() -> [String] {
        var broken: [String] = []
        if !own.isConsistent { broken.append("\(me): own entries are inconsistent") }
        if log.count > limits.keptChanges { broken.append("\(me): too many changes kept") }
        if lastOnlineTimes.count > limits.lastOnline { broken.append("\(me): too many last times online") }
        if parts.count > limits.maxParts { broken.append("\(me): too many parts") }
        for part in parts {
            if !part.table.isConsistent { broken.append("\(me): entries of \(part.node) are inconsistent") }
            if part.node == me { broken.append("\(me): holds its own part twice") }
        }
        if partNodes != parts.map(\.node) { broken.append("\(me): nodes are not those of the parts") }
        for (a, b) in zip(parts, parts.dropFirst()) where !(a.node < b.node) {
            broken.append("\(me): parts are out of order")
        }
        return broken
    }
}
