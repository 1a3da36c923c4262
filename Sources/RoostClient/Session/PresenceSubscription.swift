internal import NIOCore
internal import RoostModel
internal import RoostProtocol

/// Whom a session wants to watch, across its connections: subscribes on each, and again where the server could not look
/// it up just then. Times in milliseconds.
struct PresenceSubscription: Sendable {
    private var users: [UserID] = []
    /// Of the frame that was written last.
    private var id: MessageID?
    /// When to write it again.
    private(set) var retryAt: UInt64?
    private var refusals = 0
    /// What was told last.
    private(set) var known: [UserID: PresenceStatus] = [:]

    /// Replaces the list.
    mutating func set(_ users: [UserID]) {
        self.users = users
        refusals = 0
        retryAt = nil
    }

    var isEmpty: Bool { users.isEmpty }

    mutating func disconnected() {
        id = nil
        retryAt = nil
        refusals = 0
    }

    mutating func write(
        random: inout any RandomNumberGenerator & Sendable, into actions: inout [ConnectionMachine.Action]
    ) {
        let id = MessageID(.version4(using: &random))
        self.id = id
        retryAt = nil
        var frame = ByteBuffer()
        ClientFrame.subscribe(ClientSubscription(id: id, users: users)).write(into: &frame)
        actions.append(.write(frame))
    }

    /// What was told before still holds of those that stay. Nil for an answer to an older list.
    mutating func subscribed(_ frame: SubscribedFrame) -> [UserID]? {
        guard frame.id == id else { return nil }
        let watched = Set(users).subtracting(frame.refused)
        known = known.filter { watched.contains($0.key) }
        return frame.refused
    }

    /// False where nothing is new in it: a new connection tells everything again.
    mutating func received(_ frame: PresenceFrame) -> Bool {
        known.updateValue(frame.status, forKey: frame.user) != frame.status
    }

    /// True where it was taken care of: it is asked for again.
    mutating func refused(
        _ error: ServerError, now: UInt64, random: inout any RandomNumberGenerator & Sendable
    ) -> Bool {
        guard error.id == id, error.retryable else { return false }
        refusals += 1
        let ceiling = UInt64(500) << UInt64(min(refusals, 6))
        let delay = max(
            UInt64(error.retryAfterMilliseconds ?? 0), UInt64.random(in: 250...ceiling, using: &random))
        retryAt = now + delay
        return true
    }
}
