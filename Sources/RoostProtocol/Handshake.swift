public import RoostModel

/// The two connections between a pair of nodes: bulk data never delays a probe.
public enum PeerLane: UInt8, Sendable, Hashable, CaseIterable {
    /// SWIM, presence, votes, heartbeats: small and urgent.
    case control = 0
    /// Appends, proposals, deliveries.
    case bulk = 1
}

/// The first frame on a link, sent by both ends before anything else. The dialling end sends first; the other answers
/// with its own or with a `HandshakeRefusal`.
public struct HandshakeHello: Sendable, Equatable {
    /// The lowest and highest version of the peer protocol that the sender speaks, both included.
    public var minVersion: UInt16
    public var maxVersion: UInt16
    /// `cluster` of `cluster.json`.
    public var cluster: String
    /// `.zero` while the sender is blank: no founding record is stored there yet.
    public var clusterID: UUID128
    public var node: NodeID
    public var store: StoreID
    public var epoch: Epoch
    public var lane: PeerLane
    /// `host:peer_port` where the sender listens.
    public var address: String
    public init(
        minVersion: UInt16, maxVersion: UInt16, cluster: String, clusterID: UUID128, node: NodeID, store: StoreID,
        epoch: Epoch, lane: PeerLane, address: String
    ) {
        self.minVersion = minVersion
        self.maxVersion = maxVersion
        self.cluster = cluster
        self.clusterID = clusterID
        self.node = node
        self.store = store
        self.epoch = epoch
        self.lane = lane
        self.address = address
    }
}

/// Why a hello was refused; the link is closed after it.
public struct HandshakeRefusal: Error, Sendable, Equatable {
    public enum Code: UInt8, Sendable, Hashable, CaseIterable {
        /// `cluster` differs: a node of another cluster dialled a wrong port.
        case otherCluster = 1
        /// Same name, but founded apart: the data must never meet.
        case otherFounding = 2
        case noCommonVersion = 3
        /// The node id does not stand in this node's `cluster.json`.
        case unknownNode = 4
        /// The other end claims this node's own id.
        case ownID = 5
        /// A newer life of that node has been seen: a straggler of its former one.
        case staleEpoch = 6
        /// The hello breaks a rule of form, such as a minimum version above the maximum.
        case malformed = 7
        /// The address dialled belongs to another node than the one expected there.
        case unexpectedNode = 8
        /// The lower node id dials, so that two nodes that dial each other at once keep one link.
        case wrongDirection = 9
        /// The node was taken out of the ring: it has no part in the cluster any more.
        case removedNode = 10
        /// The cluster has a secret, which the other end does not know or did not prove; or the other end has one, and
        /// this one has not.
        case secret = 11
        /// The node is not taken in.
        case notTakenIn = 12
        /// The node is not taken in now; asking again may help.
        case notTakenInNow = 13
        /// The certificate shown is of another node than the one that the other end says it is.
        case certificate = 14
    }
    public var code: Code
    /// For the log of the other end; at most 255 bytes of UTF-8.
    public var text: String
    public init(code: Code, text: String) {
        self.code = code
        self.text = text
    }
}
