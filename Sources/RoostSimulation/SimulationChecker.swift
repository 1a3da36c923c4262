import RoostModel
import RoostNode
import RoostProtocol

/// Judges from outside what a cluster promised: by what devices sent, were answered and were sent, against what stands
/// in the logs in the end.
package struct SimulationChecker {
    private typealias Log = [Node.LoggedMessage]
    private let cluster: SimulationCluster
    private let devices: [SimulationDevice]
    /// Devices may be given up, and lose what the retention removes: what they are told of is not missing.
    private let mayExpire: Bool

    package init(_ cluster: SimulationCluster, _ devices: [SimulationDevice], mayExpire: Bool = false) {
        self.cluster = cluster
        self.devices = devices
        self.mayExpire = mayExpire
    }

    /// Runs until every device has everything; the breaches that are left after `milliseconds` of virtual time.
    package func settle(milliseconds: UInt64 = 60_000) -> [Breach] {
        let end = cluster.executor.now + milliseconds * 1_000_000
        var found = [Breach(.selfHealing, "nothing was checked")]
        var pause: UInt64 = 500
        while !found.isEmpty && cluster.executor.now < end {
            cluster.run(milliseconds: pause)
            // All logs are read and compared only once there is nothing under way, and then more and more seldom.
            if isUnderWay, cluster.executor.now < end { continue }
            found = breaches()
            pause = min(2 * pause, 8_000)
        }
        return found
    }

    private var isUnderWay: Bool {
        devices.contains { !$0.outbox.isEmpty || ($0.start == .all && $0.reconnects && !$0.isCaughtUp) }
    }

    /// Only once nothing is under way any more does it have to be empty.
    package func breaches() -> [Breach] {
        var found = devices.flatMap(\.breaches) + cluster.checkInvariants()
        let (logs, wrong) = readLogs()
        found += wrong
        var places: [ConversationID: [MessageID: Int]] = [:]
        for (conversation, log) in logs.sorted(by: { $0.key < $1.key }) {
            var seen: [MessageID: Int] = [:]
            for (place, item) in log.enumerated() {
                guard let message = item.message else { continue }
                if seen.updateValue(place, forKey: message.id) != nil {
                    found.append(Breach(.idempotentSend, "\(conversation): \(message.id) stands there twice"))
                }
            }
            places[conversation] = seen
        }
        for device in devices {
            found += (breachesOfSends(by: device, logs, places) + breachesOfDelivery(to: device, logs)).map {
                Breach($0.promise, "\(device.user) \(device.device): \($0.text)")
            }
        }
        return found
    }

    /// What the leaders have; what the retention removed from there as the devices remember it, nil where none does.
    private func readLogs() -> ([ConversationID: Log], [Breach]) {
        var logs: [ConversationID: Log] = [:]
        var found: [Breach] = []
        for id in cluster.nodeIDs { logs.merge(cluster.onNode(id) { $0.ledMessages() } ?? [:]) { $1 } }
        var known: [ConversationID: [UInt64: Message]]?
        for (conversation, log) in logs.sorted(by: { $0.key < $1.key }) {
            for (place, item) in log.enumerated() {
                if item.seq != UInt64(place + 1) {
                    found.append(Breach(.oneOrder, "\(conversation): seq \(item.seq) in place \(place + 1)"))
                }
                guard item.message == nil else { continue }
                let all = known ?? remembered()
                known = all
                logs[conversation]?[place].message = all[conversation]?[item.seq]
            }
        }
        return (logs, found)
    }

    private func remembered() -> [ConversationID: [UInt64: Message]] {
        var known: [ConversationID: [UInt64: Message]] = [:]
        for device in devices {
            for (conversation, messages) in device.received {
                for message in messages { known[conversation, default: [:]][message.seq] = message }
            }
            for item in device.sent {
                guard let answer = device.accepted[item.id] else { continue }
                known[answer.conversation, default: [:]][answer.seq] = Message(
                    id: item.id, conversation: answer.conversation, seq: answer.seq, sender: device.user,
                    originDevice: device.device, type: item.send.type, content: item.send.content,
                    sentAt: answer.sentAt)
            }
        }
        return known
    }

    /// Accepted means in the log, as sent, in the order of sending; refused means not there.
    private func breachesOfSends(
        by device: SimulationDevice, _ logs: [ConversationID: Log], _ places: [ConversationID: [MessageID: Int]]
    ) -> [Breach] {
        var found: [Breach] = []
        if !device.outbox.isEmpty { found.append(Breach(.available, "\(device.outbox.count) sends not answered")) }
        var orders: [ConversationID: SendOrderCheck] = [:]
        var wasAlwaysIn: [ConversationID: Bool] = [:]
        for item in device.sent {
            guard let answer = device.accepted[item.id] else { continue }
            let log = logs[answer.conversation] ?? []
            guard let place = places[answer.conversation]?[item.id], let logged = log[place].message else {
                found.append(Breach(.durable, "accepted \(item.id) is lost"))
                continue
            }
            if logged.seq != answer.seq || logged.sentAt != answer.sentAt || logged.sender != device.user
                || logged.content != item.send.content
            {
                found.append(Breach(.durable, "accepted \(item.id) as \(answer.seq), and it is \(logged.seq)"))
            }
            // Of one who was out for a while, what was refused may be accepted when it is sent again, after what followed.
            let always =
                wasAlwaysIn[answer.conversation] ?? log.allSatisfy { $0.readers.contains(device.user) }
            wasAlwaysIn[answer.conversation] = always
            let isInOrder = orders[answer.conversation, default: .init()].take(
                seq: logged.seq, sent: item.at, unknownAt: device.unknownAt[item.id])
            if always, !isInOrder { found.append(Breach(.oneOrder, "\(logged.seq) was sent later than what follows")) }
        }
        // A refusal speaks of one attempt. What became of earlier ones is not known: one may still be under way, and come
        // when its sender is a member again.
        for id in device.refused.keys.sorted()
        where device.attempted[id] ?? 0 < 2 && places.values.contains(where: { $0[id] != nil }) {
            found.append(Breach(.idempotentSend, "refused \(id) is in the log"))
        }
        return found
    }

    private func breachesOfDelivery(to device: SimulationDevice, _ logs: [ConversationID: Log]) -> [Breach] {
        guard device.start == .all && device.reconnects else { return [] }
        var found = device.isCaughtUp ? [] : [Breach(.atLeastOnce, "not caught up")]
        for (conversation, log) in logs.sorted(by: { $0.key < $1.key }) {
            let due = log.filter { $0.readers.contains(device.user) }.compactMap(\.message).filter {
                !($0.sender == device.user && $0.originDevice == device.device)
            }
            let got = (device.received[conversation] ?? []).sorted { $0.seq < $1.seq }
            guard due != got else { continue }
            // What it acknowledged in one session may be removed while the next opens, which then hears of it as lost.
            let told = mayExpire ? device.skipped.filter { $0.conversation == conversation } : []
            let lacks = due.filter { message in
                !got.contains(message) && !told.contains { $0.from <= message.seq && message.seq <= $0.to }
            }.map(\.seq)
            let surplus = got.filter { !due.contains($0) }.map(\.seq)
            guard !lacks.isEmpty || !surplus.isEmpty else { continue }
            let text = "\(conversation): lacks \(lacks.prefix(5)) (\(lacks.count)), surplus \(surplus.prefix(5))"
            found.append(Breach(.atLeastOnce, text))
        }
        return found
    }
}

/// The order of one device's sends to one conversation, asked in the order of sending.
///
/// One whose outcome is unknown is sent again, and then stands behind whatever was under way when the client heard so: a
/// node can't tell a send that crossed this answer from one that was meant to follow it.
private struct SendOrderCheck {
    private var last: UInt64 = 0
    private var repeated: [(seq: UInt64, unknownAt: UInt64)] = []

    /// False where it stands before one that was sent earlier.
    mutating func take(seq: UInt64, sent: UInt64, unknownAt: UInt64?) -> Bool {
        let isInOrder = seq > last && !repeated.contains { $0.seq > seq && $0.unknownAt < sent }
        if let unknownAt { repeated.append((seq, unknownAt)) } else { last = max(last, seq) }
        return isInOrder
    }
}
