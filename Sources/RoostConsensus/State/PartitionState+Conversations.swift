internal import RoostModel
internal import RoostProtocol

extension PartitionState {
    mutating func createConversation(
        _ command: CreateConversationCommand, stamp: Int64, into output: inout ApplyOutput
    ) -> CommandResult {
        if let answer = answer(toCreating: command) { return answer }
        let row = ConversationRow(
            id: command.id, type: command.type, name: command.name, createdAt: stamp,
            parametersHash: parametersHash(of: command), lastSeq: 0, lastSentAt: 0)
        let position = open(row, owner: command.creator, others: otherMembers(of: command), into: &output)
        output.changes.append(.conversation(conversations[position].row))
        return .conversation(conversations[position].snapshot)
    }

    func answer(toCreating command: CreateConversationCommand) -> CommandResult? {
        let others = otherMembers(of: command)
        switch command.type {
        case .direct, .self:
            let peer = others.first ?? command.creator
            guard others.count == (command.type == .direct ? 1 : 0),
                command.id == ConversationID(direct: command.creator, peer)
            else { return .rejected(.invalid) }
        case .group, .channel:
            // Version 5 is for derived ids: a group must not sit on the id of two users' direct conversation.
            if command.id.uuid.high >> 12 & 0xf == 5 { return .rejected(.invalid) }
        }
        if let position = position(of: command.id) {
            let present = conversations[position]
            let same = present.type == command.type && present.parametersHash == parametersHash(of: command)
            return same ? .conversation(present.snapshot) : .rejected(.conflict)
        }
        if let name = command.name, name.utf8.count > limits.nameBytes { return .rejected(.invalid) }
        if others.count + 1 > limits.members || isAtConversationLimit(command.creator) {
            return .rejected(.limitExceeded)
        }
        return nil
    }

    /// Counts what he was added to as well, but only making more is refused: nobody can be shut off by others.
    func isAtConversationLimit(_ user: UserID) -> Bool {
        (positionsByUser[user]?.count ?? 0) >= limits.conversationsPerUser
    }

    /// The caller writes the conversation's row, once it has what else the entry changes in it.
    mutating func openDirect(
        _ id: ConversationID, _ sender: UserID, _ peer: UserID, stamp: Int64, into output: inout ApplyOutput
    ) -> Int {
        let row = ConversationRow(
            id: id, type: sender == peer ? .self : .direct, name: nil, createdAt: stamp,
            parametersHash: PartitionState.directParametersHash, lastSeq: 0, lastSentAt: 0)
        return open(row, owner: sender, others: sender == peer ? [] : [peer], into: &output)
    }

    private mutating func open(
        _ row: ConversationRow, owner: UserID, others: [UserID], into output: inout ApplyOutput
    ) -> Int {
        let position = conversations.count
        conversations.append(ConversationState(row))
        positions[row.id] = UInt32(position)
        join(owner, role: .owner, at: position, into: &output)
        for user in others { join(user, role: .member, at: position, into: &output) }
        return position
    }

    mutating func join(_ user: UserID, role: MemberRole, at position: Int, into output: inout ApplyOutput) {
        if !conversations[position].members.isCurrentOrFormer(user) {
            positionsByUser[user, default: []].append(UInt32(position))
        }
        conversations[position].members.join(user, role: role, after: conversations[position].lastSeq)
        memberChanged(user, at: position, into: &output)
    }

    func memberChanged(_ user: UserID, at position: Int, into output: inout ApplyOutput) {
        guard let row = conversations[position].members.row(of: user) else { return }
        output.changes.append(.member(conversation: conversations[position].id, row))
    }

    /// The command's members as a set in order, whatever its sender made of the rule.
    private func otherMembers(of command: CreateConversationCommand) -> [UserID] {
        sortedOnce(command.members.filter { $0 != command.creator })
    }

    func sortedOnce(_ users: [UserID]) -> [UserID] {
        var once: [UserID] = []
        for user in users.sorted() where once.last != user { once.append(user) }
        return once
    }

    /// Direct and self conversations are the same whoever makes them, and under whatever name.
    private static var directParametersHash: UInt64 { 0 }

    private func parametersHash(of command: CreateConversationCommand) -> UInt64 {
        guard command.type == .group || command.type == .channel else { return Self.directParametersHash }
        var hash = StableHash.mix(UInt64(command.type.rawValue))
        hash = StableHash.mix(hash ^ (command.name.map { StableHash.of($0) | 1 } ?? 0))
        hash = StableHash.mix(hash ^ StableHash.of(command.creator.uuid))
        for user in otherMembers(of: command) { hash = StableHash.mix(hash ^ StableHash.of(user.uuid)) }
        return hash
    }
}
