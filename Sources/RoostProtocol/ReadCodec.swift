internal import NIOCore
internal import RoostModel

private enum ReadTag: UInt8 {
    case account = 1
    case accounts = 2
    case devices = 3
    case openSession = 4
    case conversation = 5
    case conversations = 6
    case history = 7
    case sync = 8
    case signingKeys = 9
    case cursors = 10
    case message = 11
    case pending = 12
    case backlog = 13
    case knownDevices = 14
    case lastSeen = 15
    case contacts = 16
    case replica = 20
    case ring = 21
    case voters = 22
    case openSessionWithToken = 23
    case holdsKeys = 24
}

extension ReadRequest: WireValue {
    static var minimumSize: Int { 1 }

    func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .account(let user):
            buffer.writeByte(ReadTag.account.rawValue)
            buffer.writeID(user)
        case .accounts(let after, let limit):
            buffer.writeByte(ReadTag.accounts.rawValue)
            buffer.writeOptional(after)
            buffer.writeVarint(limit)
        case .devices(let user):
            buffer.writeByte(ReadTag.devices.rawValue)
            buffer.writeID(user)
        case .knownDevices(let users):
            buffer.writeByte(ReadTag.knownDevices.rawValue)
            buffer.writeArray(users)
        case .lastSeen(let users):
            buffer.writeByte(ReadTag.lastSeen.rawValue)
            buffer.writeArray(users)
        case .contacts(let user, let among):
            buffer.writeByte(ReadTag.contacts.rawValue)
            buffer.writeID(user)
            buffer.writeArray(among)
        case .openSession(let user, let device, let token):
            buffer.writeByte((token == nil ? ReadTag.openSession : .openSessionWithToken).rawValue)
            buffer.writeID(user)
            buffer.writeDevice(device)
            token?.encode(into: &buffer)
        case .conversation(let conversation):
            buffer.writeByte(ReadTag.conversation.rawValue)
            buffer.writeID(conversation)
        case .conversations(let user):
            buffer.writeByte(ReadTag.conversations.rawValue)
            buffer.writeID(user)
        case .history(let conversation, let user, let before, let after, let skip, let limit):
            buffer.writeByte(ReadTag.history.rawValue)
            buffer.writeID(conversation)
            buffer.writeID(user)
            buffer.writeOptional(before.map(WireNumber.init))
            buffer.writeOptional(after.map(WireNumber.init))
            buffer.writeVarint(skip)
            buffer.writeVarint(limit)
        case .backlog(let conversation, let user, let after, let limit):
            buffer.writeByte(ReadTag.backlog.rawValue)
            buffer.writeID(conversation)
            buffer.writeID(user)
            buffer.writeVarint(after)
            buffer.writeVarint(limit)
        case .sync(let user, let since, let afterIndex, let conversations, let limit):
            buffer.writeByte(ReadTag.sync.rawValue)
            buffer.writeID(user)
            buffer.writeInteger(since)
            buffer.writeVarint(afterIndex)
            buffer.writeArray(conversations)
            buffer.writeVarint(limit)
        case .signingKeys:
            buffer.writeByte(ReadTag.signingKeys.rawValue)
        case .ring:
            buffer.writeByte(ReadTag.ring.rawValue)
        case .voters:
            buffer.writeByte(ReadTag.voters.rawValue)
        case .cursors(let conversation):
            buffer.writeByte(ReadTag.cursors.rawValue)
            buffer.writeID(conversation)
        case .message(let id):
            buffer.writeByte(ReadTag.message.rawValue)
            buffer.writeID(id)
        case .pending(let user, let devices):
            buffer.writeByte(ReadTag.pending.rawValue)
            buffer.writeID(user)
            buffer.writeArray(devices)
        case .replica(let index):
            buffer.writeByte(ReadTag.replica.rawValue)
            buffer.writeVarint(index)
        case .holdsKeys(let digest):
            buffer.writeByte(ReadTag.holdsKeys.rawValue)
            buffer.writeInteger(digest)
        }
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        switch try buffer.readTag("read", as: ReadTag.self) {
        case .account: self = .account(try buffer.readID())
        case .accounts:
            self = .accounts(
                after: try buffer.readOptional("after"), limit: try buffer.readVarint(as: UInt32.self, "limit"))
        case .devices: self = .devices(try buffer.readID())
        case .knownDevices: self = .knownDevices(try buffer.readArray())
        case .lastSeen: self = .lastSeen(try buffer.readArray())
        case .contacts: self = .contacts(of: try buffer.readID(), among: try buffer.readArray())
        case .openSession: self = .openSession(user: try buffer.readID(), device: try buffer.readDevice())
        case .openSessionWithToken:
            self = .openSession(
                user: try buffer.readID(), device: try buffer.readDevice(), token: try TokenStamp(reading: &buffer))
        case .holdsKeys: self = .holdsKeys(digest: try buffer.readFixed())
        case .conversation: self = .conversation(try buffer.readID())
        case .conversations: self = .conversations(try buffer.readID())
        case .history:
            self = .history(
                conversation: try buffer.readID(), user: try buffer.readID(),
                before: try buffer.readOptional("before", of: WireNumber.self)?.value,
                after: try buffer.readOptional("after", of: WireNumber.self)?.value,
                skip: try buffer.readVarint(as: UInt32.self, "skip"),
                limit: try buffer.readVarint(as: UInt32.self, "limit"))
        case .backlog:
            self = .backlog(
                conversation: try buffer.readID(), user: try buffer.readID(), after: try buffer.readVarint(),
                limit: try buffer.readVarint(as: UInt32.self, "limit"))
        case .sync:
            self = .sync(
                user: try buffer.readID(), since: try buffer.readFixed(), afterIndex: try buffer.readVarint(),
                conversations: try buffer.readArray(), limit: try buffer.readVarint(as: UInt32.self, "limit"))
        case .signingKeys: self = .signingKeys
        case .ring: self = .ring
        case .voters: self = .voters
        case .cursors: self = .cursors(try buffer.readID())
        case .message: self = .message(try buffer.readID())
        case .pending: self = .pending(try buffer.readID(), devices: try buffer.readArray())
        case .replica: self = .replica(index: try buffer.readVarint())
        }
    }
}

private enum ResponseTag: UInt8 {
    case account = 1
    case accounts = 2
    case devices = 3
    case session = 4
    case conversation = 5
    case conversations = 6
    case messages = 7
    case synced = 8
    // 9 were signing keys without their state.
    case cursors = 10
    case located = 11
    case pending = 12
    case none = 13
    case rejected = 14
    case backlog = 15
    case lastSeen = 16
    case users = 17
    case replica = 20
    case ring = 21
    case voters = 22
    case signingKeys = 23
    case holds = 24
}

extension ReadResponse: WireValue {
    static var minimumSize: Int { 1 }

    func encode(into buffer: inout ByteBuffer) {
        func put(_ tag: ResponseTag, _ values: some WireValue) {
            buffer.writeByte(tag.rawValue)
            values.encode(into: &buffer)
        }
        func put<Value: WireValue>(_ tag: ResponseTag, _ values: [Value]) {
            buffer.writeByte(tag.rawValue)
            buffer.writeArray(values)
        }
        switch self {
        case .account(let account): put(.account, account)
        case .accounts(let accounts): put(.accounts, accounts)
        case .devices(let devices): put(.devices, devices)
        case .lastSeen(let users): put(.lastSeen, users)
        case .users(let users): put(.users, users)
        case .session(let grant): put(.session, grant)
        case .conversation(let snapshot): put(.conversation, snapshot)
        case .conversations(let snapshots): put(.conversations, snapshots)
        case .messages(let messages): put(.messages, messages)
        case .backlog(let backlog): put(.backlog, backlog)
        case .synced(let messages, let through):
            put(.synced, messages)
            buffer.writeVarint(through)
        case .signingKeys(let keys): put(.signingKeys, keys)
        case .ring(let ring): put(.ring, ring)
        case .voters(let nodes): put(.voters, nodes)
        case .cursors(let snapshot, let cursors):
            put(.cursors, snapshot)
            buffer.writeArray(cursors)
        case .located(let location): put(.located, location)
        case .pending(let devices): put(.pending, devices)
        case .replica(let status): put(.replica, status)
        case .holds(let holds):
            buffer.writeByte(ResponseTag.holds.rawValue)
            buffer.writeFlag(holds)
        case .none: buffer.writeByte(ResponseTag.none.rawValue)
        case .rejected(let rejection):
            buffer.writeByte(ResponseTag.rejected.rawValue)
            buffer.writeByte(rejection.rawValue)
        }
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        switch try buffer.readTag("read response", as: ResponseTag.self) {
        case .account: self = .account(try AccountRecord(reading: &buffer))
        case .accounts: self = .accounts(try buffer.readArray())
        case .devices: self = .devices(try buffer.readArray())
        case .lastSeen: self = .lastSeen(try buffer.readArray())
        case .users: self = .users(try buffer.readArray())
        case .session: self = .session(try SessionGrant(reading: &buffer))
        case .conversation: self = .conversation(try ConversationSnapshot(reading: &buffer))
        case .conversations: self = .conversations(try buffer.readArray())
        case .messages: self = .messages(try buffer.readArray())
        case .backlog: self = .backlog(try Backlog(reading: &buffer))
        case .synced: self = .synced(messages: try buffer.readArray(), through: try buffer.readVarint())
        case .signingKeys: self = .signingKeys(try buffer.readArray())
        case .ring: self = .ring(try Ring(reading: &buffer))
        case .voters: self = .voters(try buffer.readArray())
        case .cursors: self = .cursors(try ConversationSnapshot(reading: &buffer), try buffer.readArray())
        case .located: self = .located(try MessageLocation(reading: &buffer))
        case .pending: self = .pending(try buffer.readArray())
        case .replica: self = .replica(try ReplicaStatus(reading: &buffer))
        case .holds: self = .holds(try buffer.readFlag("holds"))
        case .none: self = .none
        case .rejected: self = .rejected(try buffer.readTag("rejection"))
        }
    }
}

extension UserLastSeen: WireValue {
    static var minimumSize: Int { 18 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeID(user)
        buffer.writeFlag(isHidden)
        buffer.writeArray(devices)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            user: try buffer.readID(), isHidden: try buffer.readFlag("hidden"), devices: try buffer.readArray())
    }
}

extension Backlog: WireValue {
    static var minimumSize: Int { 3 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeArray(messages)
        buffer.writeVarint(through)
        buffer.writeLost(lost)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            messages: try buffer.readArray(), through: try buffer.readVarint(), lost: try buffer.readLost())
    }
}

extension ReadCall: WireValue {
    static var minimumSize: Int { 3 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeVarint(id)
        partition.encode(into: &buffer)
        request.encode(into: &buffer)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            id: try buffer.readVarint(), partition: try PartitionID(reading: &buffer),
            request: try ReadRequest(reading: &buffer))
    }
}

extension ReadReply: WireValue {
    static var minimumSize: Int { 3 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeVarint(id)
        switch outcome {
        case .answered(let response):
            buffer.writeByte(AnswerTag.answered.rawValue)
            response.encode(into: &buffer)
        case .notLeader(let hint):
            buffer.writeByte(AnswerTag.notLeader.rawValue)
            buffer.writeOptional(hint)
        }
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        let id = try buffer.readVarint()
        switch try buffer.readTag("outcome", as: AnswerTag.self) {
        case .answered: self.init(id: id, outcome: .answered(try ReadResponse(reading: &buffer)))
        case .notLeader: self.init(id: id, outcome: .notLeader(try buffer.readOptional("leader")))
        }
    }
}
