internal import RoostModel
internal import RoostProtocol

extension PartitionState {
    /// In this order: is the message known, is it its turn in its session, may it be sent. A send that was answered,
    /// with whatever but `outOfOrder`, has had its turn.
    mutating func send(
        _ command: SendCommand, index: UInt64, stamp: Int64, known: some KnownMessages, into output: inout ApplyOutput
    ) -> CommandResult {
        let hash = hash(of: command)
        if let answer = answerWithoutMessage(to: command, hash: hash, index: index, known: known, into: &output) {
            if command.removedHash == nil { output.changes.append(.sendStripped(index: index, hash: hash)) }
            return answer
        }
        let position: Int
        if let found = self.position(of: command.conversation) {
            position = found
        } else {
            guard let peer = command.peer else { return .rejected(.unknownConversation) }
            position = openDirect(command.conversation, command.sender, peer, stamp: stamp, into: &output)
        }
        return append(command, to: position, hash: hash, index: index, stamp: stamp, into: &output)
    }

    /// Nil where it makes a message.
    private mutating func answerWithoutMessage(
        to command: SendCommand, hash: UInt64, index: UInt64, known: some KnownMessages, into output: inout ApplyOutput
    ) -> CommandResult? {
        if let result = answer(toKnown: command, hash: hash, before: index, known: known) {
            takeTurn(command, index: index, into: &output)
            return result
        }
        guard takeTurn(command, index: index, into: &output) else { return .rejected(.outOfOrder) }
        return refusal(of: command).map(CommandResult.rejected)
    }

    func answer(to command: SendCommand, known: some KnownMessages) -> CommandResult? {
        let hash = hash(of: command)
        if let result = answer(toKnown: command, hash: hash, before: .max, known: known) { return result }
        // One that is past stays so. One that is early may be the next when it is applied, and if it is refused for
        // another reason, all that follow it are refused now instead of waiting for each other's turn.
        if case .past = sendOrders.standing(of: command.order, in: command.conversation),
            !limits.planted.contains(.orderIgnored)
        {
            return .rejected(.outOfOrder)
        }
        return refusal(of: command).map(CommandResult.rejected)
    }

    private func hash(of command: SendCommand) -> UInt64 {
        command.removedHash ?? ContentHash.of(type: command.type, content: command.content)
    }

    /// The first answer again. When the log is applied anew the tables may know messages of entries still to come, or
    /// of this very one: those do not count.
    private func answer(
        toKnown command: SendCommand, hash: UInt64, before index: UInt64, known: some KnownMessages
    ) -> CommandResult? {
        if limits.planted.contains(.idForgotten) { return nil }
        let identity = PendingMessages.Identity(
            conversation: command.conversation, sender: command.sender, id: command.id)
        let first: (seq: UInt64, sentAt: Int64, hash: UInt64)
        let floor = idFloor(of: command.conversation)
        if let answer = pending[identity], answer.seq > floor {
            first = (answer.seq, answer.sentAt, answer.contentHash)
        } else if let row = known.knownMessage(
            partition: partition, conversation: command.conversation, sender: command.sender, id: command.id),
            row.index < index, row.seq > floor
        {
            first = (row.seq, row.sentAt, row.contentHash)
        } else {
            return nil
        }
        guard first.hash == hash || limits.planted.contains(.contentIgnored) else { return .rejected(.idReused) }
        return .sent(conversation: command.conversation, seq: first.seq, sentAt: first.sentAt)
    }

    @discardableResult
    private mutating func takeTurn(_ command: SendCommand, index: UInt64, into output: inout ApplyOutput) -> Bool {
        if limits.planted.contains(.orderIgnored) { return true }
        guard let row = sendOrders.advance(command.order, in: command.conversation, index: index) else { return false }
        output.changes.append(.sendOrder(row))
        return true
    }

    private func refusal(of command: SendCommand) -> Rejection? {
        guard let position = position(of: command.conversation) else { return refusalOfFirst(command) }
        return refusal(of: command, in: conversations[position])
    }

    private func refusal(of command: SendCommand, in conversation: ConversationState) -> Rejection? {
        // A message meant for one user must not end up among others, whoever took the id for a group.
        if command.peer != nil && !conversation.isDirect { return .conflict }
        guard let role = conversation.members.role(of: command.sender) else { return .notMember }
        return conversation.type == .channel && role == .member ? .notAllowed : nil
    }

    /// Of a send to a conversation that does not exist.
    private func refusalOfFirst(_ command: SendCommand) -> Rejection? {
        guard let peer = command.peer else { return .unknownConversation }
        guard command.conversation == ConversationID(direct: command.sender, peer) else { return .invalid }
        return isAtConversationLimit(command.sender) ? .limitExceeded : nil
    }

    private mutating func append(
        _ command: SendCommand, to position: Int, hash: UInt64, index: UInt64, stamp: Int64,
        into output: inout ApplyOutput
    ) -> CommandResult {
        let seq = conversations[position].lastSeq &+ 1
        let sentAt = max(stamp, conversations[position].lastSentAt &+ 1)
        conversations[position].lastSeq = seq
        conversations[position].lastSentAt = sentAt
        pending.insert(
            .init(conversation: command.conversation, sender: command.sender, id: command.id),
            .init(index: index, seq: seq, sentAt: sentAt, contentHash: hash))
        output.changes.append(.conversation(conversations[position].row))
        output.changes.append(
            .message(
                MessageRow(
                    conversation: command.conversation, seq: seq, index: index, sentAt: sentAt, id: command.id,
                    sender: command.sender, contentHash: hash)))
        // Applied again when its content is long removed: nobody waits for it.
        guard command.removedHash == nil else {
            return .sent(conversation: command.conversation, seq: seq, sentAt: sentAt)
        }
        output.committed.append(
            CommittedMessage(
                index: index,
                message: Message(
                    id: command.id, conversation: command.conversation, seq: seq, sender: command.sender,
                    originDevice: command.device, type: command.type, content: command.content, sentAt: sentAt)))
        return .sent(conversation: command.conversation, seq: seq, sentAt: sentAt)
    }
}
