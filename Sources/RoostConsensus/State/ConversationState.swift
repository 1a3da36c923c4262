internal import RoostModel
internal import RoostProtocol

/// One conversation in memory; there may be hundreds of thousands.
struct ConversationState: Sendable {
    let id: ConversationID
    let type: ConversationType
    let name: String?
    let createdAt: Int64
    let parametersHash: UInt64
    var lastSeq: UInt64
    var lastSentAt: Int64
    var retention: ConversationRetention
    var members = MemberTable()
    var cursors = CursorTable()

    init(_ row: ConversationRow) {
        id = row.id
        type = row.type
        name = row.name
        createdAt = row.createdAt
        parametersHash = row.parametersHash
        lastSeq = row.lastSeq
        lastSentAt = row.lastSentAt
        retention = row.retention
    }

    var row: ConversationRow {
        ConversationRow(
            id: id, type: type, name: name, createdAt: createdAt, parametersHash: parametersHash, lastSeq: lastSeq,
            lastSentAt: lastSentAt, retention: retention)
    }

    /// Of two users, or of one with himself: its id is derived, and its members are for ever.
    var isDirect: Bool { type == .direct || type == .self }

    var snapshot: ConversationSnapshot {
        let members = members.everyone.map { user in
            let role = self.members.role(of: user)
            return MemberSnapshot(user: user, role: role ?? .member, current: role != nil)
        }
        return ConversationSnapshot(
            id: id, type: type, name: name, createdAt: createdAt, lastSeq: lastSeq, members: members)
    }

    /// What the user may read above `after`, ascending, every range closed at the head. Nothing below the floor.
    func readable(by user: UserID, after seq: UInt64) -> [SeqRange] {
        members.ranges(of: user).compactMap { range in
            let after = max(range.after, seq, retention.floor)
            let through = min(range.through ?? lastSeq, lastSeq)
            return after < through ? SeqRange(after: after, through: through) : nil
        }
    }

    /// The last the user may read, or could before it was removed.
    func lastReadable(by user: UserID) -> UInt64? {
        for range in members.ranges(of: user).reversed() {
            let through = min(range.through ?? lastSeq, lastSeq)
            if through > range.after { return through }
        }
        return nil
    }

    /// The first and the last above `seq` that the user could read before they were removed.
    func lost(by user: UserID, after seq: UInt64) -> ClosedRange<UInt64>? {
        guard seq < retention.floor else { return nil }
        var lost: ClosedRange<UInt64>?
        for range in members.ranges(of: user) {
            let first = max(range.after, seq) + 1
            let last = min(range.through ?? .max, retention.floor)
            if first <= last { lost = (lost?.lowerBound ?? first)...last }
        }
        return lost
    }

    /// The first above `seq` that the user may read.
    func nextReadable(by user: UserID, after seq: UInt64) -> UInt64? {
        for range in members.ranges(of: user) {
            let next = max(range.after, seq) + 1
            if next <= min(range.through ?? lastSeq, lastSeq) { return next }
        }
        return nil
    }
}
