internal import RoostModel
internal import RoostProtocol

extension PartitionState {
    // MARK: Accounts

    mutating func createAccount(_ record: AccountRecord, into output: inout ApplyOutput) -> CommandResult {
        if let answer = answer(toCreating: record) { return answer }
        accountsByUser[record.user] = record
        output.changes.append(.account(record))
        return .created(at: record.createdAt)
    }

    /// The same record again is a retry: its salted hash and its time are nobody else's.
    func answer(toCreating record: AccountRecord) -> CommandResult? {
        guard let present = accountsByUser[record.user], !limits.planted.contains(.accountOverwritten) else {
            return nil
        }
        let same =
            present.username == record.username && present.passwordHash == record.passwordHash
            && present.role == record.role && present.createdAt == record.createdAt
        return same ? .created(at: present.createdAt) : .rejected(.conflict)
    }

    mutating func setAccountDisabled(
        _ user: UserID, _ disabled: Bool, into output: inout ApplyOutput
    ) -> CommandResult {
        guard var record = accountsByUser[user] else { return .rejected(.unknownUser) }
        if record.disabled != disabled {
            record.disabled = disabled
            accountsByUser[user] = record
            output.changes.append(.account(record))
        }
        // Once more for one already disabled: a session may have slipped in where the first news got lost.
        if disabled { output.revoked.append(user) }
        return .done
    }

    mutating func setLastSeenHidden(
        _ user: UserID, _ hidden: Bool, into output: inout ApplyOutput
    ) -> CommandResult {
        guard var record = accountsByUser[user] else { return .rejected(.unknownUser) }
        if record.hidesLastSeen != hidden {
            record.hidesLastSeen = hidden
            accountsByUser[user] = record
            output.changes.append(.account(record))
        }
        return .done
    }
}
