internal import NIOCore
package import RoostModel
package import RoostProtocol

/// Removing what is older than the retention: first the content of messages, then, after a while, their ids. Both are
/// entries of the log, and what decides entries never looks at what is removed, so that replaying a log whose old
/// messages have no content any more comes to the same.
extension PartitionState {
    mutating func raiseFloors(_ raises: [FloorRaise], at stamp: Int64, into output: inout ApplyOutput) {
        for raise in raises {
            guard let position = position(of: raise.conversation) else { continue }
            let floor = conversations[position].retention.floor
            let seq = min(raise.seq, conversations[position].lastSeq)
            guard seq > floor else { continue }
            conversations[position].retention.floor = seq
            if conversations[position].retention.markSeq == 0 {
                conversations[position].retention.markSeq = seq
                conversations[position].retention.markAt = stamp
            }
            output.changes.append(.conversation(conversations[position].row))
            output.changes.append(.stripped(conversation: raise.conversation, SeqRange(after: floor, through: seq)))
        }
    }

    /// The newest message of a conversation keeps its row, which tells the last seq.
    mutating func raiseIDFloors(_ raises: [FloorRaise], at stamp: Int64, into output: inout ApplyOutput) {
        for raise in raises {
            guard let position = position(of: raise.conversation) else { continue }
            var retention = conversations[position].retention
            let before = retention.idFloor
            let seq = min(raise.seq, retention.floor, conversations[position].lastSeq &- 1)
            guard seq > before else { continue }
            retention.idFloor = seq
            if seq >= min(retention.markSeq, conversations[position].lastSeq &- 1) {
                // What was removed since then waits its time from now on.
                let more = retention.floor > retention.markSeq
                retention.markSeq = more ? retention.floor : 0
                retention.markAt = more ? stamp : 0
            }
            conversations[position].retention = retention
            output.changes.append(.conversation(conversations[position].row))
            output.changes.append(
                .idsForgotten(conversation: raise.conversation, SeqRange(after: before, through: seq)))
        }
    }

    /// Nothing up to this seq is known by its id any more.
    func idFloor(of conversation: ConversationID) -> UInt64 {
        position(of: conversation).map { conversations[$0].retention.idFloor } ?? 0
    }

    /// The first and the last between `after` and `before` that the user could read before they were removed.
    package func lost(
        by user: UserID, in conversation: ConversationID, after: UInt64, before: UInt64?
    ) -> ClosedRange<UInt64>? {
        guard let position = position(of: conversation),
            let lost = conversations[position].lost(by: user, after: after)
        else { return nil }
        guard let before else { return lost }
        return lost.lowerBound < before ? lost.lowerBound...min(lost.upperBound, before - 1) : nil
    }

    /// An applied entry without the content that the retention has removed, as it stands in the log here: one that comes
    /// from a replica which has not got that far still has it.
    package func withoutRemoved(_ entry: RaftEntry, known: some KnownMessages) -> RaftEntry {
        var payload = entry.payload
        guard entry.kind == .command, entry.index <= appliedIndex,
            var stamped = try? StampedCommand(decoding: &payload), let send = stamped.command.sending,
            isRemoved(send, index: entry.index, known: known),
            let command = stamped.command.stripped(hash: ContentHash.of(type: send.type, content: send.content))
        else { return entry }
        stamped.command = command
        var stripped = entry
        stripped.payload = ByteBuffer()
        stamped.encode(into: &stripped.payload)
        return stripped
    }

    private func isRemoved(_ send: SendCommand, index: UInt64, known: some KnownMessages) -> Bool {
        let retention = retention(of: send.conversation)
        let identity = PendingMessages.Identity(
            conversation: send.conversation, sender: send.sender, id: send.id)
        // Of a message that another entry made, this one is a copy.
        if let answer = pending[identity] { return answer.index != index || answer.seq <= retention.floor }
        let row = known.knownMessage(
            partition: partition, conversation: send.conversation, sender: send.sender, id: send.id)
        if let row { return row.index != index || row.seq <= retention.floor }
        // Its id is forgotten already, or it made no message.
        return true
    }

    // MARK: What the leader proposes

    package func retention(of conversation: ConversationID) -> ConversationRetention {
        position(of: conversation).map { conversations[$0].retention } ?? ConversationRetention()
    }

    /// Of `count` conversations from a place on, those with messages above the floor that may be older than `cutoff`.
    package func retentionCandidates(from place: Int, count: Int, olderThan cutoff: Int64) -> [ConversationID] {
        guard place < conversations.count else { return [] }
        return conversations[place..<min(place + count, conversations.count)].compactMap { conversation in
            conversation.retention.floor < conversation.lastSeq && conversation.createdAt < cutoff
                ? conversation.id : nil
        }
    }

    /// Of `count` conversations from a place on, the ids that were kept long enough: of messages removed at `cutoff` or
    /// before. At most `limit` messages.
    package func forgettableIDs(from place: Int, count: Int, removedBefore cutoff: Int64, limit: UInt64) -> [FloorRaise]
    {
        guard place < conversations.count else { return [] }
        var left = limit
        var raises: [FloorRaise] = []
        for conversation in conversations[place..<min(place + count, conversations.count)] where left > 0 {
            let retention = conversation.retention
            guard retention.markSeq > 0, retention.markAt <= cutoff else { continue }
            let last = min(retention.markSeq, conversation.lastSeq &- 1)
            let seq = min(last, retention.idFloor + left)
            guard seq > retention.idFloor else { continue }
            left -= seq - retention.idFloor
            raises.append(FloorRaise(conversation: conversation.id, seq: seq))
        }
        return raises
    }

    /// Those who could read something above the floor up to `seq`; sorted.
    package func readers(of conversation: ConversationID, aboveFloorThrough seq: UInt64) -> [UserID] {
        guard let position = position(of: conversation) else { return [] }
        let conversation = conversations[position]
        return conversation.members.everyone.filter { user in
            conversation.nextReadable(by: user, after: conversation.retention.floor).map { $0 <= seq } ?? false
        }
    }

    /// How far the floor may rise towards `seq`: what a known device of a reader has not acknowledged stays. `start` tells
    /// where a device begins that never acknowledged anything there.
    package func clearedFloor(
        of conversation: ConversationID, towards seq: UInt64, devices: [DeviceRecord],
        start: (DeviceRecord) -> UInt64
    ) -> UInt64 {
        guard let position = position(of: conversation) else { return 0 }
        let conversation = conversations[position]
        var cleared = min(seq, conversation.lastSeq)
        for device in devices where conversation.members.isCurrentOrFormer(device.user) {
            let cursor = self.cursor(device.user, device.device, conversation.id) ?? start(device)
            let next = conversation.nextReadable(by: device.user, after: max(cursor, conversation.retention.floor))
            if let next, next <= cleared { cleared = next - 1 }
        }
        return max(cleared, conversation.retention.floor)
    }
}
