import NIOCore
import RoostModel
import RoostProtocol

/// What a session wants to know of others' presence, and whether it may: one look at a time, at most one a second. Of
/// lists that come meanwhile the newest waits.
struct PresenceCheck: Sendable {
    static let interval: UInt64 = 1_000_000_000

    var waiting: ClientSubscription?
    var isUnderWay = false
    /// On the node's clock.
    var notBefore: UInt64 = 0
    /// What the session watches.
    var users: [UserID] = []
}

extension Device {
    func subscribe(_ subscription: ClientSubscription) {
        let limit = context.configuration.limits.maxPresenceSubscriptions
        var subscription = subscription
        subscription.users = Set(subscription.users).sorted()
        guard subscription.users.count <= limit else {
            return refuse(.invalidField, "presence: at most \(limit) users", id: subscription.id)
        }
        presenceCheck.waiting = subscription
        checkPresence()
    }

    private func checkPresence() {
        guard socket != nil, !presenceCheck.isUnderWay, let wanted = presenceCheck.waiting else { return }
        let now = context.clock.now()
        guard now >= presenceCheck.notBefore else {
            return schedulePresence(after: presenceCheck.notBefore - now) { $0.checkPresence() }
        }
        presenceCheck.waiting = nil
        presenceCheck.isUnderWay = true
        presenceCheck.notBefore = now + PresenceCheck.interval
        node.onCore {
            $0.contacts(of: self.request.user, among: wanted.users) { [weak self] contacts in
                self?.onCore { $0.presenceChecked(wanted, contacts) }
            }
        }
    }

    private func presenceChecked(_ wanted: ClientSubscription, _ contacts: [UserID]?) {
        presenceCheck.isUnderWay = false
        guard socket != nil else { return }
        defer { afterCheck() }
        guard let contacts else {
            return refuse(
                .unavailable, "presence: whom you may watch can't be looked up just now", id: wanted.id,
                retryAfter: UInt32.random(in: 500...1_500, using: &messageIDs))
        }
        guard node.onCore({ $0.startWatching(self.slot, contacts) }) else {
            return refuse(
                .rateLimited, "presence: this node watches too many users", id: wanted.id,
                retryAfter: UInt32.random(in: 5_000...15_000, using: &messageIDs))
        }
        presenceCheck.users = contacts
        let known = Set(contacts)
        var frame = ByteBuffer()
        // The same of strangers and of those who do not exist.
        SubscribedFrame(id: wanted.id, refused: wanted.users.filter { !known.contains($0) }).write(into: &frame)
        write(frame)
    }

    /// What came meanwhile is next; else whether the session may still watch whom it watches, after a while.
    private func afterCheck() {
        guard presenceCheck.waiting == nil else { return checkPresence() }
        guard !presenceCheck.users.isEmpty else {
            presenceTimer?.cancel()
            return
        }
        let interval = UInt64(context.configuration.timing.presenceRecheckSeconds) * 1_000_000_000
        // Sessions that came at once are not looked at at once.
        let spread = UInt64.random(in: interval / 2...interval, using: &messageIDs)
        schedulePresence(after: spread) { $0.recheckPresence() }
    }

    private func recheckPresence() {
        guard socket != nil, !presenceCheck.isUnderWay else { return }
        presenceCheck.isUnderWay = true
        let users = presenceCheck.users
        node.onCore {
            $0.stillContacts(of: self.request.user, among: users) { [weak self] contacts in
                self?.onCore { $0.presenceRechecked(contacts) }
            }
        }
    }

    private func presenceRechecked(_ contacts: [UserID]?) {
        presenceCheck.isUnderWay = false
        guard socket != nil else { return }
        // Where it can't be looked up, another time.
        if let contacts {
            let known = Set(contacts)
            let lost = presenceCheck.users.filter { !known.contains($0) }
            presenceCheck.users = contacts
            if !lost.isEmpty { node.onCore { $0.stopWatching(self.slot, lost) } }
        }
        afterCheck()
    }

    private func schedulePresence(after delay: UInt64, _ body: @escaping @Sendable (isolated Device) -> Void) {
        presenceTimer?.cancel()
        presenceTimer = context.clock.schedule(after: delay) { [weak self] in self?.onCore { body($0) } }
    }

    func tell(_ frames: [PresenceFrame]) {
        for frame in frames {
            var buffer = ByteBuffer()
            frame.write(into: &buffer)
            write(buffer)
        }
        context.counters.presenceTold.increment(by: UInt64(frames.count))
    }
}
