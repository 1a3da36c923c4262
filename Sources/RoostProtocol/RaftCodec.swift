public import NIOCore
internal import RoostModel

extension RaftPeer: WireValue {
    static var minimumSize: Int { 10 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeNode(node)
        buffer.writeInteger(store.value)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(node: try buffer.readNode(), store: StoreID(try buffer.readFixed()))
    }
}

extension RaftEntry: WireValue {
    static var minimumSize: Int { 4 }

    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeVarint(index)
        buffer.writeVarint(term)
        buffer.writeByte(kind.rawValue)
        buffer.writeBlob(payload)
    }

    /// Decodes an entry that takes up the whole buffer; its payload is a slice of the buffer's storage.
    public init(decoding buffer: inout ByteBuffer) throws(PeerCodecError) {
        self = try buffer.readWhole()
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            index: try buffer.readVarint(), term: try buffer.readVarint(), kind: try buffer.readTag("entry kind"),
            payload: try buffer.readBlob())
    }
}

private enum RaftTag: UInt8 {
    case preVote = 1
    case preVoteReply = 2
    case vote = 3
    case voteReply = 4
    case append = 5
    case appendReply = 6
    case heartbeat = 7
    case heartbeatReply = 8
    case timeoutNow = 9
}

extension RaftMessage: WireValue {
    static var minimumSize: Int { 2 }

    private var tag: RaftTag {
        switch self {
        case .preVote: .preVote
        case .preVoteReply: .preVoteReply
        case .vote: .vote
        case .voteReply: .voteReply
        case .append: .append
        case .appendReply: .appendReply
        case .heartbeat: .heartbeat
        case .heartbeatReply: .heartbeatReply
        case .timeoutNow: .timeoutNow
        }
    }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeByte(tag.rawValue)
        buffer.writeVarint(term)
        switch self {
        case .preVote(_, let lastIndex, let lastTerm):
            buffer.writeVarint(lastIndex)
            buffer.writeVarint(lastTerm)
        case .preVoteReply(_, let granted), .voteReply(_, let granted):
            buffer.writeFlag(granted)
        case .vote(_, let lastIndex, let lastTerm, let transfer):
            buffer.writeVarint(lastIndex)
            buffer.writeVarint(lastTerm)
            buffer.writeFlag(transfer)
        case .append(_, let prevIndex, let prevTerm, let commit, let entries):
            buffer.writeVarint(prevIndex)
            buffer.writeVarint(prevTerm)
            buffer.writeVarint(commit)
            buffer.writeArray(entries)
        case .appendReply(_, let success, let index, let conflictTerm):
            buffer.writeFlag(success)
            buffer.writeVarint(index)
            buffer.writeVarint(conflictTerm)
        case .heartbeat(_, let commit, let read, let hibernate):
            buffer.writeVarint(commit)
            buffer.writeVarint(read)
            buffer.writeFlag(hibernate)
        case .heartbeatReply(_, let read, let lastIndex):
            buffer.writeVarint(read)
            buffer.writeVarint(lastIndex)
        case .timeoutNow:
            break
        }
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        let tag = try buffer.readTag("raft message", as: RaftTag.self)
        let term = try buffer.readVarint()
        switch tag {
        case .preVote:
            self = .preVote(term: term, lastIndex: try buffer.readVarint(), lastTerm: try buffer.readVarint())
        case .preVoteReply: self = .preVoteReply(term: term, granted: try buffer.readFlag("granted"))
        case .vote:
            self = .vote(
                term: term, lastIndex: try buffer.readVarint(), lastTerm: try buffer.readVarint(),
                transfer: try buffer.readFlag("transfer"))
        case .voteReply: self = .voteReply(term: term, granted: try buffer.readFlag("granted"))
        case .append:
            self = .append(
                term: term, prevIndex: try buffer.readVarint(), prevTerm: try buffer.readVarint(),
                commit: try buffer.readVarint(), entries: try buffer.readArray())
        case .appendReply:
            self = .appendReply(
                term: term, success: try buffer.readFlag("success"), index: try buffer.readVarint(),
                conflictTerm: try buffer.readVarint())
        case .heartbeat:
            self = .heartbeat(
                term: term, commit: try buffer.readVarint(), read: try buffer.readVarint(),
                hibernate: try buffer.readFlag("hibernate"))
        case .heartbeatReply:
            self = .heartbeatReply(term: term, read: try buffer.readVarint(), lastIndex: try buffer.readVarint())
        case .timeoutNow: self = .timeoutNow(term: term)
        }
    }
}

extension RaftEnvelope: WireValue {
    static var minimumSize: Int { 19 }

    func encode(into buffer: inout ByteBuffer) {
        partition.encode(into: &buffer)
        buffer.writeInteger(fromStore.value)
        buffer.writeInteger(toStore.value)
        message.encode(into: &buffer)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(
            partition: try PartitionID(reading: &buffer), fromStore: StoreID(try buffer.readFixed()),
            toStore: StoreID(try buffer.readFixed()), message: try RaftMessage(reading: &buffer))
    }
}
