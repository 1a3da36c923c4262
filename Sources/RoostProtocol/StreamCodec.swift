internal import NIOCore
internal import RoostModel

extension SubscribedSession: WireValue {
    static var minimumSize: Int { 37 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeVarint(slot)
        buffer.writeInteger(session.value)
        generation.encode(into: &buffer)
        buffer.writeID(user)
        buffer.writeDevice(device)
        buffer.writeInteger(startAt)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            slot: try UInt32(reading: &buffer), session: SessionID(try buffer.readFixed()),
            generation: try Generation(reading: &buffer), user: try buffer.readID(), device: try buffer.readDevice(),
            startAt: try buffer.readFixed())
    }
}

extension OpenRequest: WireValue {
    static var minimumSize: Int { 4 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeVarint(id)
        buffer.writeArray(partitions)
        buffer.writeArray(sessions)
        buffer.writeFlag(reset)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            id: try buffer.readVarint(), partitions: try buffer.readArray(), sessions: try buffer.readArray(),
            reset: try buffer.readFlag("reset"))
    }
}

extension UnreadConversation: WireValue {
    static var minimumSize: Int { 20 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeVarint(slot)
        buffer.writeID(conversation)
        buffer.writeVarint(cursor)
        buffer.writeVarint(head)
        buffer.writeLost(lost)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            slot: try UInt32(reading: &buffer), conversation: try buffer.readID(), cursor: try buffer.readVarint(),
            head: try buffer.readVarint(), lost: try buffer.readLost())
    }
}

extension OpenReply: WireValue {
    static var minimumSize: Int { 5 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeVarint(id)
        partition.encode(into: &buffer)
        buffer.writeArray(slots)
        switch outcome {
        case .opened(let term, let position, let index, let unread):
            buffer.writeByte(AnswerTag.answered.rawValue)
            buffer.writeVarint(term)
            buffer.writeVarint(position)
            buffer.writeVarint(index)
            buffer.writeArray(unread)
        case .notLeader(let hint):
            buffer.writeByte(AnswerTag.notLeader.rawValue)
            buffer.writeOptional(hint)
        }
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        let id = try buffer.readVarint()
        let partition = try PartitionID(reading: &buffer)
        let slots: [UInt32] = try buffer.readArray()
        let outcome: Outcome
        switch try buffer.readTag("outcome", as: AnswerTag.self) {
        case .answered:
            outcome = .opened(
                term: try buffer.readVarint(), position: try buffer.readVarint(), index: try buffer.readVarint(),
                unread: try buffer.readArray())
        case .notLeader: outcome = .notLeader(try buffer.readOptional("leader"))
        }
        self.init(id: id, partition: partition, slots: slots, outcome: outcome)
    }
}

extension SubscriptionEnd: WireValue {
    static var minimumSize: Int { 9 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeVarint(slot)
        buffer.writeInteger(session.value)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(slot: try UInt32(reading: &buffer), session: SessionID(try buffer.readFixed()))
    }
}

extension DeliverTarget: WireValue {
    static var minimumSize: Int { 2 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeVarint(slot)
        buffer.writeVarint(cursor)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(slot: try UInt32(reading: &buffer), cursor: try buffer.readVarint())
    }
}

extension DeliverItem: WireValue {
    static var minimumSize: Int { 63 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeVarint(index)
        message.encode(into: &buffer)
        buffer.writeArray(targets)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            index: try buffer.readVarint(), message: try Message(reading: &buffer), targets: try buffer.readArray())
    }
}

extension DeliverBatch: WireValue {
    static var minimumSize: Int { 4 }

    func encode(into buffer: inout ByteBuffer) {
        partition.encode(into: &buffer)
        buffer.writeVarint(term)
        buffer.writeVarint(position)
        buffer.writeArray(items)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            partition: try PartitionID(reading: &buffer), term: try buffer.readVarint(),
            position: try buffer.readVarint(), items: try buffer.readArray())
    }
}

extension StreamStatus: WireValue {
    static var minimumSize: Int { 11 }

    func encode(into buffer: inout ByteBuffer) {
        partition.encode(into: &buffer)
        buffer.writeVarint(term)
        buffer.writeVarint(position)
        buffer.writeInteger(digest)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            partition: try PartitionID(reading: &buffer), term: try buffer.readVarint(),
            position: try buffer.readVarint(), digest: try buffer.readFixed())
    }
}

extension AckBatch: WireValue {
    static var minimumSize: Int { 2 }

    func encode(into buffer: inout ByteBuffer) {
        partition.encode(into: &buffer)
        buffer.writeArray(cursors)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(partition: try PartitionID(reading: &buffer), cursors: try buffer.readArray())
    }
}

extension RelayedFrame: WireValue {
    static var minimumSize: Int { 5 }

    func encode(into buffer: inout ByteBuffer) {
        origin.encode(into: &buffer)
        target.encode(into: &buffer)
        buffer.writeBlob(frame)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(origin: try buffer.readNode(), target: try buffer.readNode(), frame: try buffer.readBlob())
    }
}
