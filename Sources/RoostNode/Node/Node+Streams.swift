import RoostConsensus
import RoostCluster
import RoostModel
import RoostProtocol

/// The receiving side of the streams: opens them, proves them complete, hands messages to devices.
extension Node {
    // MARK: Opening

    /// New sessions of this turn, to every leader: one frame per node.
    func openNewSessions() {
        let fresh = newSessions.compactMap { sessions[$0]?.device.subscription }
        newSessions.removeAll()
        guard !fresh.isEmpty else { return }
        var byLeader: [NodeID: [PartitionID]] = [:]
        for index in receivers.indices {
            guard receivers[index].isOpen, let leader = receivers[index].leader, isUp(leader) else { continue }
            byLeader[leader, default: []].append(PartitionID(UInt16(index)))
        }
        for (leader, list) in byLeader.sorted(by: { $0.key < $1.key }) {
            for partition in list { receivers[Int(partition.value)].joinBegan() }
            sendOpen(to: leader, partitions: list, sessions: fresh, reset: false)
        }
        // Partitions whose stream is not open take these sessions along when it is opened.
        reopenStreams()
    }

    private func sendOpen(to leader: NodeID, partitions: [PartitionID], sessions: [SubscribedSession], reset: Bool) {
        let id = nextOpen
        nextOpen += 1
        opens[id] = OpenInFlight(
            partitions: Set(partitions), reset: reset, sentAt: context.clock.now(), slots: sessions.map(\.slot))
        if reset { for partition in partitions { receivers[Int(partition.value)].opening(request: id) } }
        // Bounded frames: many sessions go in several requests, of which the first resets.
        send(stream: .open(OpenRequest(id: id, partitions: partitions, sessions: sessions, reset: reset)), to: leader)
    }

    /// Opens again whatever is not open, at the leaders known. Without sessions there is nothing to stream.
    func reopenStreams() {
        let now = context.clock.now()
        for (id, open) in opens where now > open.sentAt + 1_000_000_000 {
            opens[id] = nil
            for partition in open.partitions { receivers[Int(partition.value)].close() }
        }
        guard !sessions.isEmpty, phase != .founding else { return }
        var byLeader: [NodeID: [PartitionID]] = [:]
        for index in receivers.indices where receivers[index].phase == .closed {
            guard let leader = receivers[index].leader, isUp(leader) else { continue }
            byLeader[leader, default: []].append(PartitionID(UInt16(index)))
        }
        guard !byLeader.isEmpty else { return }
        let all = sessions.values.map(\.device.subscription).sorted { $0.slot < $1.slot }
        for (leader, list) in byLeader.sorted(by: { $0.key < $1.key }) {
            context.counters.streamsReopened.increment(by: UInt64(list.count))
            sendOpen(to: leader, partitions: list, sessions: all, reset: true)
        }
    }

    func scheduleReopen() {
        guard !reopenScheduled else { return }
        reopenScheduled = true
        _ = context.after(milliseconds: 5) { [weak self] in
            self?.onCore {
                $0.reopenScheduled = false
                $0.reopenStreams()
            }
        }
    }

    func dropOpens(to node: NodeID) {
        for (id, open) in opens {
            let lost = open.partitions.filter { receivers[Int($0.value)].leader == node }
            guard !lost.isEmpty else { continue }
            for partition in lost { receivers[Int(partition.value)].close() }
            opens[id]?.partitions.subtract(lost)
        }
    }

    /// A leader's side: the partitions asked for, each for itself.
    func open(_ request: OpenRequest, from node: NodeID) {
        for id in request.partitions {
            if let partition = partitions[id] {
                partition.onCore { $0.open(request, from: node) }
            } else {
                let reply = OpenReply(
                    id: request.id, partition: id, slots: request.sessions.map(\.slot),
                    outcome: .notLeader(leader(of: id)))
                send(stream: .opened([reply]), to: node)
            }
        }
    }

    func opened(_ reply: OpenReply, by node: NodeID) {
        let index = Int(reply.partition.value)
        guard index < receivers.count, let open = opens[reply.id], open.partitions.contains(reply.partition) else { return }
        opens[reply.id]?.partitions.remove(reply.partition)
        if opens[reply.id]?.partitions.isEmpty == true { opens[reply.id] = nil }
        guard case .opened(let term, let position, _, let unread) = reply.outcome else {
            receivers[index].close()
            return
        }
        if open.reset {
            guard receivers[index].opened(request: reply.id, by: node, term: term, position: position) else { return }
        } else if !receivers[index].joined(by: node, term: term) {
            // The stream is another by now; its own opening covers these sessions.
            return
        }
        for item in unread {
            sessions[item.slot]?.device.onCore { $0.unread(item.conversation, cursor: item.cursor, head: item.head) }
        }
        for slot in reply.slots {
            guard sessions[slot]?.unanswered.remove(reply.partition) != nil else { continue }
            if let entry = sessions[slot], entry.unanswered.isEmpty { entry.device.onCore { $0.opened() } }
        }
    }

    // MARK: Receiving

    func received(_ batch: DeliverBatch, from node: NodeID) {
        let index = Int(batch.partition.value)
        guard index < receivers.count else { return }
        switch receivers[index].receive(from: node, term: batch.term, position: batch.position) {
        case .stale: return
        case .gap:
            context.counters.streamGaps.increment()
            receivers[index].close()
            scheduleReopen()
            return
        case .accept: break
        }
        for item in batch.items {
            // Encoded once for all receivers here.
            let tail = MessageFrame.encodeTail(item.message)
            for target in item.targets {
                sessions[target.slot]?.device.onCore { $0.deliver(item.message, cursor: target.cursor, tail: tail) }
            }
        }
    }

    func received(_ status: StreamStatus, from node: NodeID) {
        let index = Int(status.partition.value)
        guard index < receivers.count else { return }
        let before = receivers[index].leader
        let again = receivers[index].status(
            from: node, term: status.term, position: status.position, matches: status.digest == sessionDigest)
        if receivers[index].leader != before { resendCalls(of: status.partition) }
        if again && !sessions.isEmpty {
            receivers[index].close()
            scheduleReopen()
        }
    }

    /// What this node says, as a leader, of each stream; one frame per node.
    func sendStreamStatus() {
        let targets = peers.keys.sorted()
        for target in targets where isUp(target) {
            let list = sortedPartitions.compactMap { partition in partition.onCore { $0.status(for: target) } }
            if !list.isEmpty { send(stream: .streamStatus(list), to: target) }
        }
    }

    // MARK: Reading what a stream left out

    /// From the replica here if it has what is wanted, else from the leader. `through` is nil where neither could be
    /// read just now.
    func backlog(
        _ conversation: ConversationID, user: UserID, after: UInt64, limit: Int,
        _ completion: @escaping @Sendable ([Message], UInt64?) -> Void
    ) {
        let partition = PartitionID(of: conversation.uuid, count: partitionCount)
        if let replica = partitions[partition],
            replica.onCore({ $0.state.lastSeq(of: conversation) ?? 0 > after })
        {
            replica.onCore { $0.backlog(conversation, user, after: after, limit: limit) { completion($1, $2) } }
            return
        }
        let request = ReadRequest.backlog(conversation: conversation, user: user, after: after, limit: UInt32(limit))
        call(.read(request)) { outcome in
            if case .read(.backlog(let messages, let through)) = outcome {
                completion(messages, through)
            } else {
                completion([], nil)
            }
        }
    }

    /// Whether the conversation is in the state applied here; then both users of a direct one are known to exist.
    func knowsConversation(_ conversation: ConversationID) -> Bool {
        let partition = PartitionID(of: conversation.uuid, count: partitionCount)
        return partitions[partition]?.onCore { $0.state.lastSeq(of: conversation) != nil } ?? false
    }

    // MARK: Acknowledgements

    func acknowledged(_ advance: CursorAdvance) {
        let partition = PartitionID(of: advance.conversation.uuid, count: partitionCount)
        let key = AckKey(user: advance.user, device: advance.device, conversation: advance.conversation)
        ackBuffer[partition, default: [:]][key] = advance.seq
        guard ackTimer == nil else { return }
        ackTimer = context.after(milliseconds: 200) { [weak self] in
            self?.onCore {
                $0.ackTimer = nil
                $0.sendAcks()
            }
        }
    }

    func sendAcks() {
        for (partition, list) in ackBuffer.sorted(by: { $0.key < $1.key }) {
            // Kept until a leader is known; bounded by conversations times devices here.
            guard let leader = leader(of: partition), isUp(leader) else { continue }
            ackBuffer[partition] = nil
            var cursors = list.map {
                CursorAdvance(
                    user: $0.key.user, device: $0.key.device, conversation: $0.key.conversation, seq: $0.value)
            }
            cursors.sort {
                ($0.user, $0.device, $0.conversation, $0.seq) < ($1.user, $1.device, $1.conversation, $1.seq)
            }
            var rest = cursors[...]
            while !rest.isEmpty {
                send(acks: AckBatch(partition: partition, cursors: Array(rest.prefix(2_000))), to: leader)
                rest = rest.dropFirst(2_000)
            }
        }
        if !ackBuffer.isEmpty, ackTimer == nil {
            ackTimer = context.after(milliseconds: 200) { [weak self] in
                self?.onCore {
                    $0.ackTimer = nil
                    $0.sendAcks()
                }
            }
        }
    }
}
