package import RoostModel
package import RoostProtocol

/// What applying entries brought about, in their order. One output gathers a batch of entries.
package struct ApplyOutput: Sendable {
    /// Rows to write, in order; a later row of the same key replaces an earlier one (see `coalesced`).
    package var changes: [StateChange] = []
    /// One for each command applied.
    package var results: [(index: UInt64, result: CommandResult)] = []
    /// New messages, to be delivered.
    package var committed: [CommittedMessage] = []
    /// Users whose sessions and tokens end.
    package var revoked: [UserID] = []
    /// Users of whose tokens some are refused from now on.
    package var tokensRevoked: [UserRevocations] = []
    package var signingKeysChanged = false
    /// The ring, where it changed.
    package var ring: Ring?
    /// Devices given up: their cursors elsewhere are of no use any more.
    package var forgotten: [DeviceSighting] = []

    package init() {}

    /// Empties it for the next batch and keeps its memory.
    package mutating func clear() {
        changes.removeAll(keepingCapacity: true)
        results.removeAll(keepingCapacity: true)
        committed.removeAll(keepingCapacity: true)
        revoked.removeAll(keepingCapacity: true)
        tokensRevoked.removeAll(keepingCapacity: true)
        signingKeysChanged = false
        ring = nil
        forgotten.removeAll(keepingCapacity: true)
    }
}

package struct CommittedMessage: Sendable, Equatable {
    package var index: UInt64
    package var message: Message
    package init(index: UInt64, message: Message) {
        self.index = index
        self.message = message
    }
}
