/// What went wrong, with a code that programs can compare.
public struct RoostError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The server's codes (`docs/client-protocol.md`) and some of the client's own.
    public struct Code: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }
        public var description: String { rawValue }

        public static let invalidField = Code(rawValue: "invalid_field")
        public static let unknownConversation = Code(rawValue: "unknown_conversation")
        public static let unknownUser = Code(rawValue: "unknown_user")
        public static let notMember = Code(rawValue: "not_member")
        public static let idReused = Code(rawValue: "id_reused")
        public static let tooLarge = Code(rawValue: "too_large")
        public static let rateLimited = Code(rawValue: "rate_limited")
        public static let unavailable = Code(rawValue: "unavailable")

        /// No server answered. Nothing is known about what was asked for.
        public static let unreachable = Code(rawValue: "unreachable")
        /// Wrong password, or the token expired, was revoked or is missing.
        public static let unauthorized = Code(rawValue: "unauthorized")
        /// A newer session of the same device took over.
        public static let replaced = Code(rawValue: "replaced")
        /// Not answered in time. A send's outcome is unknown: sending again with the same id is safe.
        public static let timeout = Code(rawValue: "timeout")
        /// Too many sends wait already.
        public static let overloaded = Code(rawValue: "overloaded")
        /// The session or client was closed.
        public static let closed = Code(rawValue: "closed")
        /// The other side, or the caller, broke the protocol.
        public static let `protocol` = Code(rawValue: "protocol")
    }

    public let code: Code
    public let detail: String
    /// Trying again may help, and is safe: for a send with the same id.
    public let retryable: Bool
    /// How long to wait before, in milliseconds.
    public let retryAfterMilliseconds: Int?
    /// The HTTP status, where an HTTP answer said so.
    public let status: Int?

    public init(
        _ code: Code, _ detail: String, retryable: Bool = false, retryAfterMilliseconds: Int? = nil, status: Int? = nil
    ) {
        self.code = code
        self.detail = detail
        self.retryable = retryable
        self.retryAfterMilliseconds = retryAfterMilliseconds
        self.status = status
    }

    public var description: String { "\(detail) (\(code))" }
}
