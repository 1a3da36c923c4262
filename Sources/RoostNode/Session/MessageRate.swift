import RoostCluster
import RoostModel

/// How fast a device may send.
struct MessageRate {
    /// Refused in a row: a client that does not heed them is hung up on.
    static let patience = 10_000

    var bucket = TokenBucket()
    var refused = 0
}

extension Device {
    /// Milliseconds until this device, and its user at this node, may send one more; nil: at once, and it is taken.
    func takeMessage() -> UInt64? {
        let limits = context.configuration.limits
        let now = context.clock.now()
        let own = RateLimit(limits.messagesPerSecondDevice, atOnce: 10)
        // The user's is taken only where the device may.
        var wait = own.flatMap { messageRate.bucket.wait($0, now: now) }
        if wait == nil, let limit = RateLimit(limits.messagesPerSecondUser, atOnce: 10) {
            wait = node.onCore { $0.users[self.request.user]?.onCore { $0.takeMessage(limit, now: now) } ?? nil }
        }
        guard let wait else {
            if let own { _ = messageRate.bucket.take(own, now: now) }
            messageRate.refused = 0
            return nil
        }
        messageRate.refused += 1
        context.counters.sendsLimited.increment()
        return wait / 1_000_000 + 1
    }

    /// True where it was too much, and the session has ended.
    func losesPatience() -> Bool {
        guard messageRate.refused > MessageRate.patience else { return false }
        close(code: 4429, reason: "too many messages, whatever the answers said")
        return true
    }
}
