internal import RoostModel
internal import RoostProtocol

/// Who is and was a member of one conversation. The current members are a ready array, since every message is checked
/// and delivered by it; what is over stands apart, and in most conversations there is nothing.
struct MemberTable: Sendable {
    private struct Standing {
        /// The first readable seq of this membership is one above.
        var after: UInt64
        var role: MemberRole
    }

    /// Memberships that ended, of a former member or of one who came back.
    private struct Past {
        var user: UserID
        /// Ascending, closed, neither empty nor touching each other; but a former member who could never read anything
        /// has one empty range.
        var ranges: [SeqRange]
    }

    /// Current members, sorted.
    private(set) var users: [UserID] = []
    /// Parallel to `users`.
    private var standings: [Standing] = []
    /// Sorted by user.
    private var past: [Past] = []
    private(set) var formerCount = 0

    var everCount: Int { users.count + formerCount }

    func isCurrent(_ user: UserID) -> Bool { current(user) != nil }
    func isCurrentOrFormer(_ user: UserID) -> Bool { current(user) != nil || pastPosition(user) != nil }

    /// Nil where the user is not a member now.
    func role(of user: UserID) -> MemberRole? { current(user).map { standings[$0].role } }

    /// What the user may read; the last range is open where he is a member now.
    func ranges(of user: UserID) -> [SeqRange] {
        var ranges = pastPosition(user).map { past[$0].ranges } ?? []
        if let position = current(user) { ranges.append(SeqRange(after: standings[position].after, through: nil)) }
        return ranges
    }

    func canRead(_ user: UserID, _ seq: UInt64) -> Bool {
        if let position = current(user), seq > standings[position].after { return true }
        guard let position = pastPosition(user) else { return false }
        return past[position].ranges.contains { $0.contains(seq) }
    }

    /// How many ranges a user who is no member has once he joins: one more, unless he goes on where he left.
    func rangeCount(of user: UserID, joiningAfter seq: UInt64) -> Int {
        guard let position = pastPosition(user) else { return 1 }
        let goesOn = past[position].ranges.last?.through == seq
        return past[position].ranges.count + (goesOn ? 0 : 1)
    }

    /// Nil where he never was a member.
    func row(of user: UserID) -> MemberRow? {
        let ranges = ranges(of: user)
        guard !ranges.isEmpty else { return nil }
        return MemberRow(user: user, role: role(of: user) ?? .member, ranges: ranges)
    }

    /// Sorted by user, former ones too.
    var everyone: [UserID] {
        guard formerCount > 0 else { return users }
        return (users + past.lazy.map(\.user).filter { !isCurrent($0) }).sorted()
    }

    /// The one who becomes owner when the owner leaves: the longest-standing admin, else member; the lowest id among
    /// those who came at the same seq.
    func successor(without leaving: Set<UserID>) -> UserID? {
        var best: Int?
        for position in users.indices where !leaving.contains(users[position]) {
            guard let found = best else {
                best = position
                continue
            }
            let (a, b) = (standings[position], standings[found])
            if (b.role.rawValue, a.after) < (a.role.rawValue, b.after) { best = position }
        }
        return best.map { users[$0] }
    }

    /// Members from a row of the tables.
    mutating func restore(_ row: MemberRow) {
        var ranges = row.ranges
        let open = ranges.last.flatMap { $0.through == nil ? $0 : nil }
        if let open {
            ranges.removeLast()
            insertCurrent(row.user, Standing(after: open.after, role: row.role))
        } else {
            formerCount += 1
        }
        if !ranges.isEmpty || open == nil { insertPast(Past(user: row.user, ranges: ranges)) }
    }

    /// The caller has seen that he is not a member now. Coming back before anything was sent goes on where he left.
    mutating func join(_ user: UserID, role: MemberRole, after seq: UInt64) {
        var standing = Standing(after: seq, role: role)
        if let position = pastPosition(user) {
            formerCount -= 1
            if let last = past[position].ranges.last {
                if last.through == seq { standing.after = last.after }
                if last.through == seq || last.through == last.after { past[position].ranges.removeLast() }
            }
            if past[position].ranges.isEmpty { past.remove(at: position) }
        }
        insertCurrent(user, standing)
    }

    /// The last he may read is `seq`. Does nothing where he is not a member.
    mutating func leave(_ user: UserID, at seq: UInt64) {
        guard let position = current(user) else { return }
        let range = SeqRange(after: standings[position].after, through: seq)
        users.remove(at: position)
        standings.remove(at: position)
        formerCount += 1
        if let position = pastPosition(user) {
            if range.after < seq { past[position].ranges.append(range) }
        } else {
            insertPast(Past(user: user, ranges: [range]))
        }
    }

    mutating func setRole(_ role: MemberRole, of user: UserID) {
        if let position = current(user) { standings[position].role = role }
    }

    private mutating func insertCurrent(_ user: UserID, _ standing: Standing) {
        let position = users.lowerBound { $0 < user }
        users.insert(user, at: position)
        standings.insert(standing, at: position)
    }

    private mutating func insertPast(_ entry: Past) {
        past.insert(entry, at: past.lowerBound { $0.user < entry.user })
    }

    private func current(_ user: UserID) -> Int? {
        let position = users.lowerBound { $0 < user }
        return position < users.count && users[position] == user ? position : nil
    }

    private func pastPosition(_ user: UserID) -> Int? {
        guard !past.isEmpty else { return nil }
        let position = past.lowerBound { $0.user < user }
        return position < past.count && past[position].user == user ? position : nil
    }

    func checkInvariants(lastSeq: UInt64) -> [String] {
        var problems: [String] = []
        if users.count != standings.count { problems.append("members and standings differ in number") }
        for (a, b) in zip(users, users.dropFirst()) where a >= b { problems.append("members not sorted at \(b)") }
        for (a, b) in zip(past, past.dropFirst()) where a.user >= b.user { problems.append("past not sorted") }
        if past.count(where: { !isCurrent($0.user) }) != formerCount { problems.append("former members miscounted") }
        for user in everyone {
            let ranges = ranges(of: user)
            for (a, b) in zip(ranges, ranges.dropFirst()) where (a.through ?? .max) >= b.after {
                problems.append("memberships of \(user) overlap or touch")
            }
            for range in ranges where range.after > lastSeq || (range.through ?? 0) > lastSeq {
                problems.append("membership of \(user) beyond \(lastSeq)")
            }
            for range in ranges where range.through.map({ $0 < range.after }) ?? false {
                problems.append("membership of \(user) ends before it begins")
            }
        }
        return problems
    }
}
