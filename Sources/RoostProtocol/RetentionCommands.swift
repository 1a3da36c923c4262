public import NIOCore
public import RoostModel

/// Up to which seq something of a conversation goes.
public struct FloorRaise: Sendable, Equatable {
    public var conversation: ConversationID
    public var seq: UInt64
    public init(conversation: ConversationID, seq: UInt64) {
        self.conversation = conversation
        self.seq = seq
    }
}

extension FloorRaise: WireValue {
    static var minimumSize: Int { 17 }

    func encode(into buffer: inout ByteBuffer) {
        buffer.writeID(conversation)
        buffer.writeVarint(seq)
    }

    init(reading buffer: inout ByteBuffer) throws(PeerCodecError) {
        self.init(conversation: try buffer.readID(), seq: try buffer.readVarint())
    }
}

extension Command {
    /// The same without type and content, which `hash` stands for; what decides the entry is left, so that replaying it
    /// comes to the same. Nil where there is nothing to remove.
    public func stripped(hash: UInt64) -> Command? {
        switch self {
        case .send(var send):
            guard send.removedHash == nil else { return nil }
            send.type = ""
            send.content = ByteBuffer()
            send.removedHash = hash
            return .send(send)
        case .limited(let limits, let command):
            return command.stripped(hash: hash).map { .limited(limits, $0) }
        default: return nil
        }
    }
}

extension StampedCommand {
    /// Whether an entry with this payload may wait for the next sync: acknowledgements only, which are repeated by
    /// delivering again.
    public static func mayWait(_ payload: ByteBuffer) -> Bool {
        // The stamp, the tag, the number of cursors; an entry without any is made to be synced.
        payload.readableBytes > 10
            && payload.getInteger(at: payload.readerIndex + 8, as: UInt8.self) == CommandTag.advanceCursors.rawValue
    }
}

extension ByteBuffer {
    /// How many were removed, then the first of them: mostly a single zero.
    mutating func writeLost(_ lost: ClosedRange<UInt64>?) {
        writeVarint(lost.map { $0.upperBound - $0.lowerBound + 1 } ?? 0)
        if let lost { writeVarint(lost.lowerBound) }
    }

    mutating func readLost() throws(PeerCodecError) -> ClosedRange<UInt64>? {
        let count: UInt64 = try readVarint()
        guard count > 0 else { return nil }
        let first: UInt64 = try readVarint()
        let (last, overflow) = first.addingReportingOverflow(count - 1)
        guard !overflow else { throw .invalid("lost") }
        return first...last
    }
}
