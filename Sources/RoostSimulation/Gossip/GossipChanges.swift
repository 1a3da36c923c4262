import RoostCluster
import RoostModel
import RoostProtocol

/// Devices that come and go.
struct GossipDevices {
    /// Of each node, by which number a device is known, and whether it is there.
    private var isThere: [[Bool]]
    private var next: [Int]
    private var sessions: UInt64 = 0

    /// More than change within a batch, so that none changes twice in one.
    init(nodes: Int, each: Int) {
        isThere = Array(repeating: Array(repeating: false, count: each), count: nodes)
        next = Array(repeating: 0, count: nodes)
    }

    /// The next device of a node appears, or disappears if it was there.
    mutating func change(_ node: Int, in cluster: inout GossipCluster) {
        let number = next[node]
        next[node] = (number + 1) % isThere[node].count
        let user = UserID(UUID128(high: StableHash.mix(UInt64(node)), low: StableHash.mix(UInt64(number))))
        let device = DeviceID(validated: "phone")
        let appears = !isThere[node][number]
        isThere[node][number] = appears
        sessions += 1
        let session = SessionID(UInt64(node) << 32 | UInt64(number))
        let count = sessions
        cluster.change(node) { table, now in
            if appears {
                let entry = PresenceEntry(
                    user: user, device: device, session: session, generation: Generation(term: 7, count: count),
                    since: Int64(now / 1_000))
                table.announce(entry, now: now)
            } else {
                table.withdraw(user: user, device: device, session: session, at: Int64(now / 1_000), now: now)
            }
        }
        cluster.watch.changed(node, now: cluster.now)
    }
}
