import NIOCore
import OrderedCollections
import RoostCluster
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage

extension Partition {
    // MARK: Opening

    /// Subscribes the sessions first, then proves leadership, then answers: whatever is committed in between comes by
    /// the stream.
    func open(_ request: OpenRequest, from origin: NodeID) {
        guard isLeader else {
            let reply = OpenReply(
                id: request.id, partition: id, slots: request.sessions.map(\.slot),
                outcome: .notLeader(raft.leader?.node))
            node.onCore { $0.send(stream: .opened([reply]), to: origin) }
            return
        }
        if isPlanted(.subscribesLate) {
            subscribeLate(request, from: origin)
        } else {
            subscriptions.open(node: origin, sessions: request.sessions, reset: request.reset)
        }
        ask(.open(request: request.id, sessions: request.sessions, from: origin))
    }

    func unsubscribe(_ end: SubscriptionEnd, from origin: NodeID) {
        subscriptions.close(node: origin, slot: end.slot, session: end.session)
    }

    /// The node is gone or out of reach: its stream is over.
    func endStream(to origin: NodeID) { subscriptions.end(node: origin) }

    /// Where a device starts in a conversation it has no cursor in: after the last message sent before `startAt`.
    func initialCursor(of conversation: ConversationID, startAt: Int64) -> UInt64 {
        guard startAt > 0 else { return 0 }
        return state.lastSeq(of: conversation, sentBefore: startAt) {
            // A bisection of rows found by key, of a conversation in which something was sent after the start. A failing
            // read means too much is delivered, never too little.
            (try? context.storage.store.lastSeq(partition: id, conversation: conversation, sentBefore: startAt)) ?? 0
        }
    }

    /// Where a subscriber stands as this leader knows it, acknowledgements not yet committed included.
    private func cursor(of user: UserID, _ subscriber: SubscriptionTable.Subscriber, in conversation: ConversationID)
        -> UInt64
    {
        let key = CursorKey(user: user, device: subscriber.device, conversation: conversation)
        let waiting = cursors.isEmpty ? nil : cursors[key]
        if let committed = state.cursor(user, subscriber.device, conversation) { return max(committed, waiting ?? 0) }
        if let waiting { return waiting }
        return start(of: user, subscriber.device, in: conversation, startAt: subscriber.startAt)
    }

    /// Where a device stands that has no cursor in the conversation: turned into a seq once, and committed.
    func start(
        of user: UserID, _ device: DeviceID, in conversation: ConversationID, startAt: Int64
    ) -> UInt64 {
        var first = initialCursor(of: conversation, startAt: startAt)
        if let range = state.readableRanges(user, conversation).first { first = max(first, range.after) }
        if first > 0 { note([CursorAdvance(user: user, device: device, conversation: conversation, seq: first)]) }
        return first
    }

    // MARK: Delivering

    /// One `deliver` per node, however many messages and devices; several where they are large.
    func deliver(_ committed: [CommittedMessage], membersChanged: Bool) {
        guard !subscriptions.isEmpty else { return }
        var rest = committed[...]
        while !rest.isEmpty {
            var bytes = 0
            let part = rest.prefix { item in
                defer { bytes += item.message.content.readableBytes }
                return bytes < Self.replyBytes
            }
            rest = rest.dropFirst(part.count)
            deliverPart(part, membersChanged: membersChanged)
        }
    }

    private func deliverPart(_ committed: ArraySlice<CommittedMessage>, membersChanged: Bool) {
        var batches: OrderedDictionary<NodeID, [DeliverItem]> = [:]
        for item in committed {
            let conversation = item.message.conversation
            var targets: [(node: NodeID, list: [DeliverTarget])] = []
            // Where the same batch changed members, those of now are not those of the message.
            let users =
                membersChanged
                ? state.readers(of: conversation, item.message.seq) : state.members(of: conversation)
            for user in users {
                for subscriber in subscriptions.subscribers(of: user) {
                    let target = DeliverTarget(
                        slot: subscriber.slot, cursor: cursor(of: user, subscriber, in: conversation))
                    if let place = targets.firstIndex(where: { $0.node == subscriber.node }) {
                        targets[place].list.append(target)
                    } else {
                        targets.append((subscriber.node, [target]))
                    }
                }
            }
            for (node, list) in targets {
                batches[node, default: []].append(
                    DeliverItem(index: item.index, message: item.message, targets: list))
            }
        }
        let term = raft.term
        for (target, items) in batches {
            let batch = DeliverBatch(
                partition: id, term: term, position: subscriptions.advance(node: target), items: items)
            node.onCore { $0.send(stream: .deliver([batch]), to: target) }
        }
    }

    /// What the leader says of each node's stream about once a second.
    func status(for target: NodeID) -> StreamStatus? {
        guard isLeader else { return nil }
        let stream = subscriptions.streams[target]
        return StreamStatus(
            partition: id, term: raft.term, position: stream?.position ?? 0, digest: stream?.digest ?? 0)
    }

    // MARK: Cursors

    /// Acknowledgements from a node. Committed at most once a second, as one entry.
    func acknowledge(_ advances: [CursorAdvance]) {
        guard isLeader else {
            if let leader = raft.leader?.node, leader != context.id {
                node.onCore { $0.send(acks: AckBatch(partition: self.id, cursors: advances), to: leader) }
            }
            return
        }
        note(advances)
    }

    private func note(_ advances: [CursorAdvance]) {
        for advance in advances {
            let key = CursorKey(user: advance.user, device: advance.device, conversation: advance.conversation)
            guard cursors[key] ?? 0 < advance.seq,
                state.cursor(advance.user, advance.device, advance.conversation) ?? 0 < advance.seq
            else { continue }
            // At the bound the newest are not remembered: the device is sent them again, in its next session.
            guard cursors.count < 100_000 || cursors[key] != nil else { continue }
            cursors[key] = advance.seq
        }
        scheduleCursorCommit()
    }

    private func scheduleCursorCommit() {
        guard !cursors.isEmpty, !cursorCommitScheduled else { return }
        cursorCommitScheduled = true
        _ = context.after(milliseconds: context.configuration.timing.cursorCommitMilliseconds) { [weak self] in
            self?.onCore { $0.commitCursors() }
        }
    }

    private func commitCursors() {
        cursorCommitScheduled = false
        guard isLeader, !cursors.isEmpty else { return }
        // What is proposed stays here until it is applied: whoever opens meanwhile starts from it.
        // One that never will be, such as beyond the head, must not be proposed for ever.
        cursors = cursors.filter { key, seq in
            state.cursor(key.user, key.device, key.conversation) ?? 0 < seq
                && state.lastSeq(of: key.conversation) ?? 0 >= seq
                && !state.readableRanges(key.user, key.conversation).isEmpty
        }
        let advances = cursors.map {
            CursorAdvance(user: $0.key.user, device: $0.key.device, conversation: $0.key.conversation, seq: $0.value)
        }
        scheduleCursorCommit()
        // In entries of bounded size.
        var start = 0
        while start < advances.count {
            let end = min(start + 2_000, advances.count)
            node.onCore { $0.proposeQuietly(.advanceCursors(Array(advances[start..<end])), partition: self.id) }
            start = end
        }
    }

    func forwardCursors(to leader: NodeID) {
        let advances = cursors.map {
            CursorAdvance(user: $0.key.user, device: $0.key.device, conversation: $0.key.conversation, seq: $0.value)
        }
        cursors.removeAll()
        node.onCore { $0.send(acks: AckBatch(partition: self.id, cursors: advances), to: leader) }
    }
}
