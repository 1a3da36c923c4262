package import RoostModel
package import RoostProtocol

extension PartitionState {
    /// Advances that lead back, beyond the head, or are of one who was never a member are passed over: too low a cursor
    /// delivers again, too high a one would lose.
    mutating func advanceCursors(_ advances: [CursorAdvance], into output: inout ApplyOutput) {
        for advance in advances {
            guard let position = position(of: advance.conversation),
                advance.seq <= conversations[position].lastSeq,
                conversations[position].members.isCurrentOrFormer(advance.user)
            else { continue }
            let device = deviceNames.intern(advance.device)
            if conversations[position].cursors.advance(user: advance.user, device: device, to: advance.seq) {
                output.changes.append(.cursor(advance))
            }
        }
    }

    /// Nil where the device never acknowledged anything there: its start tells then.
    package func cursor(_ user: UserID, _ device: DeviceID, _ conversation: ConversationID) -> UInt64? {
        guard let position = position(of: conversation), let number = deviceNames.number(of: device) else {
            return nil
        }
        return conversations[position].cursors.seq(user: user, device: number)
    }

    /// Sorted by user, then device.
    package func cursors(of conversation: ConversationID) -> [CursorAdvance] {
        guard let position = position(of: conversation) else { return [] }
        return cursors(at: position)
    }

    func cursors(at position: Int) -> [CursorAdvance] {
        let id = conversations[position].id
        let cursors = conversations[position].cursors.slots.map { slot in
            CursorAdvance(user: slot.user, device: deviceNames[slot.device], conversation: id, seq: slot.seq)
        }
        return cursors.sorted { $0.user != $1.user ? $0.user < $1.user : $0.device < $1.device }
    }

    /// Conversations with something above the device's cursor that the user may read, or could before it was removed;
    /// sorted by id. `initialCursor` tells where a device begins that never acknowledged; it is asked only where the user
    /// could read anything at all.
    package func unread(
        user: UserID, device: DeviceID, initialCursor: (ConversationID) -> UInt64
    ) -> [Unread] {
        let number = deviceNames.number(of: device)
        var unread: [Unread] = []
        for position in positionsByUser[user] ?? [] {
            let conversation = conversations[Int(position)]
            guard let head = conversation.lastReadable(by: user) else { continue }
            let acknowledged = number.flatMap { conversation.cursors.seq(user: user, device: $0) }
            let cursor = acknowledged ?? initialCursor(conversation.id)
            guard cursor < head else { continue }
            unread.append(
                Unread(
                    conversation: conversation.id, cursor: cursor, head: head,
                    lost: conversation.lost(by: user, after: cursor)))
        }
        return unread.sorted { $0.conversation < $1.conversation }
    }
}

/// A conversation in which a device is behind.
package struct Unread: Sendable, Equatable {
    package var conversation: ConversationID
    package var cursor: UInt64
    /// The last seq that the user may read, or could.
    package var head: UInt64
    /// The first and the last removed of what is above the cursor.
    package var lost: ClosedRange<UInt64>?
    package init(conversation: ConversationID, cursor: UInt64, head: UInt64, lost: ClosedRange<UInt64>?) {
        self.conversation = conversation
        self.cursor = cursor
        self.head = head
        self.lost = lost
    }
}
