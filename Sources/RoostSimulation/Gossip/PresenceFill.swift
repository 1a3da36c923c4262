package import RoostCluster
package import RoostModel
import RoostProtocol

/// A node's presence table with the devices of others, as it comes to be by their deltas.
package struct PresenceFill {
    package private(set) var table = PresenceTable(me: "n0000", epoch: 1)
    private let devices: Int

    /// - Parameter idBytes: of a device's id.
    package init(nodes: Int, devices: Int, idBytes: Int) {
        self.devices = devices
        var actions: [PresenceTable.Action] = []
        var versions = Array(repeating: UInt64(0), count: nodes)
        var number = 0
        var turn = 0
        while number < devices {
            let batch = min(512, devices - number)
            let node = GossipNode.id(1 + turn % nodes)
            let from = versions[turn % nodes]
            let changes = (0..<batch).map { offset in
                PresenceChange(
                    version: from + UInt64(offset) + 1, online: true,
                    entry: Self.entry(number + offset, idBytes: idBytes))
            }
            versions[turn % nodes] = from + UInt64(batch)
            table.receive(
                .delta(node: node, epoch: 1, from: from, to: versions[turn % nodes], changes: changes), from: node,
                now: 0, into: &actions)
            actions.removeAll(keepingCapacity: true)
            number += batch
            turn += 1
        }
    }

    package static func user(_ number: Int) -> UserID {
        UserID(UUID128(high: StableHash.mix(UInt64(number)), low: StableHash.mix(~UInt64(number))))
    }

    private static func entry(_ number: Int, idBytes: Int) -> PresenceEntry {
        let digits = String(number)
        let text = String(repeating: "d", count: max(0, idBytes - digits.utf8.count)) + digits
        return PresenceEntry(
            user: user(number), device: DeviceID(validated: text), session: SessionID(UInt64(number)),
            generation: Generation(term: 7, count: UInt64(number)), since: Int64(number))
    }

    /// Where some users are connected: returns how many of their devices were found.
    package func read(_ count: Int) -> Int {
        var found = 0
        for number in 0..<count { found += table.sessions(of: Self.user(number &* 7_919 % devices)).count }
        return found
    }
}
