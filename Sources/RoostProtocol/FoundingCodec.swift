public import NIOCore
internal import RoostModel

extension FoundingMember: WireValue {
    static var minimumSize: Int { 11 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeNode(node)
        buffer.writeInteger(store.value)
        buffer.writeText(address)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            node: try buffer.readNode(), store: StoreID(try buffer.readFixed()),
            address: try buffer.readText("address", max: WireBounds.name))
    }
}

extension FoundingRecord: WireValue {
    static var minimumSize: Int { 28 }

    /// Stands on disk too.
    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeUUID(clusterID)
        buffer.writeText(cluster)
        buffer.writeInteger(configurationHash)
        buffer.writeVarint(partitions)
        buffer.writeVarint(replication)
        buffer.writeArray(members)
    }

    /// Decodes a record that takes up the whole buffer.
    public init(decoding buffer: inout ByteBuffer) throws(PeerCodecError) {
        self = try buffer.readWhole()
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            clusterID: try buffer.readUUID(), cluster: try buffer.readText("cluster", max: WireBounds.name),
            configurationHash: try buffer.readFixed(), partitions: try buffer.readVarint(as: UInt16.self, "partitions"),
            replication: try buffer.readVarint(as: UInt16.self, "replication"), members: try buffer.readArray())
    }
}

private enum FoundingTag: UInt8 {
    case propose = 1
    case promise = 2
    case refuse = 3
    case founded = 4
}

extension FoundingMessage: WireValue {
    static var minimumSize: Int { 2 }

    func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .propose(let record):
            buffer.writeByte(FoundingTag.propose.rawValue)
            record.encode(into: &buffer)
        case .promise(let clusterID):
            buffer.writeByte(FoundingTag.promise.rawValue)
            buffer.writeUUID(clusterID)
        case .refuse(let reason):
            buffer.writeByte(FoundingTag.refuse.rawValue)
            buffer.writeText(reason)
        case .founded(let record):
            buffer.writeByte(FoundingTag.founded.rawValue)
            record.encode(into: &buffer)
        }
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        switch try buffer.readTag("founding message", as: FoundingTag.self) {
        case .propose: self = .propose(try FoundingRecord(reading: &buffer))
        case .promise: self = .promise(clusterID: try buffer.readUUID())
        case .refuse: self = .refuse(reason: try buffer.readText("reason"))
        case .founded: self = .founded(try FoundingRecord(reading: &buffer))
        }
    }
}
