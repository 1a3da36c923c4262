public import NIOCore
public import RoostModel

/// An `error` as a client reads it: a newer server may have codes that this library does not know.
public struct ServerError: Error, Sendable, Equatable {
    /// Nil for a code not known here; `codeText` has it as written.
    public var code: ErrorCode?
    public var codeText: String
    public var detail: String
    public var retryable: Bool
    public var retryAfterMilliseconds: UInt32?
    public var id: MessageID?
    public init(
        codeText: String, detail: String, retryable: Bool, retryAfterMilliseconds: UInt32? = nil, id: MessageID? = nil
    ) {
        self.code = ErrorCode(rawValue: codeText)
        self.codeText = codeText
        self.detail = detail
        self.retryable = retryable
        self.retryAfterMilliseconds = retryAfterMilliseconds
        self.id = id
    }
}

/// A server's frame that cannot be understood.
public struct ServerFrameError: Error, Sendable, Equatable {
    public var detail: String
    public init(detail: String) { self.detail = detail }
}

/// A frame from the server, as a client reads it.
public enum ServerFrame: Sendable, Equatable {
    case welcome(WelcomeFrame)
    case caughtUp(incomplete: Bool)
    /// The content is a slice of the frame, byte for byte as the sender wrote it.
    case message(n: UInt64, Message)
    case accepted(AcceptedFrame)
    case error(ServerError)
    case skipped(SkippedFrame)
    case presence(PresenceFrame)
    case subscribed(SubscribedFrame)
    case tokenExpiring(TokenExpiringFrame)
    case tokenAccepted(TokenAcceptedFrame)
    /// A frame of a newer server: to be ignored.
    case unknown(op: String)

    /// Reads the readable bytes of `text`; members not known are ignored.
    public init(parsing text: ByteBuffer) throws(ServerFrameError) {
        let result = text.withUnsafeReadableBytes { bytes in
            Result { () throws(ServerFrameError) in try FieldReader(bytes, text: text).frame() }
        }
        self = try result.get()
    }
}

extension JSONMessage {
    /// One message object, as in answers over HTTP.
    public static func parse(_ text: ByteBuffer) throws(ServerFrameError) -> Message {
        let result = text.withUnsafeReadableBytes { bytes in
            Result { () throws(ServerFrameError) in try FieldReader(bytes, text: text).message() }
        }
        return try result.get()
    }
}

private struct FieldReader {
    enum Field: Int, CaseIterable {
        case op, id, conversation, seq, sender, origin, type, content, sentAt, n, session, node, user, device, heartbeat
        case maxFrame, window, incomplete, code, detail, retryable, retryAfter, from, to
        case status, lastSeen, refused, expiresAt, expiresIn
    }
    static let keys: [StaticString] = [
        "op", "id", "conversation_id", "seq", "sender_id", "origin_device_id", "type", "content", "sent_at", "n",
        "session", "node_id", "user_id", "device_id", "heartbeat", "max_frame", "window", "incomplete", "code",
        "detail", "retryable", "retry_after_ms", "from", "to", "status", "last_seen", "refused",
        "expires_at", "expires_in_ms",
    ]

    let object: JSONObject
    let text: ByteBuffer

    init(_ bytes: UnsafeRawBufferPointer, text: ByteBuffer) throws(ServerFrameError) {
        self.text = text
        do {
            object = try JSONObject(bytes, keys: Self.keys)
        } catch {
            throw ServerFrameError(detail: "byte \(error.offset): \(error.reason)")
        }
        if let duplicate = object.duplicate {
            throw ServerFrameError(detail: "\(Self.keys[duplicate]) stands there twice")
        }
    }

    func frame() throws(ServerFrameError) -> ServerFrame {
        let op = try string(.op)
        switch op {
        case "message": return .message(n: try number(.n), try message())
        case "accepted":
            return .accepted(
                AcceptedFrame(
                    id: try identifier(.id), conversation: try identifier(.conversation), seq: try number(.seq),
                    sentAt: try time(.sentAt)))
        case "error":
            return .error(
                ServerError(
                    codeText: try string(.code), detail: has(.detail) ? try string(.detail) : "",
                    retryable: has(.retryable) ? try bool(.retryable) : false,
                    retryAfterMilliseconds: has(.retryAfter) ? UInt32(clamping: try number(.retryAfter)) : nil,
                    id: has(.id) ? try identifier(.id) : nil))
        case "welcome": return .welcome(try welcome())
        case "caught_up": return .caughtUp(incomplete: has(.incomplete) ? try bool(.incomplete) : false)
        case "skipped":
            return .skipped(
                SkippedFrame(
                    conversation: try identifier(.conversation), from: try number(.from), to: try number(.to)))
        case "subscribed":
            return .subscribed(
                SubscribedFrame(
                    id: has(.id) ? try identifier(.id) : nil, refused: has(.refused) ? try users(.refused) : [])
            )
        case "presence": return .presence(try presence())
        case "token_expiring":
            return .tokenExpiring(
                TokenExpiringFrame(
                    expiresAt: Int64(clamping: try number(.expiresAt)), expiresIn: try number(.expiresIn)))
        case "token_accepted":
            return .tokenAccepted(
                TokenAcceptedFrame(
                    expiresAt: Int64(clamping: try number(.expiresAt)), id: has(.id) ? try identifier(.id) : nil))
        default: return .unknown(op: op)
        }
    }

    func message() throws(ServerFrameError) -> Message {
        let value = try value(.content)
        guard let content = text.getSlice(at: text.readerIndex + value.range.lowerBound, length: value.range.count)
        else { throw wrong(.content) }
        return Message(
            id: try identifier(.id), conversation: try identifier(.conversation), seq: try number(.seq),
            sender: try identifier(.sender), originDevice: try device(.origin), type: try string(.type),
            content: content, sentAt: try time(.sentAt))
    }

    private func presence() throws(ServerFrameError) -> PresenceFrame {
        let status: PresenceStatus
        switch try string(.status) {
        case "online": status = .online
        case "offline": status = .offline(lastSeen: has(.lastSeen) ? try time(.lastSeen) : nil)
        default: throw wrong(.status)
        }
        return PresenceFrame(user: try identifier(.user), status: status)
    }

    private func welcome() throws(ServerFrameError) -> WelcomeFrame {
        let text = try string(.session)
        guard text.utf8.count <= 16, let session = UInt64(text, radix: 16) else { throw wrong(.session) }
        return WelcomeFrame(
            session: SessionID(session), node: NodeID(try string(.node)), user: try identifier(.user),
            device: try device(.device), heartbeat: Int(clamping: try number(.heartbeat)),
            maxFrame: Int(clamping: try number(.maxFrame)), window: Int(clamping: try number(.window)))
    }

    private func has(_ field: Field) -> Bool { object[field.rawValue] != nil }

    private func wrong(_ field: Field) -> ServerFrameError {
        ServerFrameError(detail: "\(Self.keys[field.rawValue]) is missing or wrong")
    }

    private func value(_ field: Field) throws(ServerFrameError) -> JSONValue {
        guard let value = object[field.rawValue] else { throw wrong(field) }
        return value
    }

    private func string(_ field: Field) throws(ServerFrameError) -> String {
        guard let text = object.string(try value(field)) else { throw wrong(field) }
        return text
    }

    private func number(_ field: Field) throws(ServerFrameError) -> UInt64 {
        guard let number = object.unsigned(try value(field)) else { throw wrong(field) }
        return number
    }

    private func bool(_ field: Field) throws(ServerFrameError) -> Bool {
        guard let bool = object.bool(try value(field)) else { throw wrong(field) }
        return bool
    }

    private func time(_ field: Field) throws(ServerFrameError) -> Int64 {
        guard let time = object.microseconds(try value(field)) else { throw wrong(field) }
        return time
    }

    private func identifier<Kind>(_ field: Field) throws(ServerFrameError) -> Identifier<Kind> {
        guard let uuid = object.uuid(try value(field)) else { throw wrong(field) }
        return Identifier(uuid)
    }

    private func users(_ field: Field) throws(ServerFrameError) -> [UserID] {
        guard let uuids = object.uuids(try value(field)) else { throw wrong(field) }
        return uuids.map { UserID($0) }
    }

    private func device(_ field: Field) throws(ServerFrameError) -> DeviceID {
        guard let device = DeviceID(try string(field)) else { throw wrong(field) }
        return device
    }
}
