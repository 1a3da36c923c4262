package import NIOCore
package import RoostModel
package import RoostProtocol

/// Time and later, injected. All of a node's callbacks run on its core executor.
package protocol NodeClock: AnyObject, Sendable {
    /// Monotonic, nanoseconds; counts suspended time.
    func now() -> UInt64
    /// Wall clock, microseconds since 1970.
    func wall() -> Int64
    /// Runs `body` on the core executor `after` nanoseconds from now.
    @discardableResult
    func schedule(after: UInt64, _ body: @escaping @Sendable () -> Void) -> any ScheduledTimer
}

package protocol ScheduledTimer: Sendable {
    func cancel()
}

/// The links to other nodes. Implementations do the dialling, the handshake and the framing; they call the node back
/// (`LinkEvents`) on its core executor.
package protocol Transport: AnyObject, Sendable {
    /// Hands frames over in order, in one batch. False where there is no link, or its queue is full: then nothing of
    /// the batch is sent.
    @discardableResult
    func send(_ frames: [PeerFrame], to node: NodeID, lane: PeerLane) -> Bool
    /// Bytes handed over and not yet taken by the kernel.
    func queuedBytes(to node: NodeID) -> Int
    /// Ends the link, which is then made anew. Nothing happens where there is none.
    func reset(_ node: NodeID, reason: String)
    func linkInfo() -> [LinkInfo]
    /// The identity's `peers` are others now: links are made to those that are new, and ended to those that are gone.
    func peersChanged()
}

package struct LinkInfo: Sendable {
    package var node: NodeID
    package var connected: Bool
    package var store: StoreID?
    package var epoch: Epoch?
    package var bytesIn: UInt64
    package var bytesOut: UInt64
    package var framesIn: UInt64
    package var framesOut: UInt64
    package var queuedBytes: Int
    package var roundTripMicroseconds: UInt64?
    /// Why the last attempt failed or the link ended, if it did.
    package var lastError: String?
    package init(
        node: NodeID, connected: Bool, store: StoreID? = nil, epoch: Epoch? = nil, bytesIn: UInt64 = 0,
        bytesOut: UInt64 = 0, framesIn: UInt64 = 0, framesOut: UInt64 = 0, queuedBytes: Int = 0,
        roundTripMicroseconds: UInt64? = nil, lastError: String? = nil
    ) {
        self.node = node
        self.connected = connected
        self.store = store
        self.epoch = epoch
        self.bytesIn = bytesIn
        self.bytesOut = bytesOut
        self.framesIn = framesIn
        self.framesOut = framesOut
        self.queuedBytes = queuedBytes
        self.roundTripMicroseconds = roundTripMicroseconds
        self.lastError = lastError
    }
}

/// Whom a link reaches: from the handshake.
package struct LinkPeer: Sendable, Equatable {
    package var node: NodeID
    package var store: StoreID
    package var epoch: Epoch
    /// `.zero` while the peer is blank.
    package var clusterID: UUID128
    package var address: String
    package init(node: NodeID, store: StoreID, epoch: Epoch, clusterID: UUID128, address: String) {
        self.node = node
        self.store = store
        self.epoch = epoch
        self.clusterID = clusterID
        self.address = address
    }
}

/// What a transport tells its node; called on the core executor only.
package protocol LinkEvents: AnyObject, Sendable {
    /// What this node says of itself in a handshake, and which nodes it knows.
    func identity() -> LinkIdentity
    /// Both lanes are up.
    func linkUp(_ peer: LinkPeer)
    func linkDown(_ node: NodeID, reason: String)
    /// Frames of one read, in order.
    func received(_ frames: [PeerFrame], from node: NodeID)
    /// A blank node that has proved the cluster's secret wants to be taken in.
    func join(_ member: RingMember, _ done: @escaping @Sendable (Result<JoinGrant, RingRefusal>) -> Void)
    /// Another node, which has proved the secret where there is one, says that this one was taken out of the ring.
    func refusedAsRemoved()
    /// A node that this one dials says, proved likewise, that it listens elsewhere now.
    func found(_ node: NodeID, at address: String)
}

package struct LinkIdentity: Sendable, Equatable {
    package var cluster: String
    package var clusterID: UUID128
    package var node: NodeID
    package var store: StoreID
    package var epoch: Epoch
    package var address: String
    /// This node listens elsewhere than the others know.
    package var hasMoved = false
    /// Everybody who may connect, with the address to dial.
    package var peers: [NodeID: String]
    /// Where else they may be, to be dialled in turns.
    package var alternatives: [NodeID: [String]] = [:]
    /// Those that were taken out of the ring.
    package var removed: [NodeID]
    package init(
        cluster: String, clusterID: UUID128, node: NodeID, store: StoreID, epoch: Epoch, address: String,
        peers: [NodeID: String], removed: [NodeID] = []
    ) {
        self.cluster = cluster
        self.clusterID = clusterID
        self.node = node
        self.store = store
        self.epoch = epoch
        self.address = address
        self.peers = peers
        self.removed = removed
    }
}

/// The socket of a session; called on the core executor only.
package protocol SessionSocket: AnyObject, Sendable {
    /// Writes text frames, in order, and flushes once.
    func write(_ frames: [ByteBuffer])
    /// A WebSocket ping; its pong comes back with the same payload, by `Device.pong`.
    func ping(_ payload: ByteBuffer)
    /// Sends a close frame and closes within a deadline.
    func close(code: UInt16, reason: String)
    /// False while the socket's buffer is above its high-water mark.
    var isWritable: Bool { get }
    /// Stops (or goes on) reading from the socket.
    func setReading(_ reading: Bool)
}

/// One session as its socket sees it; called on the core executor only.
package protocol SessionEvents: AnyObject, Sendable {
    /// Text frames of one read, in order; each is valid UTF-8 and within `max_frame`.
    func received(_ frames: [ByteBuffer])
    func pong(_ payload: ByteBuffer)
    func writabilityChanged()
    /// The socket is gone, whoever closed it.
    func closed()
}
