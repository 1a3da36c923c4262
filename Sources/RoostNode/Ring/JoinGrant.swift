package import RoostProtocol

/// What a blank node is given that is taken in.
package struct JoinGrant: Sendable, Equatable {
    package var record: FoundingRecord
    package var ring: Ring
    package init(record: FoundingRecord, ring: Ring) {
        self.record = record
        self.ring = ring
    }
}

package struct RingRefusal: Error, Sendable, Equatable {
    /// One line for the operator.
    package var reason: String
    /// It may be otherwise in a while.
    package var retry: Bool
    package init(_ reason: String, retry: Bool) {
        self.reason = reason
        self.retry = retry
    }
}
