internal import NIOCore
public import RoostModel
internal import RoostProtocol

/// Who a session belongs to.
public struct Identity: Sendable {
    let token: AccessToken?
    let credentials: Credentials?

    /// Logs in, and again when the token expires.
    public static func credentials(_ credentials: Credentials) -> Identity {
        .init(token: nil, credentials: credentials)
    }
    /// Uses a token; with credentials, logs in again when it expires, else the session ends then.
    public static func token(_ token: AccessToken, credentials: Credentials? = nil) -> Identity {
        .init(token: token, credentials: credentials)
    }
}

/// Where a device that was never seen before begins.
public enum SessionStart: Sendable, Equatable {
    case all
    case now
    /// UNIX seconds.
    case at(Double)

    package var query: String {
        switch self {
        case .all: "all"
        case .now: "now"
        case .at(let seconds): String(seconds)
        }
    }
}

/// To whom a message goes.
public enum SendTarget: Sendable, Hashable {
    case conversation(ConversationID)
    /// The direct conversation with this user; made if need be.
    case user(UserID)
    /// The same, by name.
    case username(String)
}

/// A committed message: it will reach every device of every member.
public struct Accepted: Sendable, Equatable {
    public let id: MessageID
    public let conversation: ConversationID
    public let seq: UInt64
    /// Microseconds since 1970.
    public let sentAt: Int64

    init(_ frame: AcceptedFrame) {
        id = frame.id
        conversation = frame.conversation
        seq = frame.seq
        sentAt = frame.sentAt
    }
}

/// How a watched user stands.
public struct UserPresence: Sendable, Hashable {
    public let user: UserID
    public let status: PresenceStatus
}

/// A send that was taken over: it is written, and written again after a broken connection, until it is answered.
public struct SendTicket: Sendable {
    public let id: MessageID
    let future: EventLoopFuture<Accepted>

    /// Waits for the answer, at most for the options' `sendTimeout`.
    public func accepted() async throws(RoostError) -> Accepted {
        do {
            return try await future.get()
        } catch {
            throw error as? RoostError ?? RoostError(.closed, "\(error)")
        }
    }
}

extension Message {
    /// The content where it is a JSON string.
    public var text: String? {
        guard let value = try? HTTPAnswers.value(of: content) else { return nil }
        return value.stringValue
    }
}
