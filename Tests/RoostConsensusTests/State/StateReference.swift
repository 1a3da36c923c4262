import RoostConsensus
import RoostModel
import RoostProtocol

/// What the state machine should decide, told as plainly as possible: it keeps the whole history and looks through it
/// for every question. Knows sends, the creation of groups and direct conversations, and changes of members.
struct StateReference {
    struct Sent {
        var command: SendCommand
        var seq: UInt64
        var sentAt: Int64
        /// The members when it was sent.
        var readers: Set<UserID>
    }
    struct Conversation {
        var creation: CreateConversationCommand?
        var type: ConversationType
        var roles: [UserID: MemberRole]
        var everMembers: Set<UserID>
        /// Users in the order they came to be where they are without interruption that mattered.
        var joinedAfter: [UserID: UInt64]
        var leftAfter: [UserID: (joined: UInt64, left: UInt64)] = [:]
    }

    let limits: StateLimits
    var conversations: [ConversationID: Conversation] = [:]
    var sent: [Sent] = []
    var turns: [(index: UInt64, conversation: ConversationID, order: SendOrder)] = []

    func messages(in conversation: ConversationID) -> [Sent] { sent.filter { $0.command.conversation == conversation } }

    /// Of each caller: below which nothing is applied, and what was answered; nil where that is not known here.
    var callers: [RaftPeer: (floor: UInt64, answers: [UInt64: CommandResult?])] = [:]

    var floors: [ConversationID: UInt64] = [:]
    var idFloors: [ConversationID: UInt64] = [:]

    private mutating func raise(_ raises: [FloorRaise]) {
        for raise in raises {
            let seq = min(raise.seq, UInt64(messages(in: raise.conversation).count))
            floors[raise.conversation] = max(floors[raise.conversation] ?? 0, seq)
        }
    }

    private mutating func raiseIDs(_ raises: [FloorRaise]) {
        for raise in raises {
            let last = UInt64(messages(in: raise.conversation).count)
            let seq = min(raise.seq, floors[raise.conversation] ?? 0, last == 0 ? 0 : last - 1)
            idFloors[raise.conversation] = max(idFloors[raise.conversation] ?? 0, seq)
        }
    }

    /// Nil where the command is none of those known here.
    mutating func apply(index: UInt64, _ stamped: StampedCommand) -> CommandResult? {
        switch stamped.command {
        case .send(let command): send(command, index, stamped.stamp)
        case .createConversation(let command): create(command)
        case .changeMembers(let command): change(command)
        case .called(let identity, let command): call(identity, command, index, stamped.stamp)
        default: other(stamped.command)
        }
    }

    private mutating func call(
        _ call: CallIdentity, _ command: Command, _ index: UInt64, _ stamp: Int64
    ) -> CommandResult? {
        var (floor, answers) = callers[call.caller] ?? (0, [:])
        if let answer = answers[call.id] { return answer }
        let isFull = answers.count == limits.callsRemembered && answers.keys.allSatisfy { $0 > call.id }
        if call.id < floor || isFull { return .rejected(.unavailable) }
        let answer = apply(index: index, StampedCommand(stamp: stamp, command: command))
        answers[call.id] = .some(answer)
        floor = max(floor, call.oldest)
        while let first = answers.keys.min(), first < floor || answers.count > limits.callsRemembered {
            answers[first] = nil
            floor = max(floor, first + 1)
        }
        callers[call.caller] = (floor, answers)
        return answer
    }

    private mutating func other(_ command: Command) -> CommandResult? {
        switch command {
        case .raiseFloors(let raises): raise(raises)
        case .raiseIDFloors(let raises): raiseIDs(raises)
        default: break
        }
        return nil
    }

    private mutating func send(_ command: SendCommand, _ index: UInt64, _ stamp: Int64) -> CommandResult {
        let first = sent.first {
            $0.command.conversation == command.conversation && $0.command.sender == command.sender
                && $0.command.id == command.id && $0.seq > idFloors[command.conversation] ?? 0
        }
        let next = isNext(command, index)
        if next { turns.append((index, command.conversation, command.order)) }
        if let first {
            guard first.command.type == command.type && first.command.content == command.content else {
                return .rejected(.idReused)
            }
            return .sent(conversation: command.conversation, seq: first.seq, sentAt: first.sentAt)
        }
        guard next else { return .rejected(.outOfOrder) }
        if conversations[command.conversation] == nil {
            guard let peer = command.peer else { return .rejected(.unknownConversation) }
            guard ConversationID(direct: command.sender, peer) == command.conversation else {
                return .rejected(.invalid)
            }
            if count(of: command.sender) >= limits.conversationsPerUser { return .rejected(.limitExceeded) }
            let users: Set = [command.sender, peer]
            var roles: [UserID: MemberRole] = [:]
            for user in users { roles[user] = user == command.sender ? .owner : .member }
            conversations[command.conversation] = Conversation(
                type: users.count == 1 ? .self : .direct, roles: roles, everMembers: users,
                joinedAfter: roles.mapValues { _ in 0 })
        }
        guard let conversation = conversations[command.conversation] else { return .rejected(.invalid) }
        if command.peer != nil && conversation.type != .direct && conversation.type != .self {
            return .rejected(.conflict)
        }
        guard let role = conversation.roles[command.sender] else { return .rejected(.notMember) }
        if conversation.type == .channel && role == .member { return .rejected(.notAllowed) }
        let before = messages(in: command.conversation)
        let sentAt = max(stamp, (before.last?.sentAt ?? 0) + 1)
        let seq = UInt64(before.count + 1)
        sent.append(Sent(command: command, seq: seq, sentAt: sentAt, readers: Set(conversation.roles.keys)))
        return .sent(conversation: command.conversation, seq: seq, sentAt: sentAt)
    }

    private func isNext(_ command: SendCommand, _ index: UInt64) -> Bool {
        let order = command.order
        let last = turns.last { $0.conversation == command.conversation && $0.order.session == order.session }
        guard let last, last.index + limits.sendOrderLifetime >= index else { return order.counter == order.base }
        if order.run != last.order.run { return order.run > last.order.run && order.counter == order.base }
        return order.counter > last.order.counter && order.counter == max(last.order.counter + 1, order.base)
    }

    private func count(of user: UserID) -> Int { conversations.values.count { $0.everMembers.contains(user) } }

    private mutating func create(_ command: CreateConversationCommand) -> CommandResult? {
        if let present = conversations[command.id] {
            // Its snapshot is compared otherwise; nil here means "not refused".
            return present.creation == command ? nil : .rejected(.conflict)
        }
        let users = Set(command.members + [command.creator])
        if users.count > limits.members || count(of: command.creator) >= limits.conversationsPerUser {
            return .rejected(.limitExceeded)
        }
        var roles: [UserID: MemberRole] = [:]
        for user in users { roles[user] = user == command.creator ? .owner : .member }
        conversations[command.id] = Conversation(
            creation: command, type: command.type, roles: roles, everMembers: users,
            joinedAfter: roles.mapValues { _ in 0 })
        return nil
    }

    private mutating func change(_ command: ChangeMembersCommand) -> CommandResult {
        guard var conversation = conversations[command.conversation] else { return .rejected(.unknownConversation) }
        let users = Set(command.users)
        let leaving = command.action == .remove && users == [command.actor]
        guard let role = conversation.roles[command.actor] else {
            return leaving && conversation.everMembers.contains(command.actor) ? .done : .rejected(.notMember)
        }
        if conversation.type == .direct || conversation.type == .self { return .rejected(.notAllowed) }
        if users.isEmpty { return .rejected(.invalid) }
        let head = UInt64(messages(in: command.conversation).count)
        switch command.action {
        case .add:
            if role == .member { return .rejected(.notAllowed) }
            let all = users.union(conversation.roles.keys)
            if all.count > limits.members || users.union(conversation.everMembers).count > limits.membersEver {
                return .rejected(.limitExceeded)
            }
            for user in users where conversation.roles[user] == nil {
                conversation.roles[user] = .member
                let before = conversation.leftAfter[user]
                conversation.joinedAfter[user] = before.flatMap { $0.left == head ? $0.joined : nil } ?? head
            }
            conversation.everMembers.formUnion(users)
        case .remove:
            let touched = users.filter { $0 != command.actor && (conversation.roles[$0] ?? .member) != .member }
            if role == .member && !leaving || role == .admin && !touched.isEmpty { return .rejected(.notAllowed) }
            let removed = users.filter { conversation.roles[$0] != nil }
            let ownerLeaves = removed.contains { conversation.roles[$0] == .owner }
            for user in removed {
                conversation.roles[user] = nil
                conversation.leftAfter[user] = (conversation.joinedAfter[user] ?? 0, head)
            }
            if ownerLeaves { appointOwner(&conversation) }
        case .promote, .demote:
            if role != .owner { return .rejected(.notAllowed) }
            // In order of users, as the first fault tells the answer.
            for user in users.sorted() {
                guard let present = conversation.roles[user] else { return .rejected(.notMember) }
                if command.action == .demote && present == .owner { return .rejected(.notAllowed) }
            }
            for user in users where conversation.roles[user] != .owner {
                conversation.roles[user] = command.action == .promote ? .admin : .member
            }
        }
        conversations[command.conversation] = conversation
        return .done
    }

    private func appointOwner(_ conversation: inout Conversation) {
        let admins = conversation.roles.filter { $0.value == .admin }.keys.sorted()
        let candidates = admins.isEmpty ? conversation.roles.keys.sorted() : admins
        let joined = conversation.joinedAfter
        if let next = candidates.min(by: { (joined[$0] ?? 0, $0) < (joined[$1] ?? 0, $1) }) {
            conversation.roles[next] = .owner
        }
    }
}
