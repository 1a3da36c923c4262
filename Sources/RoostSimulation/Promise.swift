/// What a run is held to: the promises of the system by their short names, and the rules of Raft beneath them.
package enum Promise: String, Sendable, CaseIterable, Comparable {
    /// Accepted means synced on a majority, and nothing accepted is ever lost.
    case durable
    /// Every device of every member gets every message it may read.
    case atLeastOnce = "at-least-once"
    /// Never twice and never out of order within a session.
    case sessionOrder = "session-order"
    /// One order of a conversation for all, in which what a session sent stands as it was sent.
    case oneOrder = "one-order"
    /// Sent again with its id it is one message.
    case idempotentSend = "idempotent-send"
    /// Answers in bounded time, and acceptance while a majority is well.
    case available
    /// At most a window unacknowledged per session.
    case boundedMemory = "bounded-memory"
    /// One account per name.
    case oneAccount = "one-account"
    /// Who watches a user is told how he stands, never the same twice in a row, and offline only when he stays away.
    case presence
    /// After the faults everything comes right by itself.
    case selfHealing = "self-healing"

    /// One leader per term (Ongaro 2014, figure 3.2, as the next three).
    case electionSafety = "election-safety"
    case logMatching = "log-matching"
    case leaderCompleteness = "leader-completeness"
    case stateMachineSafety = "state-machine-safety"
    /// Nothing is confirmed before it is synced.
    case syncedFirst = "synced-first"
    /// Reads of history, membership and accounts see what was done before them, and nothing that is undone.
    case linearizable
    /// What the machines say of themselves.
    case invariant

    package static func < (a: Promise, b: Promise) -> Bool { a.rawValue < b.rawValue }
}

/// A promise that did not hold, and how.
package struct Breach: Sendable, Hashable {
    package var promise: Promise
    package var text: String
    package init(_ promise: Promise, _ text: String) {
        self.promise = promise
        self.text = text
    }
}
