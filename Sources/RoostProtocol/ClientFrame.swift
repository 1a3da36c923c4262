public import NIOCore
public import RoostModel

/// Codes of `error` frames. Raw values are on the wire.
public enum ErrorCode: String, Sendable, Hashable, CaseIterable {
    case invalidJSON = "invalid_json"
    case missingField = "missing_field"
    case unknownOp = "unknown_op"
    case invalidField = "invalid_field"
    case unknownConversation = "unknown_conversation"
    case unknownUser = "unknown_user"
    case notMember = "not_member"
    case idReused = "id_reused"
    case tooLarge = "too_large"
    case rateLimited = "rate_limited"
    case unavailable = "unavailable"

    /// The outcome is unknown, and sending again with the id is safe.
    public var retryable: Bool { self == .rateLimited || self == .unavailable }
}

/// What a client asks to be sent. One of `conversation` and `toUser` is set.
public struct ClientSend: Sendable, Equatable {
    /// Nil: the server makes one.
    public var id: MessageID?
    public var conversation: ConversationID?
    /// A user's id or name, as written.
    public var toUser: String?
    /// 1 to 64 bytes of UTF-8.
    public var type: String
    /// One JSON value, byte for byte; a slice of the frame.
    public var content: ByteBuffer
    public init(
        id: MessageID?, conversation: ConversationID?, toUser: String? = nil, type: String = "text", content: ByteBuffer
    ) {
        self.id = id
        self.conversation = conversation
        self.toUser = toUser
        self.type = type
        self.content = content
    }
}

/// Why a client's frame is refused; the session goes on.
public struct ClientFrameError: Error, Sendable, Equatable {
    public var code: ErrorCode
    /// Names the member that is wrong.
    public var detail: String
    /// The frame's own id, where it could be read.
    public var id: MessageID?
    public init(code: ErrorCode, detail: String, id: MessageID? = nil) {
        self.code = code
        self.detail = detail
        self.id = id
    }
}

/// A frame from a client.
public enum ClientFrame: Sendable, Equatable {
    case send(ClientSend)
    /// Everything up to this delivery number.
    case ack(UInt64)
    case subscribe(ClientSubscription)
    case token(ClientToken)

    /// Longest `to_user`, in bytes.
    public static let maxUserText = 1024
    /// Longest `type`, in bytes.
    public static let maxType = WireBounds.messageType

    private static let keys: [StaticString] = [
        "op", "id", "conversation_id", "to_user", "toUser", "type", "content", "n", "presence", "token",
    ]
    private enum Key {
        static let op = 0
        static let id = 1
        static let conversation = 2
        static let toUser = 3
        static let toUserAlias = 4
        static let type = 5
        static let content = 6
        static let n = 7
        static let presence = 8
        static let token = 9
    }

    /// Reads the readable bytes of `text`. Content longer than `contentLimit` bytes is `too_large`. A member of ours that
    /// stands there twice is an `invalid_field`; members not known are ignored.
    public init(parsing text: ByteBuffer, contentLimit: Int) throws(ClientFrameError) {
        let result = text.withUnsafeReadableBytes { bytes in
            Result { () throws(ClientFrameError) in try Self.parse(bytes, of: text, contentLimit: contentLimit) }
        }
        self = try result.get()
    }

    private static func parse(
        _ bytes: UnsafeRawBufferPointer, of text: ByteBuffer, contentLimit: Int
    ) throws(ClientFrameError) -> ClientFrame {
        let object: JSONObject
        do {
            object = try JSONObject(bytes, keys: keys)
        } catch {
            throw ClientFrameError(code: .invalidJSON, detail: "byte \(error.offset): \(error.reason)")
        }
        // An id that can be read goes into every error, whatever else is wrong.
        let id = object[Key.id].flatMap(object.uuid).map { MessageID($0) }
        if let duplicate = object.duplicate {
            throw ClientFrameError(code: .invalidField, detail: "\(keys[duplicate]) stands there twice", id: id)
        }
        var op = "send"
        if let value = object[Key.op] {
            guard let text = object.string(value) else { throw invalid("op", "a string", id) }
            op = text
        }
        switch op {
        case "send": return .send(try send(object, id: id, text: text, contentLimit: contentLimit))
        case "ack":
            guard let value = object[Key.n] else {
                throw ClientFrameError(code: .missingField, detail: "n is missing", id: id)
            }
            guard let n = object.unsigned(value) else { throw invalid("n", "a whole number from 0 on", id) }
            return .ack(n)
        case "subscribe":
            guard let value = object[Key.presence] else {
                throw ClientFrameError(code: .missingField, detail: "presence is missing", id: id)
            }
            guard let users = object.uuids(value) else { throw invalid("presence", "an array of user ids", id) }
            return .subscribe(ClientSubscription(id: id, users: users.map { UserID($0) }))
        case "token":
            guard let value = object[Key.token] else {
                throw ClientFrameError(code: .missingField, detail: "token is missing", id: id)
            }
            guard let token = object.string(value), (1...ClientToken.maxLength).contains(token.utf8.count) else {
                throw invalid("token", "a string of at most \(ClientToken.maxLength) bytes", id)
            }
            return .token(ClientToken(id: id, token: token))
        default:
            throw ClientFrameError(code: .unknownOp, detail: "op is none of send, ack, subscribe and token", id: id)
        }
    }

    private static func send(
        _ object: JSONObject, id: MessageID?, text: ByteBuffer, contentLimit: Int
    ) throws(ClientFrameError) -> ClientSend {
        if object[Key.id] != nil && id == nil { throw invalid("id", "a UUID", nil) }
        var conversation: ConversationID?
        if let value = object[Key.conversation] {
            guard let uuid = object.uuid(value) else { throw invalid("conversation_id", "a UUID", id) }
            conversation = ConversationID(uuid)
        }
        if object[Key.toUser] != nil && object[Key.toUserAlias] != nil {
            throw ClientFrameError(code: .invalidField, detail: "to_user stands there twice", id: id)
        }
        var toUser: String?
        if let value = object[Key.toUser] ?? object[Key.toUserAlias] {
            guard let name = object.string(value), (1...maxUserText).contains(name.utf8.count) else {
                throw invalid("to_user", "a user's id or name", id)
            }
            toUser = name
        }
        if conversation != nil && toUser != nil {
            throw ClientFrameError(
                code: .invalidField, detail: "conversation_id and to_user exclude each other", id: id)
        }
        var type = "text"
        if let value = object[Key.type] {
            guard let text = object.string(value), (1...maxType).contains(text.utf8.count) else {
                throw invalid("type", "a string of 1 to \(maxType) bytes", id)
            }
            type = text
        }
        guard conversation != nil || toUser != nil else {
            throw ClientFrameError(code: .missingField, detail: "conversation_id or to_user is missing", id: id)
        }
        guard let content = object[Key.content],
            let slice = text.getSlice(at: text.readerIndex + content.range.lowerBound, length: content.range.count)
        else { throw ClientFrameError(code: .missingField, detail: "content is missing", id: id) }
        guard content.range.count <= contentLimit else {
            throw ClientFrameError(code: .tooLarge, detail: "content is longer than \(contentLimit) bytes", id: id)
        }
        return ClientSend(id: id, conversation: conversation, toUser: toUser, type: type, content: slice)
    }

    private static func invalid(_ field: String, _ wanted: String, _ id: MessageID?) -> ClientFrameError {
        ClientFrameError(code: .invalidField, detail: "\(field) is not \(wanted)", id: id)
    }
}

extension ClientFrame {
    /// The frame as a client writes it.
    public func write(into buffer: inout ByteBuffer) {
        switch self {
        case .ack(let n):
            buffer.writeStaticString("{\"op\":\"ack\",\"n\":")
            buffer.writeJSON(number: n)
        case .subscribe(let subscription): subscription.write(into: &buffer)
        case .token(let token): token.write(into: &buffer)
        case .send(let send):
            buffer.writeStaticString("{\"op\":\"send\"")
            if let id = send.id {
                buffer.writeStaticString(",\"id\":")
                buffer.writeJSON(id: id)
            }
            if let conversation = send.conversation {
                buffer.writeStaticString(",\"conversation_id\":")
                buffer.writeJSON(id: conversation)
            }
            if let toUser = send.toUser {
                buffer.writeStaticString(",\"to_user\":")
                buffer.writeJSON(string: toUser)
            }
            buffer.writeStaticString(",\"type\":")
            buffer.writeJSON(string: send.type)
            buffer.writeStaticString(",\"content\":")
            buffer.writeImmutableBuffer(send.content)
        }
        buffer.writeInteger(UInt8(ascii: "}"))
    }
}
