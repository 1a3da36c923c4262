import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol

/// Random commands in a world small enough for everything to meet everything.
struct StateCommandSource {
    private var generator: SeededGenerator
    private var clock: Int64 = 1000
    private var called: [Command] = []
    private var calls: UInt64 = 0
    private var turns: [String: (run: UInt32, counter: UInt64)] = [:]

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    /// The clock of the one who stamps jumps back now and then, as at a change of leaders.
    mutating func next() -> StampedCommand {
        clock += chance(10) ? -Int64(number(50)) : Int64(number(20))
        let command: Command =
            switch number(100) {
            case 0..<50: .send(send())
            case 50..<60: .createConversation(creation())
            case 60..<80: .changeMembers(change())
            case 80..<88: .advanceCursors((0..<number(4)).map { _ in advance() })
            case 88..<89: .seeDevices([sighting()])
            case 89..<91: .forgetDevices([sighting()])
            case 91..<92: chance(50) ? .dropCursors([sighting()]) : floors()
            case 92..<94: .createAccount(account(number(3), createdAt: chance(80) ? 5 : 6))
            case 94..<95: .registerDevice(user: someUser(), device: someDevice(), startAt: Int64(number(9)))
            case 95..<97: tokens()
            case 97..<98: .setAccountDisabled(user: someUser(), disabled: chance(50))
            default: keys()
            }
        return StampedCommand(stamp: clock, command: identified(command))
    }

    private mutating func keys() -> Command {
        let id = "k\(number(4))"
        return switch number(4) {
        case 0: .activateSigningKey(id: id)
        case 1: .removeSigningKey(id: id)
        default: .addSigningKey(SigningKey(id: id, secret: ByteBuffer(integer: number(2)), createdAt: 1))
        }
    }

    private mutating func tokens() -> Command {
        let token = TokenStamp(
            id: UUID128(high: 9, low: number(30)), generation: number(4), expires: Int64(number(2)))
        return switch number(5) {
        case 0: .revokeTokens(user: someUser(), chance(20) ? .all : .token(token))
        case 1: .revokeTokens(user: someUser(), .device(someDevice(), keeping: chance(50) ? token.id : nil))
        default:
            .registerDevice(user: someUser(), device: someDevice(), startAt: Int64(number(9)), token: token)
        }
    }

    /// Most of those that need it carry an identity; now and then one of the latest comes again.
    private mutating func identified(_ command: Command) -> Command {
        if chance(8), !called.isEmpty { return called[Int(number(UInt64(called.count)))] }
        guard command.needsIdentity, chance(80) else { return command }
        let peer = RaftPeer(node: chance(50) ? "a" : "b", store: StoreID(1 + calls / 60))
        calls += 1
        let id = calls - min(calls, chance(20) ? number(5) : 0)
        let made = Command.called(CallIdentity(caller: peer, id: id, oldest: id - min(id, number(7))), command)
        called.append(made)
        if called.count > 12 { called.removeFirst() }
        return made
    }

    mutating func number(_ bound: UInt64) -> UInt64 { generator.next() % bound }
    mutating func chance(_ percent: UInt64) -> Bool { number(100) < percent }

    private mutating func someUser() -> UserID { user(1 + number(6)) }
    private mutating func someUsers() -> [UserID] { (0..<number(4)).map { _ in someUser() } }
    private mutating func someDevice() -> DeviceID { device(number(4)) }
    private mutating func someGroup() -> ConversationID { group(number(4)) }

    private mutating func send() -> SendCommand {
        let sender = someUser()
        var peer: UserID?
        var conversation = someGroup()
        if chance(40) {
            let other = someUser()
            conversation = ConversationID(direct: sender, other)
            peer = chance(90) ? other : nil
        }
        return SendCommand(
            conversation: conversation, peer: peer, sender: sender, device: someDevice(), id: message(number(40)),
            type: chance(95) ? "text" : "other", content: ByteBuffer(string: chance(90) ? "\"same text\"" : "1"),
            order: order(conversation))
    }

    /// Mostly the next of the session, as far as it can be told from here.
    private mutating func order(_ conversation: ConversationID) -> SendOrder {
        let session = SessionID(number(3))
        let key = "\(session) \(conversation)"
        var (run, counter) = turns[key] ?? (1, 0)
        counter += chance(80) ? 1 : number(3)
        if chance(10) { run += 1 }
        turns[key] = (run, counter)
        if chance(5), run > 1 { run -= 1 }
        let base = chance(60) ? counter : counter - min(counter, number(3))
        return SendOrder(session: session, run: run, counter: counter, base: base)
    }

    private mutating func creation() -> CreateConversationCommand {
        // Few distinct ones of each group, so that retries happen.
        let id = number(4)
        let members = chance(90) ? [user(1), user(2)] : someUsers()
        return CreateConversationCommand(
            id: group(id), type: id == 3 ? .channel : .group, name: nil, creator: user(3),
            members: Set(members).subtracting([user(3)]).sorted())
    }

    private mutating func change() -> ChangeMembersCommand {
        let actor = someUser()
        let actions: [MembershipAction] = [.add, .add, .remove, .promote, .demote]
        let users = chance(20) ? [actor] : someUsers()
        return ChangeMembersCommand(
            conversation: chance(95) ? someGroup() : ConversationID(direct: actor, user(1)), actor: actor,
            users: users, action: actions[Int(number(5))])
    }

    private mutating func floors() -> Command {
        let raises = [FloorRaise(conversation: someGroup(), seq: number(30))]
        return chance(60) ? .raiseFloors(raises) : .raiseIDFloors(raises)
    }

    private mutating func sighting() -> DeviceSighting {
        DeviceSighting(user: someUser(), device: someDevice(), seenAt: clock - Int64(number(300)))
    }

    private mutating func advance() -> CursorAdvance {
        let user = someUser()
        let conversation = chance(70) ? someGroup() : ConversationID(direct: user, someUser())
        return CursorAdvance(user: user, device: someDevice(), conversation: conversation, seq: number(30))
    }
}
