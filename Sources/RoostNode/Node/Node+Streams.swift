import RoostCluster
import RoostConsensus
import RoostModel
import RoostProtocol

/// The receiving side of the streams: opens them, proves them complete, hands messages to devices.
extension Node {
    // MARK: Opening

    /// A frame to each leader serves one session as well as a herd: those that follow within this gather, nanoseconds.
    private static let openingInterval: UInt64 = 20_000_000

    /// New sessions, at once where none was opened just now.
    func openGathered() {
        let now = context.clock.now()
        guard now < nextOpening else {
            nextOpening = now + Self.openingInterval
            return openNewSessions()
        }
        guard !opensLater else { return }
        opensLater = true
        context.clock.schedule(after: nextOpening - now) { [weak self] in
            self?.onCore {
                $0.opensLater = false
                $0.needTurn()
            }
        }
    }

    /// To every leader: one frame per node.
    private func openNewSessions() {
        let fresh = newSessions.compactMap { sessions[$0]?.device.subscription }
        newSessions.removeAll()
        guard !fresh.isEmpty else { return }
        var byLeader: [NodeID: [PartitionID]] = [:]
        for index in receivers.indices {
            // A stream that is just being opened lets them join as well: they were not in its request.
            guard receivers[index].phase != .closed, let leader = receivers[index].leader, isReachable(leader) else {
                continue
            }
            byLeader[leader, default: []].append(PartitionID(UInt16(index)))
        }
        for (leader, list) in byLeader.sorted(by: { $0.key < $1.key }) {
            sendOpen(to: leader, partitions: list, sessions: fresh[...], reset: false)
        }
        // Partitions whose stream is not open take these sessions along when it is opened.
        reopenStreams()
    }

    /// Some 100 bytes each.
    private static let sessionsAFrame = 500

    /// Bounded frames: many sessions go in several requests, of which the first resets and the others join.
    private func sendOpen(
        to leader: NodeID, partitions: [PartitionID], sessions: ArraySlice<SubscribedSession>, reset: Bool
    ) {
        // Every session takes the leader a while.
        let patience = 1_000_000_000 + UInt64(sessions.count) * 200_000
        var rest = sessions
        var resets = reset
        while !rest.isEmpty {
            let part = rest.prefix(Self.sessionsAFrame)
            rest = rest.dropFirst(part.count)
            let id = nextOpen
            nextOpen += 1
            opens[id] = OpenInFlight(
                unanswered: Dictionary(uniqueKeysWithValues: partitions.map { ($0, part.count) }), reset: resets,
                leader: leader, patience: patience, deadline: context.clock.now() + patience)
            for partition in partitions {
                if resets {
                    receivers[Int(partition.value)].opening(request: id)
                } else {
                    receivers[Int(partition.value)].joinBegan()
                }
            }
            send(
                stream: .open(
                    OpenRequest(id: id, partitions: partitions, sessions: Array(part), reset: resets)), to: leader)
            resets = false
        }
    }

    /// Opens again whatever is not open, at the leaders known. Without sessions there is nothing to stream.
    func reopenStreams() {
        expireOpens()
        guard !sessions.isEmpty, phase != .founding else { return }
        var byLeader: [NodeID: [PartitionID]] = [:]
        for index in receivers.indices where receivers[index].phase == .closed {
            guard let leader = receivers[index].leader, isReachable(leader) else { continue }
            byLeader[leader, default: []].append(PartitionID(UInt16(index)))
        }
        guard !byLeader.isEmpty else { return }
        let all = sessions.values.map(\.device.subscription).sorted { $0.slot < $1.slot }
        for (leader, list) in byLeader.sorted(by: { $0.key < $1.key }) {
            context.counters.streamsReopened.increment(by: UInt64(list.count))
            sendOpen(to: leader, partitions: list, sessions: all[...], reset: true)
        }
    }

    /// What a leader has not answered in time is asked anew, unless the stream is another by now.
    private func expireOpens() {
        let now = context.clock.now()
        for (id, open) in opens where now > open.deadline {
            opens[id] = nil
            for partition in open.unanswered.keys {
                let index = Int(partition.value)
                if open.reset, receivers[index].phase != .opening(request: id) { continue }
                receivers[index].close()
            }
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
            for partition in open.unanswered.keys where receivers[Int(partition.value)].leader == node {
                receivers[Int(partition.value)].close()
                opens[id]?.unanswered[partition] = nil
            }
            if opens[id]?.unanswered.isEmpty == true { opens[id] = nil }
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
        guard index < receivers.count, let open = opens[reply.id], let missing = open.unanswered[reply.partition] else {
            return
        }
        // The leader answers in parts, one request after the other: while it gets on, none that is still to come is asked
        // again. One that it has passed over was lost on its way, or its answer was.
        let now = context.clock.now()
        for (id, other) in opens where other.leader == open.leader && id >= reply.id {
            opens[id]?.deadline = now + other.patience
        }
        let answered = missing <= reply.slots.count
        opens[reply.id]?.unanswered[reply.partition] = answered ? nil : missing - reply.slots.count
        if opens[reply.id]?.unanswered.isEmpty == true { opens[reply.id] = nil }
        guard case .opened(let term, let position, _, let unread) = reply.outcome else {
            let concerns =
                open.reset ? receivers[index].phase == .opening(request: reply.id) : receivers[index].leader == node
            if concerns { receivers[index].close() }
            return
        }
        let isStream: Bool
        if open.reset, receivers[index].phase == .opening(request: reply.id) {
            isStream = receivers[index].opened(request: reply.id, by: node, term: term, position: position)
        } else {
            isStream = receivers[index].joined(by: node, term: term, ends: answered && !open.reset)
        }
        // Where it is another stream by now, its own opening covers these sessions.
        guard isStream else { return }
        for item in unread {
            sessions[item.slot]?.device.onCore {
                $0.unread(item.conversation, cursor: item.cursor, head: item.head, lost: item.lost)
            }
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
        if configuration.planted.contains(.statusIgnored) { return }
        let index = Int(status.partition.value)
        guard index < receivers.count else { return }
        let before = receivers[index].leader
        let again = receivers[index].status(
            from: node, term: status.term, position: status.position,
            matches: sessionDigests.matches(status.digest, now: context.clock.now()))
        if receivers[index].leader != before { resendCalls(of: status.partition) }
        if again && !sessions.isEmpty {
            receivers[index].close()
            scheduleReopen()
        }
    }

    /// What this node says, as a leader, of each stream; one frame per node.
    func sendStreamStatus() {
        let targets = peers.keys.sorted()
        for target in targets where isReachable(target) {
            let list = sortedPartitions.compactMap { partition in partition.onCore { $0.status(for: target) } }
            if !list.isEmpty { send(stream: .streamStatus(list), to: target) }
        }
    }

    // MARK: Reading what a stream left out

    /// From the replica here if it has what is wanted, else from the leader. Nil where neither could be read just now.
    func backlog(
        _ conversation: ConversationID, user: UserID, after: UInt64, limit: Int,
        _ completion: @escaping @Sendable (Backlog?) -> Void
    ) {
        let partition = PartitionID(of: conversation.uuid, count: partitionCount)
        if let replica = partitions[partition], repairs.oldest(of: partition) == nil,
            replica.onCore({ $0.state.lastSeq(of: conversation) ?? 0 > after })
        {
            replica.onCore { replica in
                replica.backlog(conversation, user, after: after, limit: limit) { [weak self] replica, backlog in
                    // Not in the tables here, and not to come there soon: the disk is full.
                    if backlog == nil, !replica.isLeader, let self {
                        self.onCore { $0.backlogOfLeader(conversation, user, after: after, limit: limit, completion) }
                    } else {
                        completion(backlog)
                    }
                }
            }
            return
        }
        backlogOfLeader(conversation, user, after: after, limit: limit, completion)
    }

    private func backlogOfLeader(
        _ conversation: ConversationID, _ user: UserID, after: UInt64, limit: Int,
        _ completion: @escaping @Sendable (Backlog?) -> Void
    ) {
        let request = ReadRequest.backlog(conversation: conversation, user: user, after: after, limit: UInt32(limit))
        call(.read(request)) { outcome in
            if case .read(.backlog(let backlog)) = outcome { completion(backlog) } else { completion(nil) }
        }
    }

    /// Whether the conversation is in the state applied here; then both users of a direct one are known to exist.
    func knowsConversation(_ conversation: ConversationID) -> Bool {
        let partition = PartitionID(of: conversation.uuid, count: partitionCount)
        return partitions[partition]?.onCore { $0.state.lastSeq(of: conversation) != nil } ?? false
    }

    // MARK: Acknowledgements

    /// Cursors of one partition waiting to be sent.
    private static let maxAcks = 100_000

    func acknowledged(_ advance: CursorAdvance) {
        let partition = PartitionID(of: advance.conversation.uuid, count: partitionCount)
        let key = AckKey(user: advance.user, device: advance.device, conversation: advance.conversation)
        // At the bound, which takes a partition without a leader for long, the newest are not remembered: then the
        // device is sent them again, in its next session.
        if ackBuffer[partition]?.count ?? 0 < Self.maxAcks || ackBuffer[partition]?[key] != nil {
            ackBuffer[partition, default: [:]][key] = advance.seq
        }
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
            // Kept until a leader is known.
            guard let leader = leader(of: partition), isReachable(leader) else { continue }
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
