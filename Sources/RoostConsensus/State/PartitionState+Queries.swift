internal import RoostCluster
package import RoostModel
package import RoostProtocol

extension PartitionState {
    package func account(_ user: UserID) -> AccountRecord? { accountsByUser[user] }

    /// Sorted by user.
    package var accounts: [AccountRecord] { accountsByUser.values.sorted { $0.user < $1.user } }

    /// Those above `user`, sorted by user, at most `limit`; without their revocations, so that a thousand fit a frame.
    package func accounts(after user: UserID?, limit: Int) -> [AccountRecord] {
        var lowest = Lowest<UserID>(limit)
        for key in accountsByUser.keys where user.map({ key > $0 }) ?? true { lowest.insert(key) }
        return lowest.take().compactMap { key in
            guard var account = accountsByUser[key] else { return nil }
            account.revocations = TokenRevocations()
            return account
        }
    }

    /// Sorted by device.
    package func devices(of user: UserID) -> [DeviceRecord] { devicesByUser[user] ?? [] }

    package func lastSeen(of user: UserID) -> UserLastSeen? {
        accountsByUser[user].map {
            UserLastSeen(user: user, isHidden: $0.hidesLastSeen, devices: devices(of: user))
        }
    }

    /// Those of `users`, in their order, with whom `user` is a member of some conversation now.
    package func contacts(of user: UserID, among users: [UserID]) -> [UserID] {
        let shared = (positionsByUser[user] ?? []).filter { conversations[Int($0)].members.isCurrent(user) }
        guard !shared.isEmpty else { return [] }
        let places = Set(shared)
        return users.filter { other in
            let theirs = positionsByUser[other] ?? []
            guard theirs.count < shared.count else {
                return shared.contains { conversations[Int($0)].members.isCurrent(other) }
            }
            return theirs.contains { places.contains($0) && conversations[Int($0)].members.isCurrent(other) }
        }
    }

    /// Sorted by id.
    package var signingKeys: [SigningKey] { keys }

    package var accountCount: Int { accountsByUser.count }
    package var conversationCount: Int { conversations.count }
    package func conversationCount(of user: UserID) -> Int { positionsByUser[user]?.count ?? 0 }

    package func conversation(_ id: ConversationID) -> ConversationSnapshot? {
        position(of: id).map { conversations[$0].snapshot }
    }

    /// Those in which he is or was a member, sorted by id.
    package func conversations(of user: UserID) -> [ConversationSnapshot] {
        (positionsByUser[user] ?? []).map { conversations[Int($0)] }.sorted { $0.id < $1.id }.map(\.snapshot)
    }

    package func lastSeq(of conversation: ConversationID) -> UInt64? {
        position(of: conversation).map { conversations[$0].lastSeq }
    }

    /// The highest seq whose message was sent before `stamp`; 0 where there is none. `stored` tells it of the rows in the
    /// tables, up to the last `stateDurable` index at least; it is asked only where memory does not tell.
    package func lastSeq(
        of conversation: ConversationID, sentBefore stamp: Int64, stored: () -> UInt64
    ) -> UInt64 {
        guard let position = position(of: conversation) else { return 0 }
        let known = conversations[position]
        if known.lastSeq == 0 || known.createdAt >= stamp { return 0 }
        if known.lastSentAt < stamp { return known.lastSeq }
        return pending.lastSeq(of: conversation, sentBefore: stamp) ?? stored()
    }

    /// Current members, sorted; the array is ready, nothing is copied.
    package func members(of conversation: ConversationID) -> [UserID] {
        position(of: conversation).map { conversations[$0].members.users } ?? []
    }

    package func isMember(_ user: UserID, of conversation: ConversationID) -> Bool {
        position(of: conversation).map { conversations[$0].members.isCurrent(user) } ?? false
    }

    /// Whether there is such a message and the user was a member when it was sent.
    package func canRead(_ user: UserID, _ conversation: ConversationID, _ seq: UInt64) -> Bool {
        guard let position = position(of: conversation), seq <= conversations[position].lastSeq else { return false }
        return conversations[position].members.canRead(user, seq)
    }

    /// Users who may read the message, sorted; former members too.
    package func readers(of conversation: ConversationID, _ seq: UInt64) -> [UserID] {
        guard let position = position(of: conversation), seq <= conversations[position].lastSeq else { return [] }
        let members = conversations[position].members
        return members.everyone.filter { members.canRead($0, seq) }
    }

    /// The user's memberships, ascending; the last is open where he is a member now. Empty: never a member.
    package func readableRanges(_ user: UserID, _ conversation: ConversationID) -> [SeqRange] {
        position(of: conversation).map { conversations[$0].members.ranges(of: user) } ?? []
    }

    /// What the user may read above `after`, ascending, none empty, all closed (the head at most).
    package func readable(_ user: UserID, _ conversation: ConversationID, after seq: UInt64) -> [SeqRange] {
        guard let position = position(of: conversation) else { return [] }
        if limits.planted.contains(.rangesIgnored), conversations[position].lastSeq > seq,
            conversations[position].members.isCurrentOrFormer(user)
        {
            return [SeqRange(after: seq, through: conversations[position].lastSeq)]
        }
        return conversations[position].readable(by: user, after: seq)
    }
}
