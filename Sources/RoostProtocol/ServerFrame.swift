public import NIOCore
public import RoostModel

/// What a session is, told as its first frame.
public struct WelcomeFrame: Sendable, Equatable {
    public var session: SessionID
    public var node: NodeID
    public var user: UserID
    public var device: DeviceID
    /// Seconds between the server's pings.
    public var heartbeat: Int
    /// Longest frame a client may send, in bytes.
    public var maxFrame: Int
    /// Most messages on the way to the client without acknowledgement.
    public var window: Int
    public init(
        session: SessionID, node: NodeID, user: UserID, device: DeviceID, heartbeat: Int, maxFrame: Int, window: Int
    ) {
        self.session = session
        self.node = node
        self.user = user
        self.device = device
        self.heartbeat = heartbeat
        self.maxFrame = maxFrame
        self.window = window
    }

    public func write(into buffer: inout ByteBuffer) {
        buffer.writeStaticString("{\"op\":\"welcome\",\"session\":")
        buffer.writeJSON(string: session.description)
        buffer.writeStaticString(",\"node_id\":")
        buffer.writeJSON(string: node.name)
        buffer.writeStaticString(",\"user_id\":")
        buffer.writeJSON(id: user)
        buffer.writeStaticString(",\"device_id\":")
        buffer.writeJSON(string: device.text)
        buffer.writeStaticString(",\"heartbeat\":")
        buffer.writeJSON(number: UInt64(max(0, heartbeat)))
        buffer.writeStaticString(",\"max_frame\":")
        buffer.writeJSON(number: UInt64(max(0, maxFrame)))
        buffer.writeStaticString(",\"window\":")
        buffer.writeJSON(number: UInt64(max(0, window)))
        buffer.writeInteger(UInt8(ascii: "}"))
    }
}

/// What was unread when the session opened is written; `incomplete` where a partition had no leader in time.
public struct CaughtUpFrame: Sendable, Equatable {
    public var incomplete: Bool
    public init(incomplete: Bool = false) { self.incomplete = incomplete }

    public func write(into buffer: inout ByteBuffer) {
        buffer.writeStaticString(
            incomplete ? "{\"op\":\"caught_up\",\"incomplete\":true}" : "{\"op\":\"caught_up\"}")
    }
}

/// A message on its way to sessions. All but the number is the same for all of them, so it is encoded once.
public enum MessageFrame {
    /// What follows the number, for any number of receivers.
    public static func encodeTail(_ message: Message) -> ByteBuffer {
        var tail = ByteBufferAllocator().buffer(capacity: JSONMessage.estimate(message))
        JSONMessage.writeMembers(of: message, into: &tail)
        tail.writeInteger(UInt8(ascii: "}"))
        return tail
    }

    /// The bytes before the tail.
    public static func writeHead(n: UInt64, into buffer: inout ByteBuffer) {
        buffer.writeStaticString("{\"op\":\"message\",\"n\":")
        buffer.writeJSON(number: n)
        buffer.writeInteger(UInt8(ascii: ","))
    }

    /// A whole frame for one session.
    public static func write(n: UInt64, tail: ByteBuffer, into buffer: inout ByteBuffer) {
        writeHead(n: n, into: &buffer)
        buffer.writeImmutableBuffer(tail)
    }
}

/// A send is committed.
public struct AcceptedFrame: Sendable, Equatable {
    public var id: MessageID
    public var conversation: ConversationID
    public var seq: UInt64
    /// Hybrid logical clock, microseconds since 1970.
    public var sentAt: Int64
    public init(id: MessageID, conversation: ConversationID, seq: UInt64, sentAt: Int64) {
        self.id = id
        self.conversation = conversation
        self.seq = seq
        self.sentAt = sentAt
    }

    public func write(into buffer: inout ByteBuffer) {
        buffer.writeStaticString("{\"op\":\"accepted\",\"id\":")
        buffer.writeJSON(id: id)
        buffer.writeStaticString(",\"conversation_id\":")
        buffer.writeJSON(id: conversation)
        buffer.writeStaticString(",\"seq\":")
        buffer.writeJSON(number: seq)
        buffer.writeStaticString(",\"sent_at\":")
        buffer.writeJSON(secondsOf: sentAt)
        buffer.writeInteger(UInt8(ascii: "}"))
    }
}

public struct ErrorFrame: Sendable, Equatable {
    public var code: ErrorCode
    public var detail: String
    /// Not before so many milliseconds; chosen by the server so that a herd spreads.
    public var retryAfterMilliseconds: UInt32?
    /// Nil: answers the oldest frame that had none.
    public var id: MessageID?
    public init(code: ErrorCode, detail: String, retryAfterMilliseconds: UInt32? = nil, id: MessageID? = nil) {
        self.code = code
        self.detail = detail
        self.retryAfterMilliseconds = retryAfterMilliseconds
        self.id = id
    }

    public init(_ error: ClientFrameError) {
        self.init(code: error.code, detail: error.detail, id: error.id)
    }

    public func write(into buffer: inout ByteBuffer) {
        buffer.writeStaticString("{\"op\":\"error\",\"code\":\"")
        buffer.writeString(code.rawValue)
        buffer.writeStaticString("\",\"detail\":")
        buffer.writeJSON(string: detail)
        buffer.writeStaticString(code.retryable ? ",\"retryable\":true" : ",\"retryable\":false")
        if let retryAfterMilliseconds {
            buffer.writeStaticString(",\"retry_after_ms\":")
            buffer.writeJSON(number: UInt64(retryAfterMilliseconds))
        }
        if let id {
            buffer.writeStaticString(",\"id\":")
            buffer.writeJSON(id: id)
        }
        buffer.writeInteger(UInt8(ascii: "}"))
    }
}

/// Messages that retention took before this device had them: seq `from` to `to`, both included.
public struct SkippedFrame: Sendable, Equatable {
    public var conversation: ConversationID
    public var from: UInt64
    public var to: UInt64
    public init(conversation: ConversationID, from: UInt64, to: UInt64) {
        self.conversation = conversation
        self.from = from
        self.to = to
    }

    public func write(into buffer: inout ByteBuffer) {
        buffer.writeStaticString("{\"op\":\"skipped\",\"conversation_id\":")
        buffer.writeJSON(id: conversation)
        buffer.writeStaticString(",\"from\":")
        buffer.writeJSON(number: from)
        buffer.writeStaticString(",\"to\":")
        buffer.writeJSON(number: to)
        buffer.writeInteger(UInt8(ascii: "}"))
    }
}
