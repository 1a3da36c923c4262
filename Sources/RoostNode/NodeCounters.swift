package import Synchronization

/// What the node counts of itself, for `/metrics`. Written on the core executor, read from anywhere.
package final class NodeCounters: Sendable {
    package let sessionsOpened = Atomic<UInt64>(0)
    /// Told to come back later.
    package let sessionsPutOff = Atomic<UInt64>(0)
    /// Ended because their token was revoked.
    package let sessionsRevoked = Atomic<UInt64>(0)
    /// Sends refused because a device or user was too fast.
    package let sendsLimited = Atomic<UInt64>(0)
    package let sessionsReplaced = Atomic<UInt64>(0)
    package let framesReceived = Atomic<UInt64>(0)
    package let framesRejected = Atomic<UInt64>(0)
    /// `accepted` frames owed to clients of this node.
    package let accepted = Atomic<UInt64>(0)
    package let delivered = Atomic<UInt64>(0)
    /// Delivered from the log rather than from the stream.
    package let redelivered = Atomic<UInt64>(0)
    package let acknowledged = Atomic<UInt64>(0)
    package let presenceTold = Atomic<UInt64>(0)
    package let unavailable = Atomic<UInt64>(0)
    package let elections = Atomic<UInt64>(0)
    package let proposalsResent = Atomic<UInt64>(0)
    package let streamsReopened = Atomic<UInt64>(0)
    package let streamGaps = Atomic<UInt64>(0)
    /// Sent to replicas that were behind what the leaders hold in memory.
    package let catchUpBytes = Atomic<UInt64>(0)
    /// Rows of the log found damaged, and of these written again from another replica.
    package let damagedRows = Atomic<UInt64>(0)
    package let repairedRows = Atomic<UInt64>(0)
    /// What the retention did in the log of partitions here: floors raised, contents and ids removed.
    package let floorsRaised = Atomic<UInt64>(0)
    package let messagesRemoved = Atomic<UInt64>(0)
    package let idsForgotten = Atomic<UInt64>(0)
    /// Partitions whose tables were made anew from their log.
    package let statesRebuilt = Atomic<UInt64>(0)
}

extension Atomic where Value == UInt64 {
    @inline(__always)
    func increment(by amount: UInt64 = 1) { wrappingAdd(amount, ordering: .relaxed) }
    package var value: UInt64 { load(ordering: .relaxed) }
}
