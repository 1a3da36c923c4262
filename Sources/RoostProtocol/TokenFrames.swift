public import NIOCore
public import RoostModel

/// A new token for a session whose own is about to expire; of the same user.
public struct ClientToken: Sendable, Equatable {
    /// Bytes of a token.
    public static let maxLength = 4_096

    /// Comes back in the answer.
    public var id: MessageID?
    public var token: String
    public init(id: MessageID? = nil, token: String) {
        self.id = id
        self.token = token
    }

    /// All but the closing brace.
    func write(into buffer: inout ByteBuffer) {
        buffer.writeStaticString("{\"op\":\"token\"")
        if let id {
            buffer.writeStaticString(",\"id\":")
            buffer.writeJSON(id: id)
        }
        buffer.writeStaticString(",\"token\":")
        buffer.writeJSON(string: token)
    }
}

/// The session ends with its token, at `expiresAt`, unless the client sends another.
public struct TokenExpiringFrame: Sendable, Equatable {
    /// UNIX seconds.
    public var expiresAt: Int64
    /// Milliseconds until then.
    public var expiresIn: UInt64
    public init(expiresAt: Int64, expiresIn: UInt64) {
        self.expiresAt = expiresAt
        self.expiresIn = expiresIn
    }

    public func write(into buffer: inout ByteBuffer) {
        buffer.writeStaticString("{\"op\":\"token_expiring\",\"expires_at\":")
        buffer.writeJSON(number: UInt64(max(0, expiresAt)))
        buffer.writeStaticString(",\"expires_in_ms\":")
        buffer.writeJSON(number: expiresIn)
        buffer.writeInteger(UInt8(ascii: "}"))
    }
}

/// The session goes on with the new token.
public struct TokenAcceptedFrame: Sendable, Equatable {
    /// UNIX seconds.
    public var expiresAt: Int64
    public var id: MessageID?
    public init(expiresAt: Int64, id: MessageID? = nil) {
        self.expiresAt = expiresAt
        self.id = id
    }

    public func write(into buffer: inout ByteBuffer) {
        buffer.writeStaticString("{\"op\":\"token_accepted\",\"expires_at\":")
        buffer.writeJSON(number: UInt64(max(0, expiresAt)))
        if let id {
            buffer.writeStaticString(",\"id\":")
            buffer.writeJSON(id: id)
        }
        buffer.writeInteger(UInt8(ascii: "}"))
    }
}
