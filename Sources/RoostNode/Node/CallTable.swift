import DequeModule
import NIOCore
import RoostModel
import RoostProtocol

/// What a call is for: routed to the leader of its partition.
enum CallKind: Sendable {
    case propose(Command)
    case read(ReadRequest)
}

enum CallOutcome: Sendable {
    case applied(CommandResult)
    case read(ReadResponse)
    /// No answer within the time-out: what became of it is unknown.
    case unavailable
}

/// Proposals and reads of this node that are not answered yet. Sent again, in their order, when a leader is lost or does
/// not answer; each ends within the time-out.
struct CallTable: Sendable {
    struct Call: Sendable {
        enum Body: Sendable {
            case propose(ByteBuffer)
            case read(ReadRequest)
        }
        var partition: PartitionID
        var body: Body
        /// It carries an identity, which tells up to which call of the partition nobody waits any more.
        var isIdentified = false
        /// Whom it is for, where that is not whoever leads.
        var target: NodeID?
        /// On the node's clock.
        var deadline: UInt64
        /// When it was last sent; nil while it waits for a leader to be known.
        var sentAt: UInt64?
        /// The life of the node that it was sent to last.
        var server: Server?
        /// It was sent to another before: what one of them refuses another may still take.
        var isScattered = false
        /// Answers that it came out of its session's order.
        var disorders = 0
        /// The command as it would be made now, for one that is sent again after such an answer.
        var remade: (@Sendable () -> Command?)?
        var completion: @Sendable (CallOutcome) -> Void
    }

    struct Server: Sendable, Equatable {
        var node: NodeID
        var epoch: Epoch
    }

    private(set) var calls: [UInt64: Call] = [:]
    /// Those with an identity, by partition; ascending.
    private var identified: [PartitionID: Deque<UInt64>] = [:]
    private(set) var next: UInt64

    /// Ids of one life must not meet those of another: a leader may still answer what the former life asked.
    init(epoch: Epoch) { next = CallTable.firstID(epoch: epoch) }

    static func firstID(epoch: Epoch) -> UInt64 { epoch << 32 | 1 }

    var count: Int { calls.count }

    mutating func add(_ call: Call) -> UInt64 {
        defer { next += 1 }
        calls[next] = call
        if call.isIdentified { identified[call.partition, default: []].append(next) }
        return next
    }

    /// The oldest call with an identity that the partition has not answered; the next one where there is none.
    func oldest(of partition: PartitionID) -> UInt64 { identified[partition]?.first ?? next }

    subscript(id: UInt64) -> Call? { calls[id] }

    mutating func remove(_ id: UInt64) -> Call? {
        guard let call = calls.removeValue(forKey: id) else { return nil }
        if call.isIdentified, let place = identified[call.partition]?.firstIndex(of: id) {
            identified[call.partition]?.remove(at: place)
        }
        return call
    }

    mutating func sent(_ id: UInt64, at now: UInt64, to server: Server) {
        guard var call = calls[id] else { return }
        call.sentAt = now
        call.isScattered = call.isScattered || call.server.map { $0 != server } ?? false
        call.server = server
        calls[id] = call
    }
    mutating func unsent(_ id: UInt64) { calls[id]?.sentAt = nil }

    /// It came out of order: it goes again with the others, made anew. Nil where that has been tried often enough.
    mutating func outOfOrder(_ id: UInt64) -> Call? {
        guard var call = calls[id], call.disorders < Self.maxDisorders else { return nil }
        call.disorders += 1
        call.sentAt = nil
        if case .propose = call.body, let command = call.remade?() {
            var buffer = ByteBuffer()
            command.encode(into: &buffer)
            call.body = .propose(buffer)
        }
        calls[id] = call
        return call
    }

    /// With all of its pipeline sent again each time, a few rounds put it into order unless its turn is over.
    private static let maxDisorders = 10

    /// All of a partition, in the order in which they were made.
    func ids(of partition: PartitionID) -> [UInt64] {
        calls.compactMap { $0.value.partition == partition ? $0.key : nil }.sorted()
    }

    /// Calls past their deadline, oldest first.
    func expired(at now: UInt64) -> [UInt64] {
        calls.compactMap { $0.value.deadline <= now ? $0.key : nil }.sorted()
    }

    /// Partitions with a call that was sent before `before`, or never was.
    func waiting(since before: UInt64) -> [PartitionID] {
        var found: Set<PartitionID> = []
        for call in calls.values where call.sentAt ?? 0 <= before { found.insert(call.partition) }
        return found.sorted()
    }
}

extension Command {
    /// The partition whose log takes it, among `count`; nil where it does not follow from the command.
    func partition(count: Int) -> PartitionID? {
        switch self {
        case .send(let command): PartitionID(of: command.conversation.uuid, count: count)
        case .createAccount(let record): PartitionID(of: record.user.uuid, count: count)
        case .setAccountDisabled(let user, _), .registerDevice(let user, _, _, _), .setLastSeenHidden(let user, _),
            .revokeTokens(let user, _):
            PartitionID(of: user.uuid, count: count)
        case .createConversation(let command): PartitionID(of: command.id.uuid, count: count)
        case .changeMembers(let command): PartitionID(of: command.conversation.uuid, count: count)
        case .limited(_, let command), .called(_, let command): command.partition(count: count)
        case .forgetDevices(let devices), .seeDevices(let devices):
            devices.first.map { PartitionID(of: $0.user.uuid, count: count) }
        case .raiseFloors(let raises), .raiseIDFloors(let raises):
            raises.first.map { PartitionID(of: $0.conversation.uuid, count: count) }
        case .advanceCursors, .dropCursors: nil
        case .addSigningKey, .foundRing, .changeRing, .activateSigningKey, .removeSigningKey: 0
        }
    }
}

extension ReadRequest {
    func partition(count: Int) -> PartitionID? {
        switch self {
        case .account(let user), .devices(let user), .openSession(let user, _, _):
            PartitionID(of: user.uuid, count: count)
        case .conversation(let id), .cursors(let id), .history(let id, _, _, _, _, _), .backlog(let id, _, _, _):
            PartitionID(of: id.uuid, count: count)
        case .signingKeys, .ring: 0
        case .accounts, .conversations, .sync, .message, .pending, .replica, .knownDevices, .lastSeen, .contacts,
            .voters, .holdsKeys:
            nil
        }
    }
}
