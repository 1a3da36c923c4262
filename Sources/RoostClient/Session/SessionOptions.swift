public import RoostModel

/// Bounds and times of a session. The defaults suit interactive clients.
public struct SessionOptions: Sendable, Equatable {
    /// An acknowledgement waits this long for more, in milliseconds.
    public var ackDelay: UInt64 = 50
    /// So many taken messages are acknowledged at once.
    public var ackBatch: UInt64 = 64
    /// A send not answered for so long fails with `timeout`, in milliseconds.
    public var sendTimeout: UInt64 = 30_000
    /// Sends waiting or under way; above it `overloaded`.
    public var maxSends = 1_024
    /// Sends under way at once, below the server's own limit so that acknowledgements still get through.
    public var maxInFlight = 128
    /// Conversations remembered for filtering what comes twice across sessions; the least recently used go first.
    public var maxConversations = 16_384
    /// First delay before connecting again is at most this, in milliseconds; it doubles with each failure in a row.
    public var minBackoff: UInt64 = 200
    public var maxBackoff: UInt64 = 10_000
    /// Least delay where the server says "too many", in milliseconds; four times this at most.
    public var laterMilliseconds: UInt64 = 5_000
    /// A session that lived so long counts as a success, in milliseconds.
    public var stableMilliseconds: UInt64 = 5_000
    /// From the upgrade to the welcome, in milliseconds.
    public var welcomeTimeout: UInt64 = 10_000
    /// Logins in a row that did not lead to a lasting session; then it stops.
    public var maxLogins = 3

    /// Begins with the first server of the list; else with one drawn at random, so that a herd spreads.
    public var beginsWithFirstServer = false

    var serverCount = 1
    var canLogIn = false

    public init() {}
}

/// What happens to a session, for those who want to show it.
public enum SessionNotice: Sendable, Equatable {
    /// Index into the client's servers.
    case connecting(server: Int)
    case connected(node: NodeID, user: UserID)
    /// All that was unread at opening has been received. `incomplete`: a partition had no leader; it comes again.
    case caughtUp(incomplete: Bool)
    case disconnected(reason: String, retryInMilliseconds: Int)
    /// Retention took these before the device had them, both ends included.
    case skipped(ConversationID, from: UInt64, to: UInt64)
    /// These are not watched: one shares no conversation with them.
    case presenceRefused([UserID])
    /// An error that answers no send of this session.
    case serverError(RoostError)
}
