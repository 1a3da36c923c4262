package import RoostModel
package import RoostProtocol

/// Which tokens hold, and the keys that sign them.
extension PartitionState {
    /// False for a user who is not here.
    package func permits(_ token: TokenStamp, of user: UserID, on device: DeviceID?) -> Bool {
        accountsByUser[user]?.revocations.permits(token, on: device) ?? false
    }

    mutating func revokeTokens(
        _ user: UserID, _ revocation: TokenRevocation, at stamp: Int64, into output: inout ApplyOutput
    ) -> CommandResult {
        guard var account = accountsByUser[user] else { return .rejected(.unknownUser) }
        let now = stamp / 1_000_000
        switch revocation {
        case .token(let token): account.revocations.revoke(token, now: now)
        case .all: account.revocations.revokeAll()
        case .device(let device, let kept):
            guard let position = place(of: device, of: user), let record = devicesByUser[user]?[position] else {
                return .rejected(.unknownDevice)
            }
            account.revocations.remove(device, record.tokens, keeping: kept, now: now)
            forget(position, of: user, into: &output)
        }
        accountsByUser[user] = account
        output.changes.append(.account(account))
        output.tokensRevoked.append(UserRevocations(user: user, revocations: account.revocations))
        return .done
    }

    // MARK: Signing keys

    mutating func addSigningKey(_ key: SigningKey, into output: inout ApplyOutput) -> CommandResult {
        if let answer = answer(toAdding: key) { return answer }
        var key = key
        // Nothing is signed with another that a node could know instead.
        key.activeAt = keys.isEmpty ? max(1, key.createdAt) : 0
        keys.insert(key, at: keys.lowerBound { $0.id < key.id })
        output.changes.append(.signingKey(key))
        output.signingKeysChanged = true
        return .done
    }

    func answer(toAdding key: SigningKey) -> CommandResult? {
        guard partition == 0 else { return .rejected(.invalid) }
        if let present = keys.first(where: { $0.id == key.id }) {
            return present.secret == key.secret ? .done : .rejected(.conflict)
        }
        return keys.count >= limits.signingKeys ? .rejected(.limitExceeded) : nil
    }

    mutating func activateSigningKey(_ id: String, at stamp: Int64, into output: inout ApplyOutput) -> CommandResult {
        guard let index = keys.firstIndex(where: { $0.id == id }) else { return .rejected(.unknownKey) }
        guard keys[index].activeAt == 0 else { return .done }
        keys[index].activeAt = max(stamp, 1)
        output.changes.append(.signingKey(keys[index]))
        output.signingKeysChanged = true
        return .done
    }

    /// The one that signs stays: without it nobody could log in.
    mutating func removeSigningKey(_ id: String, into output: inout ApplyOutput) -> CommandResult {
        guard let index = keys.firstIndex(where: { $0.id == id }) else { return .rejected(.unknownKey) }
        guard SigningKey.signing(among: keys)?.id != id else { return .rejected(.notAllowed) }
        keys.remove(at: index)
        output.changes.append(.signingKeyRemoved(id: id))
        output.signingKeysChanged = true
        return .done
    }
}
