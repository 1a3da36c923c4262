import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol

func user(_ number: UInt64) -> UserID { UserID(UUID128(high: 1, low: number)) }
func group(_ number: UInt64) -> ConversationID { ConversationID(UUID128(high: 0x4000, low: number)) }
func message(_ number: UInt64) -> MessageID { MessageID(UUID128(high: 0x7000, low: number)) }
func device(_ number: UInt64) -> DeviceID { DeviceID(validated: "device-\(number)") }

/// The tables that hold message rows.
struct MessageTable: KnownMessages, Sendable {
    private struct Key: Hashable {
        var conversation: ConversationID
        var sender: UserID
        var id: MessageID
    }
    private var rows: [Key: MessageRow] = [:]

    mutating func write(_ changes: [StateChange]) {
        for case .message(let row) in changes {
            rows[Key(conversation: row.conversation, sender: row.sender, id: row.id)] = row
        }
    }

    func knownMessage(
        partition: PartitionID, conversation: ConversationID, sender: UserID, id: MessageID
    ) -> MessageRow? {
        rows[Key(conversation: conversation, sender: sender, id: id)]
    }
}

/// A partition's state with log and tables, as little of them as tests need.
struct Machine {
    var state: PartitionState
    var tables = MessageTable()
    /// Of the entries since the last `flush`.
    var output = ApplyOutput()
    /// Of the last entry.
    var last = ApplyOutput()
    private var counters: [UInt64: UInt64] = [:]

    init(partition: PartitionID = 0, limits: StateLimits = StateLimits()) {
        state = PartitionState(partition: partition, limits: limits)
    }

    @discardableResult
    mutating func apply(_ command: Command, stamp: Int64 = 0) -> CommandResult? {
        last.clear()
        state.apply(
            index: state.appliedIndex + 1, term: 1, StampedCommand(stamp: stamp, command: command), known: tables,
            into: &last)
        output.changes += last.changes
        return last.results.first?.result
    }

    /// The rows are written.
    mutating func flush() {
        tables.write(output.changes)
        output.clear()
        state.stateDurable(through: state.appliedIndex)
    }

    /// Begins anew from what the tables hold.
    mutating func restart() {
        flush()
        state = PartitionState(partition: state.partition, limits: state.limits, restoring: state.snapshot())
    }

    /// The next send of session 1 to the conversation unless another order is given.
    @discardableResult
    mutating func send(
        _ id: UInt64, to conversation: ConversationID, from sender: UserID, peer: UserID? = nil,
        content: String = "\"hi\"", order: SendOrder? = nil, stamp: Int64 = 0
    ) -> CommandResult? {
        apply(sending(id, to: conversation, from: sender, peer: peer, content: content, order: order), stamp: stamp)
    }

    mutating func sending(
        _ id: UInt64, to conversation: ConversationID, from sender: UserID, peer: UserID? = nil,
        content: String = "\"hi\"", order: SendOrder? = nil
    ) -> Command {
        let session = sender.uuid.low &* 1000 &+ conversation.uuid.low
        if order == nil { counters[session, default: 0] += 1 }
        let counter = counters[session, default: 0]
        return .send(
            SendCommand(
                conversation: conversation, peer: peer, sender: sender, device: device(1), id: message(id),
                type: "text", content: ByteBuffer(string: content),
                order: order ?? SendOrder(session: SessionID(session), run: 1, counter: counter, base: counter)))
    }

    @discardableResult
    mutating func create(
        _ id: ConversationID, _ type: ConversationType = .group, by creator: UserID, with members: [UserID] = [],
        name: String? = nil
    ) -> CommandResult? {
        apply(
            .createConversation(
                CreateConversationCommand(id: id, type: type, name: name, creator: creator, members: members)))
    }

    @discardableResult
    mutating func change(
        _ conversation: ConversationID, _ action: MembershipAction, _ users: [UserID], by actor: UserID
    ) -> CommandResult? {
        apply(
            .changeMembers(
                ChangeMembersCommand(conversation: conversation, actor: actor, users: users, action: action)))
    }

    func role(_ user: UserID, in conversation: ConversationID) -> MemberRole? {
        state.conversation(conversation)?.members.first { $0.user == user && $0.current }?.role
    }
}

func order(_ run: UInt32, _ counter: UInt64, base: UInt64, session: UInt64 = 7) -> SendOrder {
    SendOrder(session: SessionID(session), run: run, counter: counter, base: base)
}

func account(_ number: UInt64, hash: String = "h", createdAt: Int64 = 5) -> AccountRecord {
    AccountRecord(user: user(number), username: "u\(number)", passwordHash: hash, role: .user, createdAt: createdAt)
}

extension CommandResult {
    var seq: UInt64? {
        if case .sent(_, let seq, _) = self { seq } else { nil }
    }
    var sentAt: Int64? {
        if case .sent(_, _, let sentAt) = self { sentAt } else { nil }
    }
}
