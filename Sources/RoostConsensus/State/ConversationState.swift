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
    }

    var row: ConversationRow {
        ConversationRow(
            id: id, type: type, name: name, createdAt: createdAt, parametersHash: parametersHash, lastSeq: lastSeq,
            lastSentAt: lastSentAt)
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

    /// What the user may read above `after`, ascending, every range closed at the head.
    func readable(by user: UserID, after seq: UInt64) -> [SeqRange] {
        members.ranges(of: user).compactMap { range in
            let after = max(range.after, seq)
            let through = min(range.through ?? lastSeq, lastSeq)
            return after < through ? SeqRange(after: after, through: through) : nil
        }
    }
}
