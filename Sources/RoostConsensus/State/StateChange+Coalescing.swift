internal import RoostModel
internal import RoostProtocol

extension StateChange {
    private enum Key: Hashable {
        case conversation(ConversationID)
        case member(ConversationID, UserID)
        case cursor(ConversationID, UserID, DeviceID)
        case sendOrder(ConversationID, SessionID)
        case account(UserID)
        case device(UserID, DeviceID)
        case call(RaftPeer, UInt64)
        case signingKey(String)
    }

    /// Of the rows that later ones of the batch replace only the last is left, in the order of those: a busy
    /// conversation's row is written once a batch instead of once a message. Writing the result comes to the same.
    package static func coalesced(_ changes: [StateChange]) -> [StateChange] {
        var kept: [StateChange] = []
        kept.reserveCapacity(changes.count)
        var seen: Set<Key> = []
        seen.reserveCapacity(changes.count)
        for change in changes.reversed() {
            if let key = change.replaceableKey, !seen.insert(key).inserted { continue }
            kept.append(change)
        }
        kept.reverse()
        return kept
    }

    /// Nil where a row is written only once.
    private var replaceableKey: Key? {
        switch self {
        case .account(let record): .account(record.user)
        case .conversation(let row): .conversation(row.id)
        case .member(let conversation, let row): .member(conversation, row.user)
        case .cursor(let cursor): .cursor(cursor.conversation, cursor.user, cursor.device)
        case .sendOrder(let row): .sendOrder(row.conversation, row.session)
        case .sendOrderExpired(let session, let conversation): .sendOrder(conversation, session)
        case .cursorDropped(let user, let device, let conversation): .cursor(conversation, user, device)
        case .device(let record): .device(record.user, record.device)
        case .deviceForgotten(let user, let device): .device(user, device)
        case .call(let row): .call(row.caller, row.id)
        case .callForgotten(let caller, let id): .call(caller, id)
        case .signingKey(let key): .signingKey(key.id)
        case .signingKeyRemoved(let id): .signingKey(id)
        case .message, .ring, .stripped, .sendStripped, .idsForgotten: nil
        }
    }
}
