internal import NIOCore
internal import RoostModel

extension MemberRumour: WireValue {
    static var minimumSize: Int { 7 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeNode(node)
        buffer.writeVarint(epoch)
        buffer.writeVarint(incarnation)
        buffer.writeByte(status.rawValue)
        buffer.writeText(address)
        buffer.writeOptional(accuser)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            node: try buffer.readNode(), epoch: try buffer.readVarint(), incarnation: try buffer.readVarint(),
            status: try buffer.readTag("member status"),
            address: try buffer.readText("address", max: WireBounds.name),
            accuser: try buffer.readOptional("accuser"))
    }
}

extension PresenceDigest: WireValue {
    static var minimumSize: Int { 4 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeNode(node)
        buffer.writeVarint(epoch)
        buffer.writeVarint(version)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(node: try buffer.readNode(), epoch: try buffer.readVarint(), version: try buffer.readVarint())
    }
}

private enum SwimTag: UInt8 {
    case ping = 1
    case ack = 2
    case pingRequest = 3
    case nack = 4
    case exchange = 5
    case summary = 6
}

extension SwimMessage.Body: WireValue {
    static var minimumSize: Int { 2 }

    func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .ping(let sequence):
            buffer.writeByte(SwimTag.ping.rawValue)
            buffer.writeVarint(sequence)
        case .ack(let sequence, let target):
            buffer.writeByte(SwimTag.ack.rawValue)
            buffer.writeVarint(sequence)
            buffer.writeNode(target)
        case .pingRequest(let sequence, let target):
            buffer.writeByte(SwimTag.pingRequest.rawValue)
            buffer.writeVarint(sequence)
            buffer.writeNode(target)
        case .nack(let sequence, let target):
            buffer.writeByte(SwimTag.nack.rawValue)
            buffer.writeVarint(sequence)
            buffer.writeNode(target)
        case .exchange(let reply):
            buffer.writeByte(SwimTag.exchange.rawValue)
            buffer.writeFlag(reply)
        case .summary(let members):
            buffer.writeByte(SwimTag.summary.rawValue)
            buffer.writeInteger(members)
        }
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        let tag = try buffer.readTag("swim message", as: SwimTag.self)
        if tag == .exchange {
            self = .exchange(reply: try buffer.readFlag("reply"))
            return
        }
        if tag == .summary {
            self = .summary(members: try buffer.readFixed())
            return
        }
        let sequence = try buffer.readVarint(as: UInt32.self, "sequence")
        switch tag {
        case .ack: self = .ack(sequence: sequence, target: try buffer.readNode())
        case .pingRequest: self = .pingRequest(sequence: sequence, target: try buffer.readNode())
        case .nack: self = .nack(sequence: sequence, target: try buffer.readNode())
        case .ping, .exchange, .summary: self = .ping(sequence: sequence)
        }
    }
}

extension SwimMessage: WireValue {
    static var minimumSize: Int { 4 }

    func encode(into buffer: inout ByteBuffer) {
        body.encode(into: &buffer)
        buffer.writeArray(rumours)
        buffer.writeArray(digests)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            body: try Body(reading: &buffer), rumours: try buffer.readArray(), digests: try buffer.readArray())
    }
}

extension PresenceEntry: WireValue {
    static var minimumSize: Int { 36 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeID(user)
        buffer.writeDevice(device)
        buffer.writeInteger(session.value)
        generation.encode(into: &buffer)
        buffer.writeInteger(since)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            user: try buffer.readID(), device: try buffer.readDevice(), session: SessionID(try buffer.readFixed()),
            generation: try Generation(reading: &buffer), since: try buffer.readFixed())
    }
}

extension PresenceChange: WireValue {
    static var minimumSize: Int { 38 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeVarint(version)
        buffer.writeFlag(online)
        entry.encode(into: &buffer)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            version: try buffer.readVarint(), online: try buffer.readFlag("online"),
            entry: try PresenceEntry(reading: &buffer))
    }
}

private enum PresenceTag: UInt8 {
    case delta = 1
    case request = 2
    case snapshot = 3
}

extension PresenceMessage: WireValue {
    static var minimumSize: Int { 5 }

    func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .delta(let node, let epoch, let from, let to, let changes):
            buffer.writeByte(PresenceTag.delta.rawValue)
            buffer.writeNode(node)
            buffer.writeVarint(epoch)
            buffer.writeVarint(from)
            buffer.writeVarint(to)
            buffer.writeArray(changes)
        case .request(let node, let epoch, let version):
            buffer.writeByte(PresenceTag.request.rawValue)
            buffer.writeNode(node)
            buffer.writeVarint(epoch)
            buffer.writeVarint(version)
        case .snapshot(let node, let epoch, let version, let chunk, let chunks, let entries):
            buffer.writeByte(PresenceTag.snapshot.rawValue)
            buffer.writeNode(node)
            buffer.writeVarint(epoch)
            buffer.writeVarint(version)
            buffer.writeVarint(chunk)
            buffer.writeVarint(chunks)
            buffer.writeArray(entries)
        }
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        let tag = try buffer.readTag("presence message", as: PresenceTag.self)
        let node = try buffer.readNode()
        let epoch = try buffer.readVarint()
        let version = try buffer.readVarint()
        switch tag {
        case .delta:
            self = .delta(
                node: node, epoch: epoch, from: version, to: try buffer.readVarint(), changes: try buffer.readArray())
        case .request: self = .request(node: node, epoch: epoch, version: version)
        case .snapshot:
            self = .snapshot(
                node: node, epoch: epoch, version: version, chunk: try buffer.readVarint(as: UInt32.self, "chunk"),
                chunks: try buffer.readVarint(as: UInt32.self, "chunks"), entries: try buffer.readArray())
        }
    }
}
