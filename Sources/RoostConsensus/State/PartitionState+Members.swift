internal import RoostModel
internal import RoostProtocol

extension PartitionState {
    /// All or nothing. What is so already is no error, so that a retry finds it done.
    mutating func changeMembers(_ command: ChangeMembersCommand, into output: inout ApplyOutput) -> CommandResult {
        if let answer = answer(to: command) { return answer }
        guard let position = position(of: command.conversation) else { return .rejected(.unknownConversation) }
        let users = sortedOnce(command.users)
        switch command.action {
        case .add:
            for user in users where !conversations[position].members.isCurrent(user) {
                join(user, role: .member, at: position, into: &output)
            }
        case .remove:
            remove(users, at: position, into: &output)
        case .promote:
            setRole(.admin, of: users, ifNow: .member, at: position, into: &output)
        case .demote:
            setRole(.member, of: users, ifNow: .admin, at: position, into: &output)
        }
        return .done
    }

    /// A refusal, or `.done` for one who has left already.
    func answer(to command: ChangeMembersCommand) -> CommandResult? {
        guard let position = position(of: command.conversation) else { return .rejected(.unknownConversation) }
        let conversation = conversations[position]
        let users = sortedOnce(command.users)
        let leaving = command.action == .remove && users == [command.actor]
        guard let role = conversation.members.role(of: command.actor) else {
            let left = leaving && conversation.members.isCurrentOrFormer(command.actor)
            return left ? .done : .rejected(.notMember)
        }
        if conversation.isDirect { return .rejected(.notAllowed) }
        if users.isEmpty { return .rejected(.invalid) }
        let refusal: Rejection? =
            switch command.action {
            case .add: refusalOfAdding(users, by: role, to: conversation)
            case .remove: leaving ? nil : refusalOfRemoving(users, by: command.actor, role, from: conversation)
            case .promote, .demote: refusalOfRole(command.action, users, by: role, in: conversation)
            }
        return refusal.map(CommandResult.rejected)
    }

    private func refusalOfAdding(
        _ users: [UserID], by role: MemberRole, to conversation: ConversationState
    ) -> Rejection? {
        guard role != .member else { return .notAllowed }
        let members = conversation.members
        let added = users.filter { !members.isCurrent($0) }
        let unseen = added.count { !members.isCurrentOrFormer($0) }
        if members.users.count + added.count > limits.members { return .limitExceeded }
        if members.everCount + unseen > limits.membersEver { return .limitExceeded }
        let interrupted = added.contains {
            members.rangeCount(of: $0, joiningAfter: conversation.lastSeq) > limits.memberships
        }
        return interrupted ? .limitExceeded : nil
    }

    /// An admin may remove members, and himself with them; the owner anyone.
    private func refusalOfRemoving(
        _ users: [UserID], by actor: UserID, _ role: MemberRole, from conversation: ConversationState
    ) -> Rejection? {
        switch role {
        case .owner: nil
        case .member: .notAllowed
        case .admin:
            users.allSatisfy { $0 == actor || (conversation.members.role(of: $0) ?? .member) == .member }
                ? nil : .notAllowed
        }
    }

    /// Promoting makes admins and demoting members; there is one owner, who hands over by leaving.
    private func refusalOfRole(
        _ action: MembershipAction, _ users: [UserID], by role: MemberRole, in conversation: ConversationState
    ) -> Rejection? {
        guard role == .owner else { return .notAllowed }
        for user in users {
            guard let present = conversation.members.role(of: user) else { return .notMember }
            if action == .demote && present == .owner { return .notAllowed }
        }
        return nil
    }

    private mutating func remove(_ users: [UserID], at position: Int, into output: inout ApplyOutput) {
        let leaving = users.filter { conversations[position].members.isCurrent($0) }
        let ownerLeaves = leaving.contains { conversations[position].members.role(of: $0) == .owner }
        let successor = ownerLeaves ? conversations[position].members.successor(without: Set(leaving)) : nil
        for user in leaving {
            conversations[position].members.leave(user, at: conversations[position].lastSeq)
            memberChanged(user, at: position, into: &output)
        }
        if let successor {
            conversations[position].members.setRole(.owner, of: successor)
            memberChanged(successor, at: position, into: &output)
        }
    }

    private mutating func setRole(
        _ role: MemberRole, of users: [UserID], ifNow present: MemberRole, at position: Int,
        into output: inout ApplyOutput
    ) {
        for user in users where conversations[position].members.role(of: user) == present {
            conversations[position].members.setRole(role, of: user)
            memberChanged(user, at: position, into: &output)
        }
    }
}
