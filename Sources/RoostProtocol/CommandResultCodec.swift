public import NIOCore
internal import RoostModel

private enum CommandResultTag: UInt8 {
    case sent = 1
    case created = 2
    case conversation = 3
    case done = 4
    case rejected = 5
}

extension CommandResult: WireValue {
    static var minimumSize: Int { 1 }

    public func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .sent(let conversation, let seq, let sentAt):
            buffer.writeByte(CommandResultTag.sent.rawValue)
            buffer.writeID(conversation)
            buffer.writeVarint(seq)
            buffer.writeInteger(sentAt)
        case .created(let time):
            buffer.writeByte(CommandResultTag.created.rawValue)
            buffer.writeInteger(time)
        case .conversation(let snapshot):
            buffer.writeByte(CommandResultTag.conversation.rawValue)
            snapshot.encode(into: &buffer)
        case .done:
            buffer.writeByte(CommandResultTag.done.rawValue)
        case .rejected(let rejection):
            buffer.writeByte(CommandResultTag.rejected.rawValue)
            buffer.writeByte(rejection.rawValue)
        }
    }

    /// Decodes a result that takes up the whole buffer.
    public init(decoding buffer: inout ByteBuffer) throws(PeerCodecError) {
        self = try buffer.readWhole()
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        switch try buffer.readTag("command result", as: CommandResultTag.self) {
        case .sent:
            self = .sent(
                conversation: try buffer.readID(), seq: try buffer.readVarint(), sentAt: try buffer.readFixed())
        case .created: self = .created(at: try buffer.readFixed())
        case .conversation: self = .conversation(try ConversationSnapshot(reading: &buffer))
        case .done: self = .done
        case .rejected: self = .rejected(try buffer.readTag("rejection"))
        }
    }
}

/// Proposals and reads are answered with a value, or with the node that may know better.
enum AnswerTag: UInt8 {
    case answered = 1
    case notLeader = 2
}

extension Proposal: WireValue {
    static var minimumSize: Int { 4 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeVarint(id)
        partition.encode(into: &buffer)
        buffer.writeByte(hops)
        buffer.writeBlob(command)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            id: try buffer.readVarint(), partition: try PartitionID(reading: &buffer), hops: try buffer.readFixed(),
            command: try buffer.readBlob())
    }
}

extension ProposalResult: WireValue {
    static var minimumSize: Int { 3 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeVarint(id)
        switch outcome {
        case .applied(let result):
            buffer.writeByte(AnswerTag.answered.rawValue)
            result.encode(into: &buffer)
        case .notLeader(let hint):
            buffer.writeByte(AnswerTag.notLeader.rawValue)
            buffer.writeOptional(hint)
        }
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        let id = try buffer.readVarint()
        switch try buffer.readTag("outcome", as: AnswerTag.self) {
        case .answered: self.init(id: id, outcome: .applied(try CommandResult(reading: &buffer)))
        case .notLeader: self.init(id: id, outcome: .notLeader(try buffer.readOptional("leader")))
        }
    }
}
