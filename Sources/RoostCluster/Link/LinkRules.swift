package import RoostModel
package import RoostProtocol

/// Whom this node links with: a pure decision on a received hello.
package struct LinkRules: Sendable, Equatable {
    /// Which end of the connection this node is.
    package enum Role: Sendable, Equatable {
        /// It dialled the address at which this node should listen.
        case dialled(NodeID)
        case accepted
    }

    package enum Decision: Sendable, Equatable {
        /// The highest version both speak.
        case accept(version: UInt16)
        case refuse(HandshakeRefusal)
    }

    package var cluster: String
    /// `.zero` while blank.
    package var clusterID: UUID128
    package var node: NodeID
    package var store: StoreID
    package var epoch: Epoch
    package var minVersion: UInt16
    package var maxVersion: UInt16
    /// `host:peer_port`.
    package var address: String
    /// The ids that may link: those of `cluster.json` and of the ring; sorted.
    package private(set) var knownNodes: [NodeID]
    /// Those that were taken out of the ring.
    package var removedNodes: [NodeID] = []

    package init(
        cluster: String, clusterID: UUID128 = .zero, node: NodeID, store: StoreID, epoch: Epoch, minVersion: UInt16,
        maxVersion: UInt16, address: String, knownNodes: [NodeID]
    ) {
        self.cluster = cluster
        self.clusterID = clusterID
        self.node = node
        self.store = store
        self.epoch = epoch
        self.minVersion = minVersion
        self.maxVersion = maxVersion
        self.address = address
        self.knownNodes = knownNodes.sorted()
    }

    /// The ring grew or shrank.
    package mutating func setKnownNodes(_ nodes: [NodeID]) { knownNodes = nodes.sorted() }

    /// Whether this node dials the other: the lower id does, so that two that dial at once do not end with two links.
    package func dials(_ other: NodeID) -> Bool { node < other }

    /// What this node says of itself.
    package func hello(lane: PeerLane) -> HandshakeHello {
        HandshakeHello(
            minVersion: minVersion, maxVersion: maxVersion, cluster: cluster, clusterID: clusterID, node: node,
            store: store, epoch: epoch, lane: lane, address: address)
    }

    /// Judges a hello. The order of the checks is that of how much the other end is a stranger, so that the refusal
    /// names the first thing to mend. A blank node may link with a founded one, and will only join.
    /// - Parameter latestEpoch: the highest epoch of that node that was ever heard of; nil if none was.
    package func decide(_ hello: HandshakeHello, role: Role, latestEpoch: Epoch?) -> Decision {
        guard hello.minVersion <= hello.maxVersion, !hello.node.name.isEmpty, hello.epoch > 0 else {
            return refuse(.malformed, "malformed hello: versions \(hello.minVersion) to \(hello.maxVersion)")
        }
        guard hello.cluster == cluster else {
            return refuse(.otherCluster, "this is cluster \(cluster), not \(hello.cluster)")
        }
        guard hello.clusterID == clusterID || hello.clusterID == .zero || clusterID == .zero else {
            return refuse(.otherFounding, "this cluster was founded as \(clusterID), not \(hello.clusterID)")
        }
        let version = min(maxVersion, hello.maxVersion)
        guard version >= minVersion, version >= hello.minVersion else {
            return refuse(.noCommonVersion, "this node speaks versions \(minVersion) to \(maxVersion)")
        }
        guard hello.node != node else {
            return refuse(.ownID, "\(node) is this node's own id: two nodes are started with it")
        }
        guard !removedNodes.contains(hello.node) else {
            return refuse(.removedNode, "\(hello.node) was removed from this cluster")
        }
        guard knownNodes.contains(hello.node) else {
            return refuse(.unknownNode, "\(hello.node) is not a node of this cluster; a new one comes with --join")
        }
        switch role {
        case .dialled(let expected):
            guard hello.node == expected else {
                return refuse(.unexpectedNode, "\(expected) was expected here, not \(hello.node)")
            }
        case .accepted:
            guard !dials(hello.node) else {
                return refuse(.wrongDirection, "\(node) dials \(hello.node), not the other way round")
            }
        }
        if let latestEpoch, hello.epoch < latestEpoch {
            return refuse(.staleEpoch, "\(hello.node) has begun epoch \(latestEpoch), after \(hello.epoch)")
        }
        return .accept(version: version)
    }

    /// Nil where the node may be asked to take the other in.
    package func decide(_ hello: JoinHello) -> HandshakeRefusal? {
        guard max(hello.minVersion, minVersion) <= min(hello.maxVersion, maxVersion) else {
            return refusal(.noCommonVersion, "this node speaks versions \(minVersion) to \(maxVersion)")
        }
        guard hello.cluster.isEmpty || hello.cluster == cluster else {
            return refusal(.otherCluster, "this is cluster \(cluster), not \(hello.cluster)")
        }
        return nil
    }

    private func refuse(_ code: HandshakeRefusal.Code, _ text: String) -> Decision { .refuse(refusal(code, text)) }

    /// Texts are clipped to what a refusal may carry, between characters.
    private func refusal(_ code: HandshakeRefusal.Code, _ text: String) -> HandshakeRefusal {
        var clipped = text
        while clipped.utf8.count > 255 { clipped.removeLast() }
        return HandshakeRefusal(code: code, text: clipped)
    }
}
