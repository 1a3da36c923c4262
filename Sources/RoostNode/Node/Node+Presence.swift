import RoostCluster
import RoostConsensus
import RoostModel
import RoostProtocol

/// Telling sessions who is online: of whom they have asked for, when nothing else is to be written to them.
extension Node {
    /// Changes gather for so long, nanoseconds.
    private static let presenceTick: UInt64 = 50_000_000
    /// In one tick, of all sessions together and of one: when a thousand users come at once, messages go first.
    private static let framesATick = 2_000
    private static let framesASession = 64
    /// Sessions looked at in one tick.
    private static let sessionsATick = 2_000
    /// Users in one read.
    private static let usersARead = 500

    static func presenceWatch(_ configuration: ClusterConfig, now: UInt64) -> PresenceWatch {
        var limits = PresenceWatchLimits()
        limits.debounce = UInt64(configuration.timing.presenceDebounceMilliseconds) * 1_000_000
        return PresenceWatch(limits: limits, now: now, settles: 5_000_000_000)
    }

    // MARK: Who is online

    /// A device of the user came or went.
    func presenceChanged(_ user: UserID, isGone: Bool = false) {
        if isGone { watch.gone(user, now: context.clock.now()) }
        guard watch.isWatched(user) else { return }
        watch.changed(user, isOnline: !presence.sessions(of: user).isEmpty, now: context.clock.now())
        scheduleWatch()
    }

    /// A node came or went.
    func presenceReread() {
        watch.manyGone(now: context.clock.now())
        for user in watch.watchedUsers { presenceChanged(user) }
    }

    // MARK: Who may watch whom

    /// Those of `users` with whom the user shares a conversation, as the leaders say; nil where that can't be known.
    func contacts(
        of user: UserID, among users: [UserID], _ completion: @escaping @Sendable ([UserID]?) -> Void
    ) {
        let others = users.filter { $0 != user }
        let own = users.filter { $0 == user }
        guard !others.isEmpty else { return completion(own) }
        readAll({ _ in .contacts(of: user, among: others) }) { answers in
            var found = Set(own)
            var isWhole = true
            for answer in answers {
                if case .users(let some) = answer { found.formUnion(some) } else { isWhole = false }
            }
            completion(isWhole || found.count == Set(users).count ? found.sorted() : nil)
        }
    }

    /// As `contacts`, of those whom the session watches already. What the replicas here say is enough to go on; only
    /// who is not found in them is asked for.
    func stillContacts(
        of user: UserID, among users: [UserID], _ completion: @escaping @Sendable ([UserID]?) -> Void
    ) {
        var left = users.filter { $0 != user }
        for partition in sortedPartitions where !left.isEmpty {
            let found = Set(partition.onCore { [left] in $0.state.contacts(of: user, among: left) })
            left.removeAll { found.contains($0) }
        }
        let known = Set(users).subtracting(left)
        contacts(of: user, among: left) { found in
            completion(found.map { known.union($0).sorted() })
        }
    }

    /// False where there is no room for so many.
    func startWatching(_ slot: UInt32, _ users: [UserID]) -> Bool {
        guard sessions[slot] != nil else { return true }
        let taken = watch.subscribe(slot, to: users, now: context.clock.now()) { user in
            !presence.sessions(of: user).isEmpty
        }
        scheduleWatch()
        return taken
    }

    func stopWatching(_ slot: UInt32, _ users: [UserID]) {
        watch.revoke(users, from: slot)
        scheduleWatch()
    }

    // MARK: Telling

    private func scheduleWatch() {
        let now = context.clock.now()
        guard let next = watch.hasReady ? now + Self.presenceTick : watch.nextDue,
            watchDeadline.map({ next < $0 }) ?? true
        else { return }
        watchTimer?.cancel()
        watchDeadline = next
        watchTimer = context.clock.schedule(after: next > now ? next - now : 0) { [weak self] in
            self?.onCore {
                $0.watchDeadline = nil
                $0.tellPresence()
            }
        }
    }

    private func tellPresence() {
        let now = context.clock.now()
        watch.settle(now: now)
        var room = Self.framesATick
        var asks: [UserID] = []
        for _ in 0..<min(watch.readyCount, Self.sessionsATick) where room > 0 {
            guard let slot = watch.nextReady() else { break }
            guard let device = sessions[slot]?.device, device.onCore({ $0.hasRoomForPresence }) else {
                watch.postpone(slot)
                continue
            }
            let frames = watch.take(slot, limit: min(room, Self.framesASession), now: now, asks: &asks)
            room -= frames.count
            if !frames.isEmpty { device.onCore { $0.tell(frames) } }
        }
        readLastSeen(asks)
        scheduleWatch()
    }

    /// What can't be read is not told.
    private func readLastSeen(_ users: [UserID]) {
        var byPartition: [PartitionID: [UserID]] = [:]
        for user in users { byPartition[PartitionID(of: user.uuid, count: partitionCount), default: []].append(user) }
        for (partition, users) in byPartition.sorted(by: { $0.key < $1.key }) {
            var rest = users[...]
            while !rest.isEmpty {
                let some = Array(rest.prefix(Self.usersARead))
                rest = rest.dropFirst(some.count)
                call(.read(.lastSeen(some)), partition: partition) { [weak self] outcome in
                    self?.onCore { $0.lastSeenRead(some, outcome) }
                }
            }
        }
    }

    private func lastSeenRead(_ users: [UserID], _ outcome: CallOutcome) {
        var times: [UserID: Int64] = [:]
        if case .read(.lastSeen(let found)) = outcome {
            for entry in found where !entry.isHidden {
                times[entry.user] = entry.devices.map { device in
                    presence.lastOnline(user: entry.user, device: device.device) ?? device.seenAt
                }.max()
            }
        }
        let now = context.clock.now()
        for user in users { watch.seen(user, times[user], now: now) }
        scheduleWatch()
    }
}
