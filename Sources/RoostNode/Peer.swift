import Logging
import RoostModel
import RoostProtocol

/// One other node, or this one itself: what is to be sent there is gathered here and goes out once per turn. To itself
/// a node sends by the same way, without a link.
actor Peer {
    nonisolated let context: NodeContext
    nonisolated let id: NodeID
    nonisolated var unownedExecutor: UnownedSerialExecutor { context.executor.asUnownedSerialExecutor() }

    /// Nil while there is no link.
    private(set) var link: LinkPeer?
    /// Who passes frames on while there is no link; nil where nobody can.
    private(set) var relay: NodeID?
    private var raftUrgent: [RaftEnvelope] = []
    private var raftBulk: [RaftEnvelope] = []
    private var proposals: [Proposal] = []
    private var results: [ProposalResult] = []
    private var reads: [ReadCall] = []
    private var replies: [ReadReply] = []
    private var acks: [AckBatch] = []
    /// Streams prove themselves complete by their order: these frames keep theirs.
    private var streams: [PeerFrame] = []
    private var control: [PeerFrame] = []
    private var dirty = false

    init(id: NodeID, context: NodeContext) {
        self.id = id
        self.context = context
    }

    var isSelf: Bool { id == context.id }
    var isUp: Bool { isSelf || link != nil }
    var isReachable: Bool { isUp || relay != nil }

    func linkUp(_ peer: LinkPeer) {
        link = peer
        relay = nil
        clear()
    }

    func goThrough(_ node: NodeID?) {
        relay = node
        clear()
    }

    func linkDown() {
        link = nil
        clear()
    }

    private func clear() {
        raftUrgent.removeAll()
        raftBulk.removeAll()
        proposals.removeAll()
        results.removeAll()
        reads.removeAll()
        replies.removeAll()
        acks.removeAll()
        streams.removeAll()
        control.removeAll()
    }

    // MARK: Gathering. Each answers whether this is the first thing since the last flush.

    func send(raft envelope: RaftEnvelope) -> Bool {
        if case .append(_, _, _, _, let entries) = envelope.message, !entries.isEmpty {
            raftBulk.append(envelope)
        } else if case .append = envelope.message {
            raftBulk.append(envelope)
        } else {
            raftUrgent.append(envelope)
        }
        return mark()
    }

    func send(proposal: Proposal) -> Bool {
        proposals.append(proposal)
        return mark()
    }

    func send(result: ProposalResult) -> Bool {
        results.append(result)
        return mark()
    }

    func send(read: ReadCall) -> Bool {
        reads.append(read)
        return mark()
    }

    func send(reply: ReadReply) -> Bool {
        replies.append(reply)
        return mark()
    }

    func send(acks batch: AckBatch) -> Bool {
        acks.append(batch)
        return mark()
    }

    func send(stream frame: PeerFrame) -> Bool {
        switch (streams.last, frame) {
        case (.deliver(let before), .deliver(let more)): streams[streams.count - 1] = .deliver(before + more)
        case (.opened(let before), .opened(let more)): streams[streams.count - 1] = .opened(before + more)
        case (.unsubscribe(let before), .unsubscribe(let more)):
            streams[streams.count - 1] = .unsubscribe(before + more)
        default: streams.append(frame)
        }
        return mark()
    }

    func send(control frame: PeerFrame) -> Bool {
        control.append(frame)
        return mark()
    }

    private func mark() -> Bool {
        defer { dirty = true }
        return !dirty
    }

    // MARK: Flushing

    /// What was gathered, by lane, as frames.
    private func take() -> (control: [PeerFrame], bulk: [PeerFrame]) {
        dirty = false
        var urgent = control
        var bulk: [PeerFrame] = []
        if !raftUrgent.isEmpty { urgent.append(.raft(raftUrgent)) }
        if !raftBulk.isEmpty { bulk.append(.raft(raftBulk)) }
        if !proposals.isEmpty { bulk.append(.propose(proposals)) }
        if !results.isEmpty { bulk.append(.proposalResults(results)) }
        bulk.append(contentsOf: streams)
        if !reads.isEmpty { bulk.append(.read(reads)) }
        if !replies.isEmpty { bulk.append(.readReplies(replies)) }
        if !acks.isEmpty { bulk.append(.acks(acks)) }
        clear()
        return (urgent, bulk)
    }

    /// To this node itself: the frames, for the node to take in at once.
    func takeForSelf() -> [PeerFrame] {
        let (urgent, bulk) = take()
        return urgent + bulk
    }

    /// Hands what was gathered to the transport. Where it is not taken (the link's queue is full, or the link is just
    /// breaking), the link is made anew: everything that rides on it repairs itself by a new link, nothing by a hole in
    /// it. Returns what has to go through the relay.
    func flush() -> [PeerFrame] {
        let (urgent, bulk) = take()
        guard link != nil else { return relay == nil ? [] : urgent + bulk }
        var taken = true
        if !urgent.isEmpty { taken = context.transport.send(urgent, to: id, lane: .control) }
        if taken && !bulk.isEmpty { taken = context.transport.send(bulk, to: id, lane: .bulk) }
        if !taken { context.transport.reset(id, reason: "its queue is full") }
        return []
    }
}
