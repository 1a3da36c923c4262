package import RoostModel

/// Timing and limits of a Raft group. All times are nanoseconds of the monotonic clock given as `now`.
package struct RaftOptions: Sendable {
    /// A follower that hears nothing from a leader for this long, or up to twice this (drawn anew for each attempt),
    /// campaigns; one that has heard a leader within this time takes no part in elections; a leader that has not heard
    /// a quorum within it steps down. Default 600 ms: an outage of the leader that nobody reports ends within 2 s.
    package var electionTimeout: UInt64 = 600_000_000
    /// How often a leader shows itself. Default 150 ms: a quarter of the election timeout, so three may be lost.
    package var heartbeatInterval: UInt64 = 150_000_000
    /// Without proposals or reads for this long, and with nothing left to replicate, a group stops its timers.
    /// Default 3 s.
    package var hibernateAfter: UInt64 = 3_000_000_000
    /// Payload bytes of one append; a larger single entry goes alone. Default 512 KiB.
    package var maxAppendBytes = 512 << 10
    /// Payload bytes of one append that is read from disk, for a peer that is behind. Default 64 KiB: the receiver does
    /// nothing else while it takes one in.
    package var catchUpBytes = 64 << 10
    /// Appends read from disk on their way to one peer. Default 2: one is taken in while the next is under way.
    package var maxCatchUpAppends = 2
    /// Appends on their way to one peer; further entries wait, and go in larger batches. Default 64.
    package var maxInflightAppends = 64
    /// Payload bytes on their way to one peer. Default 8 MiB.
    package var maxInflightBytes = 8 << 20
    /// Recent entries kept in memory once they are synced and handed out; older ones are loaded. Default 4 MiB.
    package var cacheBytes = 4 << 20
    /// Bytes proposed but not committed, at which a leader refuses more. Default 32 MiB.
    package var maxUncommittedBytes = 32 << 20
    /// Reads waiting for a round of heartbeats, at which more fail at once. Default 16,384.
    package var maxPendingReads = 16_384
    /// A learner further behind than this many entries cannot be made a voter. Default 256.
    package var promotionLag: UInt64 = 256
    /// Tombstones of a configuration, at which no peer can be removed any more. Default 4,096.
    package var maxTombstones = 4_096

    /// Rules broken on purpose, in simulations.
    package var planted: PlantedFaults = []

    package init() {}

    /// How long an append may stay unanswered before the leader asks again: half an election timeout.
    var retryAfter: UInt64 { electionTimeout / 2 }
}
