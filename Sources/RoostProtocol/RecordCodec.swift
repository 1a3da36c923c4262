internal import NIOCore
internal import RoostModel

extension AccountRecord: WireValue {
    static var minimumSize: Int { 28 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeID(user)
        buffer.writeText(username)
        buffer.writeText(passwordHash)
        buffer.writeByte(role.rawValue)
        buffer.writeByte(flags | (revocations.isEmpty ? 0 : Self.revocationsFollow))
        buffer.writeInteger(createdAt)
        if !revocations.isEmpty { revocations.encode(into: &buffer) }
    }

    /// A bit among the flags.
    private static var revocationsFollow: UInt8 { 4 }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            user: try buffer.readID(), username: try buffer.readText("username"),
            passwordHash: try buffer.readText("password hash"), role: try buffer.readTag("account role"),
            createdAt: 0)
        let flags: UInt8 = try buffer.readFixed()
        guard set(flags: flags & ~Self.revocationsFollow) else { throw .invalid("account flags") }
        createdAt = try buffer.readFixed()
        if flags & Self.revocationsFollow != 0 { revocations = try TokenRevocations(reading: &buffer) }
    }
}

extension AccountRecord {
    /// Bit 0: disabled; bit 1: hides when he was last seen.
    public var flags: UInt8 { (disabled ? 1 : 0) | (hidesLastSeen ? 2 : 0) }

    /// False, and nothing is set, where there is a bit that is not known.
    public mutating func set(flags: UInt8) -> Bool {
        guard flags < 4 else { return false }
        disabled = flags & 1 != 0
        hidesLastSeen = flags & 2 != 0
        return true
    }
}

extension DeviceRecord: WireValue {
    static var minimumSize: Int { 42 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeID(user)
        buffer.writeDevice(device)
        buffer.writeInteger(startAt)
        buffer.writeInteger(createdAt)
        buffer.writeInteger(seenAt)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            user: try buffer.readID(), device: try buffer.readDevice(), startAt: try buffer.readFixed(),
            createdAt: try buffer.readFixed(), seenAt: try buffer.readFixed())
    }
}

extension SigningKey {
    /// The key that signs: the one that was the last to become active.
    public static func signing(among keys: [SigningKey]) -> SigningKey? {
        keys.filter { $0.activeAt > 0 }.max { ($0.activeAt, $0.id) < ($1.activeAt, $1.id) }
    }

    /// Stable hash of which keys there are and which may sign.
    public static func digest(of keys: [SigningKey]) -> UInt64 {
        StableHash.of(keys.sorted { $0.id < $1.id }.map { "\($0.id) \($0.activeAt)\n" }.joined())
    }
}

extension SigningKey: WireValue {
    static var minimumSize: Int { 18 }

    func encode(into buffer: inout ByteBuffer) {
        encodeNew(into: &buffer)
        buffer.writeInteger(activeAt)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self = try SigningKey(readingNew: &buffer)
        activeAt = try buffer.readFixed()
    }

    /// As it is proposed: whether it signs is decided later.
    func encodeNew(into buffer: inout ByteBuffer) {
        buffer.writeText(id)
        buffer.writeBlob(secret)
        buffer.writeInteger(createdAt)
    }

    init(readingNew buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            id: try buffer.readText("key id"), secret: try buffer.readBlob(), createdAt: try buffer.readFixed())
    }
}

extension CursorAdvance: WireValue {
    static var minimumSize: Int { 35 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeID(user)
        buffer.writeDevice(device)
        buffer.writeID(conversation)
        buffer.writeVarint(seq)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            user: try buffer.readID(), device: try buffer.readDevice(), conversation: try buffer.readID(),
            seq: try buffer.readVarint())
    }
}

extension Message: WireValue {
    static var minimumSize: Int { 61 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeID(id)
        buffer.writeID(conversation)
        buffer.writeVarint(seq)
        buffer.writeID(sender)
        buffer.writeDevice(originDevice)
        buffer.writeText(type)
        buffer.writeInteger(sentAt)
        buffer.writeBlob(content)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        let id: MessageID = try buffer.readID()
        let conversation: ConversationID = try buffer.readID()
        let seq = try buffer.readVarint()
        let sender: UserID = try buffer.readID()
        let device = try buffer.readDevice()
        let type = try buffer.readText("type", max: WireBounds.messageType)
        let sentAt: Int64 = try buffer.readFixed()
        self.init(
            id: id, conversation: conversation, seq: seq, sender: sender, originDevice: device, type: type,
            content: try buffer.readBlob(), sentAt: sentAt)
    }
}

extension MemberSnapshot: WireValue {
    static var minimumSize: Int { 18 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeID(user)
        buffer.writeByte(role.rawValue)
        buffer.writeFlag(current)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            user: try buffer.readID(), role: try buffer.readTag("member role"), current: try buffer.readFlag("current"))
    }
}

extension ConversationSnapshot: WireValue {
    static var minimumSize: Int { 28 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeID(id)
        buffer.writeByte(type.rawValue)
        buffer.writeOptional(name.map(WireText.init))
        buffer.writeInteger(createdAt)
        buffer.writeVarint(lastSeq)
        buffer.writeArray(members)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            id: try buffer.readID(), type: try buffer.readTag("conversation type"),
            name: try buffer.readOptional("name", of: WireText.self)?.text, createdAt: try buffer.readFixed(),
            lastSeq: try buffer.readVarint(), members: try buffer.readArray())
    }
}

extension SessionGrant: WireValue {
    static var minimumSize: Int { 11 }

    func encode(into buffer: inout ByteBuffer) {
        generation.encode(into: &buffer)
        buffer.writeByte(role.rawValue)
        buffer.writeInteger(startAt)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            generation: try Generation(reading: &buffer), role: try buffer.readTag("account role"),
            startAt: try buffer.readFixed())
    }
}

extension MessageLocation: WireValue {
    static var minimumSize: Int { 50 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeID(conversation)
        buffer.writeVarint(seq)
        buffer.writeID(sender)
        buffer.writeDevice(originDevice)
        buffer.writeInteger(sentAt)
        buffer.writeVarint(index)
        buffer.writeVarint(term)
        leader.encode(into: &buffer)
        buffer.writeArray(replicas)
        buffer.writeArray(readers)
        buffer.writeArray(cursors)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            conversation: try buffer.readID(), seq: try buffer.readVarint(), sender: try buffer.readID(),
            originDevice: try buffer.readDevice(), sentAt: try buffer.readFixed(), index: try buffer.readVarint(),
            term: try buffer.readVarint(), leader: try NodeID(reading: &buffer), replicas: try buffer.readArray(),
            readers: try buffer.readArray(), cursors: try buffer.readArray())
    }
}

extension DevicePending: WireValue {
    static var minimumSize: Int { 3 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeDevice(device)
        buffer.writeVarint(count)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(device: try buffer.readDevice(), count: try buffer.readVarint())
    }
}

extension MessageReplica: WireValue {
    static var minimumSize: Int { 2 }

    func encode(into buffer: inout ByteBuffer) {
        node.encode(into: &buffer)
        buffer.writeFlag(isVoter)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(node: try NodeID(reading: &buffer), isVoter: try buffer.readFlag("voter"))
    }
}

extension ReplicaStatus: WireValue {
    static var minimumSize: Int { 4 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeOptional(term.map(WireNumber.init))
        buffer.writeOptional(syncedAt.map(WireTime.init))
        buffer.writeVarint(lastIndex)
        buffer.writeVarint(appliedIndex)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            term: try buffer.readOptional("term", of: WireNumber.self)?.value,
            syncedAt: try buffer.readOptional("synced at", of: WireTime.self)?.value,
            lastIndex: try buffer.readVarint(), appliedIndex: try buffer.readVarint())
    }
}
