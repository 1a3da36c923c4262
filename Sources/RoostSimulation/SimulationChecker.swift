import RoostModel
import RoostNode
import RoostProtocol

/// Judges from outside what a cluster promised: by what devices sent, were answered and were sent, against what stands
/// in the logs in the end.
package struct SimulationChecker {
    private let cluster: SimulationCluster
    private let devices: [SimulationDevice]

    package init(_ cluster: SimulationCluster, _ devices: [SimulationDevice]) {
        self.cluster = cluster
        self.devices = devices
    }

    /// Runs until every device has everything; the breaches that are left after `milliseconds` of virtual time.
    package func settle(milliseconds: UInt64 = 60_000) -> [String] {
        let end = cluster.executor.now + milliseconds * 1_000_000
        var found = ["nothing was checked"]
        while !found.isEmpty && cluster.executor.now < end {
            cluster.run(milliseconds: 500)
            found = breaches()
        }
        return found
    }

    /// Each line is a breach. Only once nothing is under way any more does it have to be empty.
    package func breaches() -> [String] {
        var found = devices.flatMap(\.violations) + cluster.checkInvariants()
        if cluster.network.undecodable > 0 { found.append("frames that could not be decoded") }
        var logs: [ConversationID: [Node.LoggedMessage]] = [:]
        for id in cluster.nodeIDs { logs.merge(cluster.onNode(id) { $0.ledMessages() } ?? [:]) { $1 } }
        for (conversation, log) in logs.sorted(by: { $0.key < $1.key }) {
            for (place, item) in log.enumerated() where item.message.seq != UInt64(place + 1) {
                found.append("\(conversation): seq \(item.message.seq) in place \(place + 1)")
            }
            var ids: Set<MessageID> = []
            for item in log where !ids.insert(item.message.id).inserted {
                found.append("\(conversation): \(item.message.id) stands there twice")
            }
        }
        for device in devices { found += breaches(of: device, logs) }
        return found
    }

    private func breaches(
        of device: SimulationDevice, _ logs: [ConversationID: [Node.LoggedMessage]]
    ) -> [String] {
        var found: [String] = []
        if !device.outbox.isEmpty { found.append("\(device.outbox.count) sends not answered") }
        // Accepted means in the log, as sent, in the order of sending.
        var last: [ConversationID: UInt64] = [:]
        for item in device.sent {
            guard let answer = device.accepted[item.id] else { continue }
            let log = logs[answer.conversation] ?? []
            guard let logged = log.first(where: { $0.message.id == item.id })?.message else {
                found.append("accepted \(item.id) is lost")
                continue
            }
            if logged.seq != answer.seq || logged.sentAt != answer.sentAt || logged.sender != device.user
                || logged.content != item.send.content
            {
                found.append("accepted \(item.id) as \(answer.seq), and it is \(logged.seq)")
            }
            // Of one who was out for a while, what was refused may be accepted when it is sent again, after what followed.
            let wasAlwaysIn = log.allSatisfy { $0.readers.contains(device.user) }
            if wasAlwaysIn, logged.seq <= last[answer.conversation] ?? 0 {
                found.append("\(logged.seq) was sent earlier")
            }
            last[answer.conversation] = logged.seq
        }
        for id in device.refused.keys.sorted()
        where logs.values.contains(where: { $0.contains { $0.message.id == id } }) {
            found.append("refused \(id) is in the log")
        }
        if device.start == .all && device.reconnects { found += missing(at: device, logs) }
        return found.map { "\(device.user) \(device.device): \($0)" }
    }

    private func missing(at device: SimulationDevice, _ logs: [ConversationID: [Node.LoggedMessage]]) -> [String] {
        var found = device.isCaughtUp ? [] : ["not caught up"]
        for (conversation, log) in logs.sorted(by: { $0.key < $1.key }) {
            let due = log.filter { item in
                item.readers.contains(device.user)
                    && !(item.message.sender == device.user && item.message.originDevice == device.device)
            }.map(\.message)
            let got = (device.received[conversation] ?? []).sorted { $0.seq < $1.seq }
            guard due != got else { continue }
            let lacks = due.filter { !got.contains($0) }.map(\.seq)
            let surplus = got.filter { !due.contains($0) }.map(\.seq)
            found.append("\(conversation): lacks \(lacks.prefix(5)) (\(lacks.count)), surplus \(surplus.prefix(5))")
        }
        return found
    }
}
