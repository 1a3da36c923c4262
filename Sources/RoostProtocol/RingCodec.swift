public import NIOCore
internal import RoostModel

extension RingMember: WireValue {
    static var minimumSize: Int { 11 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeNode(node)
        buffer.writeText(host)
        buffer.writeInteger(peerPort)
        buffer.writeInteger(clientPort)
        buffer.writeInteger(adminPort)
        buffer.writeByte(state.rawValue)
        buffer.writeVarint(since)
        buffer.writeVarint(moved)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            node: try buffer.readNode(), host: try buffer.readText("host", max: WireBounds.name),
            peerPort: try buffer.readFixed(), clientPort: try buffer.readFixed(), adminPort: try buffer.readFixed(),
            state: try buffer.readTag("member state"), since: try buffer.readVarint(), moved: try buffer.readVarint())
    }
}

extension Ring: WireValue {
    static var minimumSize: Int { 2 }

    /// Stands on disk too.
    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeVarint(version)
        buffer.writeArray(members)
    }

    /// Decodes a ring that takes up the whole buffer.
    public init(decoding buffer: inout ByteBuffer) throws(PeerCodecError) {
        self = try buffer.readWhole()
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        let version = try buffer.readVarint()
        let members: [RingMember] = try buffer.readArray()
        for (a, b) in zip(members, members.dropFirst()) where a.node >= b.node { throw .invalid("order of members") }
        self.init(version: version, members: members)
    }
}

private enum RingChangeTag: UInt8 {
    case join = 1
    case leave = 2
    case remove = 3
    case removeAt = 4
    case move = 5
}

extension RingChange: WireValue {
    static var minimumSize: Int { 2 }

    func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .join(let member):
            buffer.writeByte(RingChangeTag.join.rawValue)
            member.encode(into: &buffer)
        case .leave(let node):
            buffer.writeByte(RingChangeTag.leave.rawValue)
            buffer.writeNode(node)
        case .remove(let node):
            buffer.writeByte(RingChangeTag.remove.rawValue)
            buffer.writeNode(node)
        case .removeAt(let version, let node):
            buffer.writeByte(RingChangeTag.removeAt.rawValue)
            buffer.writeVarint(version)
            buffer.writeNode(node)
        case .move(let member):
            buffer.writeByte(RingChangeTag.move.rawValue)
            member.encode(into: &buffer)
        }
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        switch try buffer.readTag("ring change", as: RingChangeTag.self) {
        case .join: self = .join(try RingMember(reading: &buffer))
        case .leave: self = .leave(try buffer.readNode())
        case .remove: self = .remove(try buffer.readNode())
        case .removeAt: self = .removeAt(version: try buffer.readVarint(), try buffer.readNode())
        case .move: self = .move(try RingMember(reading: &buffer))
        }
    }
}

private enum RingTag: UInt8 {
    case version = 1
    case record = 2
    case isRemoved = 3
    case wasRemoved = 4
}

extension RingMessage: WireValue {
    static var minimumSize: Int { 2 }

    func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .version(let version):
            buffer.writeByte(RingTag.version.rawValue)
            buffer.writeVarint(version)
        case .record(let ring):
            buffer.writeByte(RingTag.record.rawValue)
            ring.encode(into: &buffer)
        case .isRemoved(let partition, let store):
            buffer.writeByte(RingTag.isRemoved.rawValue)
            partition.encode(into: &buffer)
            buffer.writeInteger(store.value)
        case .wasRemoved(let partition, let store):
            buffer.writeByte(RingTag.wasRemoved.rawValue)
            partition.encode(into: &buffer)
            buffer.writeInteger(store.value)
        }
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        switch try buffer.readTag("ring message", as: RingTag.self) {
        case .version: self = .version(try buffer.readVarint())
        case .record: self = .record(try Ring(reading: &buffer))
        case .isRemoved:
            self = .isRemoved(partition: try PartitionID(reading: &buffer), store: StoreID(try buffer.readFixed()))
        case .wasRemoved:
            self = .wasRemoved(partition: try PartitionID(reading: &buffer), store: StoreID(try buffer.readFixed()))
        }
    }
}
