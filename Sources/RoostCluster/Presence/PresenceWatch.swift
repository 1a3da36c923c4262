internal import DequeModule
package import RoostModel
package import RoostProtocol

/// Bounds and times of a `PresenceWatch`; nanoseconds.
package struct PresenceWatchLimits: Sendable, Equatable {
    /// Who is back within it was never away: a phone that changes its network.
    package var debounce: UInt64 = 3_000_000_000
    /// Users remembered to have gone just now, be they watched or not.
    package var gone = 65_536
    /// Pairs of a session and a user it watches, of the whole node: some 100 MB.
    package var subscriptions = 1_000_000
    /// What was read about when a user was online last holds for so long: who hides it is hidden within a second.
    package var seenLifetime: UInt64 = 1_000_000_000
    package init() {}
}

/// Whom the sessions of this node watch, what they were told, and what they are still to be told. A pure machine:
/// changes of the presence table go in, what a session may be written comes out when its socket has room (`take`).
///
/// Nothing is queued but whom a session is to be told of: what it is told is what holds when it is told. So a user who
/// comes and goes costs a slow session one frame, none if nothing changed in the end, and who can't keep up is told
/// less. Never the same twice in a row.
///
/// Its shell owes it:
/// 1. `changed` for every watched user whose devices came or went, on whatever visible node; `gone` for all who went,
///    `manyGone` where a whole node did.
/// 2. `settle` at `nextDue`.
/// 3. While `hasReady`, `take` for the slots that `nextReady` gives, or `postpone` for those that can't be written now.
/// 4. Of whom `take` asks, `seen` with what the log says, or that nothing is known.
package struct PresenceWatch: Sendable {
    package let limits: PresenceWatchLimits
    /// Until then it may not know yet who is connected elsewhere, nanoseconds.
    private var knowsAll: UInt64
    private var watched: [UserID: Watched] = [:]
    private var subscribers: [UInt32: Subscriber] = [:]
    /// Sessions with something to be told.
    private var ready = UniqueQueue<UInt32>()
    /// In the order of their time, since all wait equally long; one whose user came back meanwhile counts no more.
    private var dues: Deque<(at: UInt64, user: UserID)> = []
    /// Who went within the debounce, and when.
    private var left: [UserID: UInt64] = [:]
    private var leavings: Deque<(at: UInt64, user: UserID)> = []
    /// Pairs of a session and a user.
    package private(set) var subscriptions = 0

    struct Watched: Sendable {
        /// Ascending.
        var sessions: ContiguousArray<UInt32> = []
        /// As the presence table has it.
        var isOnline: Bool
        /// What counts: offline only after the debounce. Nil: not known yet.
        var counts: Bool?
        /// When offline counts.
        var due: UInt64?
        var lastSeen: Int64?
        /// When that was read.
        var readAt: UInt64?
        var isAsked = false
    }

    enum Told: Sendable, Equatable { case nothing, online, offline }

    struct Subscriber: Sendable {
        /// What was told last.
        var told: [UserID: Told] = [:]
        var waiting = UniqueQueue<UserID>()
        /// Told to be online, and not to be watched any more.
        var endings: [UserID] = []
        var hasSomething: Bool { !waiting.isEmpty || !endings.isEmpty }
    }

    /// - Parameter settles: for how long after its start a node may not know who is connected elsewhere, nanoseconds.
    package init(limits: PresenceWatchLimits = .init(), now: UInt64 = 0, settles: UInt64 = 0) {
        self.limits = limits
        knowsAll = now + settles
    }

    package func isWatched(_ user: UserID) -> Bool { watched[user] != nil }
    /// Ascending.
    package var watchedUsers: [UserID] { watched.keys.sorted() }
    package func users(of slot: UInt32) -> [UserID] { subscribers[slot]?.told.keys.sorted() ?? [] }

    // MARK: Who watches whom

    /// Replaces what a session watches. Those that stay are not told again. False, and nothing changes, where there is
    /// no room for so many.
    /// - Parameter isOnline: as the presence table has it; asked of those who were not watched before.
    package mutating func subscribe(
        _ slot: UInt32, to users: [UserID], now: UInt64, isOnline: (UserID) -> Bool
    ) -> Bool {
        let wanted = Set(users)
        let former = subscribers[slot]
        guard subscriptions - (former?.told.count ?? 0) + wanted.count <= limits.subscriptions else { return false }
        for user in former?.told.keys.sorted() ?? [] where !wanted.contains(user) { leave(user, slot) }
        var subscriber = subscribers[slot] ?? Subscriber()
        let ended = Set(subscriber.endings)
        subscriber.endings = []
        for user in wanted.sorted() where subscriber.told[user] == nil {
            subscriber.told[user] = ended.contains(user) ? .online : .nothing
            subscriptions += 1
            join(user, slot, isOnline: isOnline, now: now)
            subscriber.waiting.append(user)
        }
        subscribers[slot] = subscriber.told.isEmpty ? nil : subscriber
        if subscriber.hasSomething { ready.append(slot) } else { ready.remove(slot) }
        return true
    }

    /// It may not watch these any more: one last word that they are offline, where it knew them online.
    package mutating func revoke(_ users: [UserID], from slot: UInt32) {
        for user in users.sorted() {
            guard let told = subscribers[slot]?.told[user] else { continue }
            leave(user, slot)
            if told == .online { subscribers[slot]?.endings.append(user) }
        }
        guard let subscriber = subscribers[slot] else { return }
        if subscriber.hasSomething { ready.append(slot) } else { ready.remove(slot) }
        if subscriber.told.isEmpty, !subscriber.hasSomething { subscribers[slot] = nil }
    }

    /// The session is gone.
    package mutating func end(_ slot: UInt32) {
        for user in subscribers[slot]?.told.keys.sorted() ?? [] { leave(user, slot) }
        subscribers[slot] = nil
        ready.remove(slot)
    }

    private mutating func join(_ user: UserID, _ slot: UInt32, isOnline: (UserID) -> Bool, now: UInt64) {
        if watched[user] == nil { watched[user] = begin(user, isOnline: isOnline(user), now: now) }
        guard let place = watched[user]?.sessions.place(of: slot) else { return }
        watched[user]?.sessions.insert(slot, at: place)
    }

    private mutating func begin(_ user: UserID, isOnline: Bool, now: UInt64) -> Watched {
        if isOnline { return Watched(isOnline: true, counts: true) }
        // One who was there just now may be changing networks; a node that has just started, or has just lost sight of
        // another, may not know where he is.
        var due = left[user].map { $0 + limits.debounce } ?? 0
        if now < knowsAll { due = max(due, now + limits.debounce) }
        guard due > now else { return Watched(isOnline: false, counts: false) }
        // Not before what waits already: the queue is in the order of time.
        due = max(due, dues.last?.at ?? 0)
        dues.append((due, user))
        return Watched(isOnline: false, counts: nil, due: due)
    }

    private mutating func leave(_ user: UserID, _ slot: UInt32) {
        guard subscribers[slot]?.told.removeValue(forKey: user) != nil else { return }
        subscribers[slot]?.waiting.remove(user)
        subscriptions -= 1
        guard let place = watched[user]?.sessions.place(of: slot), place < watched[user]?.sessions.count ?? 0 else {
            return
        }
        watched[user]?.sessions.remove(at: place)
        if watched[user]?.sessions.isEmpty == true { watched[user] = nil }
    }

    // MARK: Who is online

    /// What the presence table says of a user now.
    package mutating func changed(_ user: UserID, isOnline: Bool, now: UInt64) {
        guard var state = watched[user], state.isOnline != isOnline else { return }
        state.isOnline = isOnline
        if isOnline {
            state.due = nil
            let isNews = state.counts != true
            state.counts = true
            watched[user] = state
            if isNews { tell(state.sessions, of: user) }
        } else {
            let due = max(now + limits.debounce, dues.last?.at ?? 0)
            state.due = due
            state.readAt = nil
            watched[user] = state
            dues.append((due, user))
        }
    }

    /// A device of a user went.
    package mutating func gone(_ user: UserID, now: UInt64) {
        forgetLeavings(now: now)
        left[user] = now
        leavings.append((now, user))
        if leavings.count > limits.gone { forgetFirstLeaving() }
    }

    /// All devices at some node went at once.
    package mutating func manyGone(now: UInt64) { knowsAll = max(knowsAll, now + limits.debounce) }

    private mutating func forgetLeavings(now: UInt64) {
        while let first = leavings.first, first.at + limits.debounce <= now { forgetFirstLeaving() }
    }

    private mutating func forgetFirstLeaving() {
        let (at, user) = leavings.removeFirst()
        if left[user] == at { left[user] = nil }
    }

    /// When `settle` is due; nil where nobody has gone.
    package var nextDue: UInt64? { dues.first?.at }

    /// Those who have been away for long enough count as offline.
    package mutating func settle(now: UInt64) {
        while let (at, user) = dues.first, at <= now {
            dues.removeFirst()
            guard let state = watched[user], state.due == at else { continue }
            watched[user]?.due = nil
            watched[user]?.counts = false
            tell(state.sessions, of: user)
        }
    }

    private mutating func tell(_ sessions: ContiguousArray<UInt32>, of user: UserID) {
        for slot in sessions {
            subscribers[slot]?.waiting.append(user)
            ready.append(slot)
        }
    }

    // MARK: Telling

    package var hasReady: Bool { !ready.isEmpty }
    package var readyCount: Int { ready.count }

    /// The next session with something to be told; it is to be given back by `take` or `postpone`.
    package mutating func nextReady() -> UInt32? { ready.popFirst() }

    /// Not now: behind all others that wait.
    package mutating func postpone(_ slot: UInt32) {
        if subscribers[slot]?.hasSomething == true { ready.append(slot) }
    }

    /// What a session is to be told now, at most `limit`; of whom it first has to be known when they were last seen, in
    /// `asks`. What is left waits.
    package mutating func take(
        _ slot: UInt32, limit: Int, now: UInt64, asks: inout [UserID]
    ) -> [PresenceFrame] {
        guard var subscriber = subscribers[slot] else { return [] }
        subscribers[slot] = nil  // So that it has one owner while it changes.
        var frames: [PresenceFrame] = []
        while frames.count < limit, let user = subscriber.endings.popLast() {
            frames.append(PresenceFrame(user: user, status: .offline(lastSeen: nil)))
        }
        var unread: [UserID] = []
        while frames.count < limit, unread.count < limit, let user = subscriber.waiting.popFirst() {
            guard let state = watched[user], let counts = state.counts,
                subscriber.told[user] != (counts ? .online : .offline)
            else { continue }
            if counts {
                frames.append(PresenceFrame(user: user, status: .online))
            } else if let readAt = state.readAt, now < readAt + limits.seenLifetime {
                frames.append(PresenceFrame(user: user, status: .offline(lastSeen: state.lastSeen)))
            } else {
                unread.append(user)
                if !state.isAsked {
                    watched[user]?.isAsked = true
                    asks.append(user)
                }
                continue
            }
            subscriber.told[user] = counts ? .online : .offline
        }
        for user in unread { subscriber.waiting.append(user) }
        if subscriber.hasSomething { ready.append(slot) }
        if subscriber.hasSomething || !subscriber.told.isEmpty { subscribers[slot] = subscriber }
        return frames
    }

    /// When a user was online last, as of `now`; nil where that is not known, or not for others.
    package mutating func seen(_ user: UserID, _ lastSeen: Int64?, now: UInt64) {
        guard watched[user] != nil else { return }
        watched[user]?.lastSeen = lastSeen
        watched[user]?.readAt = now
        watched[user]?.isAsked = false
    }
}

extension ContiguousArray<UInt32> {
    /// Where `slot` is or belongs, in an ascending array.
    fileprivate func place(of slot: UInt32) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < slot { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension PresenceWatch {
    /// What must hold between events; empty if it does. It walks everything.
    package func checkInvariants() -> [String] {
        var broken: [String] = []
        var pairs = 0
        for slot in subscribers.keys.sorted() {
            guard let subscriber = subscribers[slot] else { continue }
            pairs += subscriber.told.count
            if subscriber.hasSomething != ready.contains(slot) { broken.append("\(slot): ready or not") }
            if subscriber.told.isEmpty, !subscriber.hasSomething { broken.append("\(slot): watches nobody") }
            if subscriber.waiting.count > subscriber.told.count { broken.append("\(slot): waits for too many") }
            for (user, told) in subscriber.told.sorted(by: { $0.key < $1.key }) {
                guard let state = watched[user] else {
                    broken.append("\(slot): \(user) is not watched")
                    continue
                }
                if !state.sessions.contains(slot) { broken.append("\(slot): not among those who watch \(user)") }
                if let counts = state.counts, told != (counts ? .online : .offline), !subscriber.waiting.contains(user)
                {
                    broken.append("\(slot): will not be told of \(user)")
                }
            }
        }
        for user in watchedUsers {
            guard let state = watched[user] else { continue }
            pairs -= state.sessions.count
            if state.sessions.isEmpty { broken.append("\(user): watched by nobody") }
            if zip(state.sessions, state.sessions.dropFirst()).contains(where: { $0 >= $1 }) {
                broken.append("\(user): sessions out of order")
            }
            if state.isOnline, state.counts != true || state.due != nil { broken.append("\(user): online or not") }
            if !state.isOnline, (state.counts != false) != (state.due != nil) {
                broken.append("\(user): never offline")
            }
        }
        if pairs != 0 { broken.append("\(pairs) subscriptions on one side only") }
        if leavings.count > limits.gone || left.count > leavings.count {
            broken.append("too many remembered to be gone")
        }
        if subscriptions > limits.subscriptions { broken.append("too many subscriptions") }
        return broken
    }
}
