/// Whether a user is online, on whatever device and node.
public enum PresenceStatus: Sendable, Hashable {
    case online
    /// When he was online last, microseconds since 1970; nil where that is not known or not for others to see.
    case offline(lastSeen: Int64?)

    public var isOnline: Bool { self == .online }
}
