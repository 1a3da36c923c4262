public import NIOCore
public import RoostModel

/// Of whom a client wants to be told whether they are online. A new list replaces the former.
public struct ClientSubscription: Sendable, Equatable {
    /// Comes back in an error about it.
    public var id: MessageID?
    public var users: [UserID]
    public init(id: MessageID? = nil, users: [UserID]) {
        self.id = id
        self.users = users
    }

    /// All but the closing brace.
    func write(into buffer: inout ByteBuffer) {
        buffer.writeStaticString("{\"op\":\"subscribe\"")
        if let id {
            buffer.writeStaticString(",\"id\":")
            buffer.writeJSON(id: id)
        }
        buffer.writeStaticString(",\"presence\":")
        buffer.writeJSON(ids: users)
    }
}

/// A session watches the list that it asked for: what was told of those on it before still holds, all others are told
/// from here on.
public struct SubscribedFrame: Sendable, Equatable {
    /// That of the subscription.
    public var id: MessageID?
    /// With whom one shares no conversation, or who do not exist: they are not watched.
    public var refused: [UserID]
    public init(id: MessageID? = nil, refused: [UserID] = []) {
        self.id = id
        self.refused = refused
    }

    public func write(into buffer: inout ByteBuffer) {
        buffer.writeStaticString("{\"op\":\"subscribed\"")
        if let id {
            buffer.writeStaticString(",\"id\":")
            buffer.writeJSON(id: id)
        }
        if !refused.isEmpty {
            buffer.writeStaticString(",\"refused\":")
            buffer.writeJSON(ids: refused)
        }
        buffer.writeInteger(UInt8(ascii: "}"))
    }
}

extension ByteBuffer {
    fileprivate mutating func writeJSON(ids: [UserID]) {
        writeInteger(UInt8(ascii: "["))
        for (index, id) in ids.enumerated() {
            if index > 0 { writeInteger(UInt8(ascii: ",")) }
            writeJSON(id: id)
        }
        writeInteger(UInt8(ascii: "]"))
    }
}

/// Sent to a session that has subscribed to the user: at once, and when it changes.
public struct PresenceFrame: Sendable, Equatable {
    public var user: UserID
    public var status: PresenceStatus
    public init(user: UserID, status: PresenceStatus) {
        self.user = user
        self.status = status
    }

    public func write(into buffer: inout ByteBuffer) {
        buffer.writeStaticString("{\"op\":\"presence\",\"user_id\":")
        buffer.writeJSON(id: user)
        switch status {
        case .online: buffer.writeStaticString(",\"status\":\"online\"")
        case .offline(let lastSeen):
            buffer.writeStaticString(",\"status\":\"offline\"")
            if let lastSeen {
                buffer.writeStaticString(",\"last_seen\":")
                buffer.writeJSON(secondsOf: lastSeen)
            }
        }
        buffer.writeInteger(UInt8(ascii: "}"))
    }
}
