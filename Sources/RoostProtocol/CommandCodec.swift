public import NIOCore
internal import RoostModel

/// First byte of an encoded command. Stands in logs on disk: a number is never given twice, and a command that gets
/// another field gets another number.
enum CommandTag: UInt8 {
    case send = 1
    case createAccount = 2
    case setAccountDisabled = 3
    case registerDevice = 4
    case createConversation = 5
    case changeMembers = 6
    case advanceCursors = 7
    case addSigningKey = 8
    case limited = 9
    case seeDevices = 10
    case forgetDevices = 11
    case dropCursors = 12
    case strippedSend = 13
    case raiseFloors = 14
    case raiseIDFloors = 15
    case called = 16
    case setLastSeenHidden = 17
    case foundRing = 18
    case changeRing = 19
    case registerDeviceWithToken = 20
    case revokeTokens = 21
    case activateSigningKey = 22
    case removeSigningKey = 23
}

extension Command: WireValue {
    static var minimumSize: Int { 2 }

    public func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .send(let send):
            buffer.writeByte((send.removedHash == nil ? CommandTag.send : .strippedSend).rawValue)
            send.encode(into: &buffer)
        case .createAccount(let account):
            buffer.writeByte(CommandTag.createAccount.rawValue)
            account.encode(into: &buffer)
        case .setAccountDisabled(let user, let disabled):
            buffer.writeByte(CommandTag.setAccountDisabled.rawValue)
            buffer.writeID(user)
            buffer.writeFlag(disabled)
        case .registerDevice(let user, let device, let startAt, let token):
            buffer.writeByte((token == nil ? CommandTag.registerDevice : .registerDeviceWithToken).rawValue)
            buffer.writeID(user)
            buffer.writeDevice(device)
            buffer.writeInteger(startAt)
            token?.encode(into: &buffer)
        case .createConversation(let create):
            buffer.writeByte(CommandTag.createConversation.rawValue)
            create.encode(into: &buffer)
        case .changeMembers(let change):
            buffer.writeByte(CommandTag.changeMembers.rawValue)
            change.encode(into: &buffer)
        case .advanceCursors(let cursors):
            buffer.writeByte(CommandTag.advanceCursors.rawValue)
            buffer.writeArray(cursors)
        case .addSigningKey(let key):
            buffer.writeByte(CommandTag.addSigningKey.rawValue)
            key.encodeNew(into: &buffer)
        case .limited(let limits, let command):
            buffer.writeByte(CommandTag.limited.rawValue)
            limits.encode(into: &buffer)
            command.encode(into: &buffer)
        case .seeDevices(let devices):
            buffer.writeByte(CommandTag.seeDevices.rawValue)
            buffer.writeArray(devices)
        case .forgetDevices(let devices):
            buffer.writeByte(CommandTag.forgetDevices.rawValue)
            buffer.writeArray(devices)
        case .dropCursors(let devices):
            buffer.writeByte(CommandTag.dropCursors.rawValue)
            buffer.writeArray(devices)
        case .raiseFloors(let raises):
            buffer.writeByte(CommandTag.raiseFloors.rawValue)
            buffer.writeArray(raises)
        case .raiseIDFloors(let raises):
            buffer.writeByte(CommandTag.raiseIDFloors.rawValue)
            buffer.writeArray(raises)
        case .called(let identity, let command):
            buffer.writeByte(CommandTag.called.rawValue)
            identity.encode(into: &buffer)
            command.encode(into: &buffer)
        case .setLastSeenHidden(let user, let hidden):
            buffer.writeByte(CommandTag.setLastSeenHidden.rawValue)
            buffer.writeID(user)
            buffer.writeFlag(hidden)
        case .foundRing(let ring):
            buffer.writeByte(CommandTag.foundRing.rawValue)
            ring.encode(into: &buffer)
        case .changeRing(let change):
            buffer.writeByte(CommandTag.changeRing.rawValue)
            change.encode(into: &buffer)
        case .revokeTokens(let user, let revocation):
            buffer.writeByte(CommandTag.revokeTokens.rawValue)
            buffer.writeID(user)
            revocation.encode(into: &buffer)
        case .activateSigningKey(let id):
            buffer.writeByte(CommandTag.activateSigningKey.rawValue)
            buffer.writeText(id)
        case .removeSigningKey(let id):
            buffer.writeByte(CommandTag.removeSigningKey.rawValue)
            buffer.writeText(id)
        }
    }

    /// Decodes a command that takes up the whole buffer. A send's content is a slice of the buffer's storage.
    public init(decoding buffer: inout ByteBuffer) throws(PeerCodecError) {
        self = try buffer.readWhole()
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        switch try buffer.readTag("command", as: CommandTag.self) {
        case .send: self = .send(try SendCommand(reading: &buffer))
        case .createAccount: self = .createAccount(try AccountRecord(reading: &buffer))
        case .setAccountDisabled:
            self = .setAccountDisabled(user: try buffer.readID(), disabled: try buffer.readFlag("disabled"))
        case .registerDevice:
            self = .registerDevice(
                user: try buffer.readID(), device: try buffer.readDevice(), startAt: try buffer.readFixed())
        case .createConversation: self = .createConversation(try CreateConversationCommand(reading: &buffer))
        case .changeMembers: self = .changeMembers(try ChangeMembersCommand(reading: &buffer))
        case .advanceCursors: self = .advanceCursors(try buffer.readArray())
        case .addSigningKey: self = .addSigningKey(try SigningKey(readingNew: &buffer))
        case .limited:
            let limits = try CommandLimits(reading: &buffer)
            // One level only: what comes from outside must not nest without end.
            let next: UInt8? = buffer.getInteger(at: buffer.readerIndex)
            guard next != CommandTag.limited.rawValue else { throw .invalid("limited command") }
            self = .limited(limits, try Command(reading: &buffer))
        case .seeDevices: self = .seeDevices(try buffer.readArray())
        case .forgetDevices: self = .forgetDevices(try buffer.readArray())
        case .dropCursors: self = .dropCursors(try buffer.readArray())
        case .strippedSend: self = .send(try SendCommand(readingStripped: &buffer))
        case .raiseFloors: self = .raiseFloors(try buffer.readArray())
        case .raiseIDFloors: self = .raiseIDFloors(try buffer.readArray())
        case .called:
            let identity = try CallIdentity(reading: &buffer)
            // Not of any: what comes from outside must not nest without end.
            let next: CommandTag? = buffer.getInteger(at: buffer.readerIndex, as: UInt8.self).flatMap(CommandTag.init)
            guard next != .called, next != .limited else { throw .invalid("called command") }
            let command = try Command(reading: &buffer)
            guard command.needsIdentity else { throw .invalid("called command") }
            self = .called(identity, command)
        case .setLastSeenHidden:
            self = .setLastSeenHidden(user: try buffer.readID(), hidden: try buffer.readFlag("hidden"))
        case .foundRing: self = .foundRing(try Ring(reading: &buffer))
        case .changeRing: self = .changeRing(try RingChange(reading: &buffer))
        case .registerDeviceWithToken:
            self = .registerDevice(
                user: try buffer.readID(), device: try buffer.readDevice(), startAt: try buffer.readFixed(),
                token: try TokenStamp(reading: &buffer))
        case .revokeTokens:
            self = .revokeTokens(user: try buffer.readID(), try TokenRevocation(reading: &buffer))
        case .activateSigningKey: self = .activateSigningKey(id: try buffer.readText("key id"))
        case .removeSigningKey: self = .removeSigningKey(id: try buffer.readText("key id"))
        }
    }
}

extension StampedCommand: WireValue {
    static var minimumSize: Int { 10 }

    /// The stamp (8 bytes, big endian), then the command.
    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeInteger(stamp)
        command.encode(into: &buffer)
    }

    /// Decodes a stamped command that takes up the whole buffer, such as an entry's payload.
    public init(decoding buffer: inout ByteBuffer) throws(PeerCodecError) {
        self = try buffer.readWhole()
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(stamp: try buffer.readFixed(), command: try Command(reading: &buffer))
    }

    /// An entry's payload from a proposal's bytes, which stay as they are.
    public static func payload(stamp: Int64, encodedCommand: ByteBuffer) -> ByteBuffer {
        var payload = ByteBufferAllocator().buffer(capacity: 8 + encodedCommand.readableBytes)
        payload.writeInteger(stamp)
        payload.writeImmutableBuffer(encodedCommand)
        return payload
    }
}

extension SendCommand: WireValue {
    static var minimumSize: Int { 65 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeID(conversation)
        buffer.writeOptional(peer)
        buffer.writeID(sender)
        buffer.writeDevice(device)
        buffer.writeID(id)
        if removedHash == nil { buffer.writeText(type) }
        buffer.writeInteger(order.session.value)
        buffer.writeVarint(order.run)
        buffer.writeVarint(order.counter)
        buffer.writeVarint(order.base)
        if let removedHash { buffer.writeInteger(removedHash) } else { buffer.writeBlob(content) }
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        try self.init(reading: &buffer, stripped: false)
    }

    /// The same fields without type and content, and the hash of those.
    fileprivate init(readingStripped buffer: inout ByteBuffer) throws(PeerCodecError) {
        try self.init(reading: &buffer, stripped: true)
    }

    private init(reading buffer: inout ByteBuffer, stripped: Bool) throws(PeerCodecError) {
        let conversation: ConversationID = try buffer.readID()
        let peer = try buffer.readOptional("peer", of: UserID.self)
        let sender: UserID = try buffer.readID()
        let device = try buffer.readDevice()
        let id: MessageID = try buffer.readID()
        let type = stripped ? "" : try buffer.readText("type", max: WireBounds.messageType)
        let order = SendOrder(
            session: SessionID(try buffer.readFixed()), run: try buffer.readVarint(as: UInt32.self, "run"),
            counter: try buffer.readVarint(), base: try buffer.readVarint())
        let hash: UInt64? = stripped ? try buffer.readFixed() : nil
        self.init(
            conversation: conversation, peer: peer, sender: sender, device: device, id: id, type: type,
            content: stripped ? ByteBuffer() : try buffer.readBlob(), order: order, removedHash: hash)
    }
}

extension CreateConversationCommand: WireValue {
    static var minimumSize: Int { 35 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeID(id)
        buffer.writeByte(type.rawValue)
        buffer.writeOptional(name.map(WireText.init))
        buffer.writeID(creator)
        buffer.writeArray(members)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            id: try buffer.readID(), type: try buffer.readTag("conversation type"),
            name: try buffer.readOptional("name", of: WireText.self)?.text, creator: try buffer.readID(),
            members: try buffer.readArray())
    }
}

extension ChangeMembersCommand: WireValue {
    static var minimumSize: Int { 34 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeID(conversation)
        buffer.writeID(actor)
        buffer.writeArray(users)
        buffer.writeByte(action.rawValue)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            conversation: try buffer.readID(), actor: try buffer.readID(), users: try buffer.readArray(),
            action: try buffer.readTag("membership action"))
    }
}
