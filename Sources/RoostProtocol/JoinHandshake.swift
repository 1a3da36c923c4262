internal import RoostModel

/// What a blank node says that wants to be taken in, instead of a hello: it knows an address of the cluster and its
/// secret, and nothing else.
public struct JoinHello: Sendable, Equatable {
    public var minVersion: UInt16
    public var maxVersion: UInt16
    /// `cluster` of its `cluster.json`; empty where it has none.
    public var cluster: String
    /// Itself, as it wants to stand in the ring.
    public var member: RingMember
    public init(minVersion: UInt16, maxVersion: UInt16, cluster: String, member: RingMember) {
        self.minVersion = minVersion
        self.maxVersion = maxVersion
        self.cluster = cluster
        self.member = member
    }
}
