internal import RoostClient
internal import RoostModel

/// An account of the load, logged in.
struct BenchUser: Codable, Equatable {
    var username: String
    var userID: String
    var token: String

    private enum CodingKeys: String, CodingKey { case username, token, userID = "user_id" }
}

/// What all connections of a run share; nothing of it changes while they live.
struct BenchSettings: Sendable {
    var run: UInt32
    /// Of the content, in bytes.
    var size: Int
    /// In flight per sender.
    var window: Int
    /// Messages a second of each sender; nil: as many as the window lets through.
    var ratePerSender: Double?
    /// Of each sender; nil: until it is stopped.
    var messagesPerSender: UInt64?
    var servers: [ServerAddress]
    /// Where they are secure.
    var tls: ClientTLS?
    var plan: BenchPlan
    var users: [BenchUser]
    /// By the plan's index.
    var conversations: [ConversationID]
}

/// What a loop's connections did so far; loops add up.
struct BenchProgress: Sendable {
    var endpoints = 0
    var ready = 0
    var failedDials = 0
    /// Of these, told to come back later.
    var putOff = 0
    var reconnects = 0
    var sent: UInt64 = 0
    var accepted: UInt64 = 0
    var delivered: UInt64 = 0
    /// Sends that were refused for good.
    var refused: UInt64 = 0
    /// Refusals to try again, and sends written again on a new connection.
    var retries: UInt64 = 0
    /// Came again on a new connection, as at-least-once allows.
    var redelivered: UInt64 = 0
    /// Deliveries that did not come next within their session, by `n` or by `seq`.
    var unordered: UInt64 = 0
    var openSends = 0
    /// Deliveries that what was accepted must lead to.
    var expected: UInt64 = 0
    var lastError: String?
    /// The first of what broke a promise.
    var faults: [String] = []
    static let maxFaults = 16

    static func + (a: BenchProgress, b: BenchProgress) -> BenchProgress {
        BenchProgress(
            endpoints: a.endpoints + b.endpoints, ready: a.ready + b.ready, failedDials: a.failedDials + b.failedDials,
            putOff: a.putOff + b.putOff,
            reconnects: a.reconnects + b.reconnects, sent: a.sent + b.sent, accepted: a.accepted + b.accepted,
            delivered: a.delivered + b.delivered, refused: a.refused + b.refused, retries: a.retries + b.retries,
            redelivered: a.redelivered + b.redelivered, unordered: a.unordered + b.unordered,
            openSends: a.openSends + b.openSends,
            expected: a.expected + b.expected, lastError: a.lastError ?? b.lastError,
            faults: Array((a.faults + b.faults).prefix(maxFaults)))
    }
}
