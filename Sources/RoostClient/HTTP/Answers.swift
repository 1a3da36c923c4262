public import RoostModel

/// An account just made.
public struct Registration: Sendable, Equatable, Decodable {
    public let userID: UserID
    /// RFC 3339.
    public let createdAt: String

    private enum Keys: String, CodingKey { case userID = "user_id", createdAt = "created_at" }
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: Keys.self)
        userID = try values.identifier(.userID)
        createdAt = try values.decode(String.self, forKey: .createdAt)
    }
}

/// What a login gives: it proves who one is until it expires or is revoked.
public struct AccessToken: Sendable, Equatable, Decodable {
    public let token: String
    public let userID: UserID
    /// From when it was given, in seconds.
    public let expiresIn: Double

    public init(token: String, userID: UserID, expiresIn: Double) {
        self.token = token
        self.userID = userID
        self.expiresIn = expiresIn
    }

    private enum Keys: String, CodingKey { case token = "access_token", userID = "user_id", expiresIn = "expires_in" }
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: Keys.self)
        userID = try values.identifier(.userID)
        token = try values.decode(String.self, forKey: .token)
        expiresIn = try values.decode(Double.self, forKey: .expiresIn)
    }
}

public struct User: Sendable, Equatable, Decodable {
    public let userID: UserID
    public let username: String

    private enum Keys: String, CodingKey { case userID = "user_id", username }
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: Keys.self)
        userID = try values.identifier(.userID)
        username = try values.decode(String.self, forKey: .username)
    }
}

public struct Conversation: Sendable, Equatable, Decodable {
    public struct Member: Sendable, Equatable, Decodable {
        public let userID: UserID
        /// `member`, `admin` or `owner`.
        public let role: String

        private enum Keys: String, CodingKey { case userID = "user_id", role }
        public init(from decoder: any Decoder) throws {
            let values = try decoder.container(keyedBy: Keys.self)
            userID = try values.identifier(.userID)
            role = try values.decode(String.self, forKey: .role)
        }
    }
    public let id: ConversationID
    /// `direct`, `group`, `channel` or `self`.
    public let type: String
    public let name: String?
    public let members: [Member]
    public let lastSeq: UInt64

    private enum Keys: String, CodingKey { case id, type, name, members, lastSeq = "last_seq" }
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: Keys.self)
        id = try values.identifier(.id)
        type = try values.decode(String.self, forKey: .type)
        name = try values.decodeIfPresent(String.self, forKey: .name)
        members = try values.decode([Member].self, forKey: .members)
        lastSeq = try values.decode(UInt64.self, forKey: .lastSeq)
    }
}

/// A message as history and sync give it. `content` is any JSON value.
public struct StoredMessage: Sendable, Equatable, Decodable {
    public let id: MessageID
    public let conversation: ConversationID
    public let seq: UInt64
    public let sender: UserID
    public let originDevice: String
    public let type: String
    public let content: JSONValue
    /// UNIX seconds.
    public let sentAt: Double

    private enum Keys: String, CodingKey {
        case id, seq, type, content
        case conversation = "conversation_id", sender = "sender_id", originDevice = "origin_device_id"
        case sentAt = "sent_at"
    }
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: Keys.self)
        id = try values.identifier(.id)
        conversation = try values.identifier(.conversation)
        seq = try values.decode(UInt64.self, forKey: .seq)
        sender = try values.identifier(.sender)
        originDevice = try values.decode(String.self, forKey: .originDevice)
        type = try values.decode(String.self, forKey: .type)
        content = try values.decode(JSONValue.self, forKey: .content)
        sentAt = try values.decode(Double.self, forKey: .sentAt)
    }
}

/// A part of what was sent since a time; `nextCursor` asks for what follows.
public struct SyncPage: Sendable, Equatable, Decodable {
    public struct Part: Sendable, Equatable, Decodable {
        public let conversation: ConversationID
        public let messages: [StoredMessage]

        private enum Keys: String, CodingKey { case conversation = "conversation_id", messages }
        public init(from decoder: any Decoder) throws {
            let values = try decoder.container(keyedBy: Keys.self)
            conversation = try values.identifier(.conversation)
            messages = try values.decode([StoredMessage].self, forKey: .messages)
        }
    }
    public let synced: [Part]
    public let nextCursor: String?

    private enum CodingKeys: String, CodingKey { case synced, nextCursor = "next_cursor" }
}

/// What a user has set for the own account.
public struct AccountSettings: Sendable, Equatable, Codable {
    /// Others do not see when one was online last.
    public var hideLastSeen: Bool
    public init(hideLastSeen: Bool) { self.hideLastSeen = hideLastSeen }

    private enum CodingKeys: String, CodingKey { case hideLastSeen = "hide_last_seen" }
}

public struct DevicePresence: Sendable, Equatable, Decodable {
    public let device: String
    public let node: String?
    public let status: String
    /// RFC 3339; nil where the user hides it.
    public let lastOnline: String?

    private enum CodingKeys: String, CodingKey {
        case status, device = "device_id", node = "node_id", lastOnline = "last_online"
    }
}

/// A device of one's own.
public struct OwnDevice: Sendable, Equatable, Decodable {
    public let device: String
    /// Where it is connected.
    public let node: String?
    public let status: String
    /// RFC 3339.
    public let createdAt: String
    /// RFC 3339.
    public let lastOnline: String?

    private enum CodingKeys: String, CodingKey {
        case status, device = "device_id", node = "node_id", createdAt = "created_at", lastOnline = "last_online"
    }
}

extension KeyedDecodingContainer {
    fileprivate func identifier<Kind>(_ key: Key) throws -> Identifier<Kind> {
        let text = try decode(String.self, forKey: key)
        guard let id = Identifier<Kind>(text) else {
            throw DecodingError.dataCorruptedError(forKey: key, in: self, debugDescription: "not a UUID")
        }
        return id
    }
}
