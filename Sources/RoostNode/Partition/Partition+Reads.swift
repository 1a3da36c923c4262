import NIOCore
import RoostCluster
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage

/// What waits for a proof of leadership.
enum PendingRead: Sendable {
    case call(ReadCall, from: NodeID)
    /// A proposal that the applied state would refuse.
    case refusal(Proposal, Partition.ProposalOrigin)
    case open(request: UInt64, sessions: [SubscribedSession], from: NodeID)
}

/// A call as its node knows it.
struct ReadOrigin: Hashable, Sendable {
    var node: NodeID
    var id: UInt64
}

extension Partition {
    /// Bytes of messages in one answer, so that it stays well within a frame.
    static let replyBytes = 1 << 20
    /// Of a page of history: whole at the default `max_content`, and within a frame at any.
    static let pageBytes = 7 << 20
    /// Accounts in one answer: at most 2 MiB, since a name has at most 1,024 bytes.
    static let maxAccounts = 1_000

    func read(_ call: ReadCall, from origin: NodeID) {
        if case .replica(let index) = call.request { return tellReplica(call.id, index, to: origin) }
        guard isLeader else { return refuse(call, from: origin) }
        ask(.call(call, from: origin))
    }

    private func refuse(_ call: ReadCall, from origin: NodeID) {
        let hint = isLeader ? nil : raft.leader?.node
        node.onCore { $0.send(reply: ReadReply(id: call.id, outcome: .notLeader(hint)), to: origin) }
    }

    func ask(_ read: PendingRead) {
        let request = nextRead
        nextRead += 1
        reads[request] = read
        receive(.readIndex(id: request))
    }

    func failRead(_ request: UInt64) {
        guard let read = reads.removeValue(forKey: request) else { return }
        let hint = isLeader ? nil : raft.leader?.node
        switch read {
        case .call(let call, let origin):
            refuse(call, from: origin)
        case .refusal(_, let origin):
            refuse(origin)
        case .open(let request, let sessions, let origin):
            let reply = OpenReply(id: request, partition: id, slots: sessions.map(\.slot), outcome: .notLeader(hint))
            node.onCore { $0.send(stream: .opened([reply]), to: origin) }
        }
    }

    /// Serves the reads whose index is applied.
    func serveReads() {
        while !isAbandoned, let first = provenReads.first, first.index <= state.appliedIndex {
            provenReads.removeFirst()
            guard let read = reads.removeValue(forKey: first.id) else { continue }
            switch read {
            case .call(let call, let origin): serve(call, from: origin)
            case .refusal(let proposal, let origin): decideRefusal(proposal, origin)
            case .open(let request, let sessions, let origin):
                answerOpen(request: request, sessions: sessions, from: origin)
            }
        }
    }

    private func decideRefusal(_ proposal: Proposal, _ origin: ProposalOrigin) {
        // A copy of it that came meanwhile is on its way through the log, which decides, or was refused before.
        guard !inFlight.contains(origin) else { return }
        if let known = refusals[origin] { return reply(known, to: origin) }
        var body = proposal.command
        guard isLeader, let command = try? Command(decoding: &body) else {
            refuse(origin)
            return
        }
        let refusal = state.rejection(of: command, known: filter, at: clusterTime)
        if abandonsDistrusted() { return refuse(origin) }
        if let answer = refusal {
            reply(answer, to: origin)
        } else {
            append(limited(command, proposal.command), origin: origin)
        }
    }

    private func serve(_ call: ReadCall, from origin: NodeID) {
        let key = ReadOrigin(node: origin, id: call.id)
        // Asked again while it is being read: it is answered once.
        guard underway.insert(key).inserted else { return }
        let finish: @Sendable (isolated Partition, ReadResponse) -> Void = { partition, response in
            partition.underway.remove(key)
            partition.node.onCore { $0.send(reply: ReadReply(id: call.id, outcome: .answered(response)), to: origin) }
        }
        switch call.request {
        case .account(let user):
            finish(self, state.account(user).map { .account($0) } ?? .none)
        case .accounts(let after, let limit):
            finish(self, .accounts(state.accounts(after: after, limit: min(Int(limit), Self.maxAccounts))))
        case .devices(let user):
            finish(self, state.account(user) == nil ? .none : .devices(state.devices(of: user)))
        case .knownDevices(let users):
            finish(self, .devices(users.flatMap { state.devices(of: $0) }))
        case .lastSeen(let users):
            finish(self, .lastSeen(users.compactMap { state.lastSeen(of: $0) }))
        case .contacts(let user, let among):
            finish(self, .users(state.contacts(of: user, among: among)))
        case .openSession(let user, let device, let token):
            // The proof may be older than the loss of leadership, and then the generation would be another's to give.
            guard isLeader else {
                underway.remove(key)
                return refuse(call, from: origin)
            }
            finish(self, grant(user, device, token))
        case .conversation(let conversation):
            finish(self, state.conversation(conversation).map { .conversation($0) } ?? .none)
        case .conversations(let user):
            finish(self, .conversations(state.conversations(of: user)))
        case .signingKeys:
            finish(self, .signingKeys(state.signingKeys))
        case .ring:
            finish(self, state.ring.map { .ring($0) } ?? .none)
        case .voters:
            finish(self, .voters(raft.configuration.voters.map(\.node)))
        case .cursors(let conversation):
            finish(
                self,
                state.conversation(conversation).map { .cursors($0, state.cursors(of: conversation)) } ?? .none)
        case .pending(let user, let devices):
            finish(self, .pending(devices.map { pending(user, $0) }))
        case .history(let conversation, let user, let before, let after, let skip, let limit):
            history(conversation, user, before: before, after: after, skip: skip, limit: limit, finish)
        case .backlog(let conversation, let user, let after, let limit):
            backlog(conversation, user, after: after, limit: Int(limit)) { partition, backlog in
                finish(partition, backlog.map { .backlog($0) } ?? .rejected(.unavailable))
            }
        case .sync(let user, let since, let afterIndex, let conversations, let limit):
            sync(user, since: since, afterIndex: afterIndex, conversations: conversations, limit: Int(limit), finish)
        case .message(let message):
            locate(message, finish)
        case .replica, .holdsKeys:
            finish(self, .rejected(.invalid))  // Answered in `read`, without a proof.
        }
    }

    private func grant(_ user: UserID, _ device: DeviceID, _ token: TokenStamp?) -> ReadResponse {
        guard let account = state.account(user) else { return .rejected(.unknownUser) }
        guard !account.disabled else { return .rejected(.accountDisabled) }
        if let token, !account.revocations.permits(token, on: device) { return .rejected(.tokenRevoked) }
        // One that is not known, or that the log has not seen for a while, is to be committed first: then nobody gives it
        // up while it has a session.
        guard let record = state.devices(of: user).first(where: { $0.device == device }),
            record.seenAt >= clusterTime - sightingInterval, token.map({ record.tokens.contains($0.id) }) ?? true
        else { return .none }
        generations += 1
        return .session(
            SessionGrant(
                generation: Generation(term: raft.term, count: generations), role: account.role,
                startAt: record.startAt))
    }

    private func pending(_ user: UserID, _ device: DeviceRecord) -> DevicePending {
        var count: UInt64 = 0
        for unread in state.unread(
            user: user, device: device.device,
            initialCursor: { initialCursor(of: $0, startAt: device.startAt) })
        {
            for range in state.readable(user, unread.conversation, after: unread.cursor) {
                count += (range.through ?? unread.head) - range.after
            }
        }
        return DevicePending(device: device.device, count: count)
    }

    // MARK: Reads that need rows

    typealias Finish = @Sendable (isolated Partition, ReadResponse) -> Void

    /// Runs a job of storage once the tables are as new as the state, and `body` with what it found. `conversations`:
    /// what it reads messages of; nil for any. While the disk is full, only what the tables have of them is served.
    func fromStore<T: Sendable>(
        of conversations: [ConversationID]?, _ job: @escaping @Sendable (any NodeStore) throws(StoreError) -> T,
        failed: @escaping @Sendable (isolated Partition) -> Void,
        _ body: @escaping @Sendable (isolated Partition, T) -> Void
    ) {
        guard !node.onCore({ $0.isFull }) || writtenIndex >= state.appliedIndex else {
            if state.hasPendingMessages(in: conversations) { return failed(self) }
            return readStore(job, failed: failed, body)
        }
        whenWritten(failed: failed) { $0.readStore(job, failed: failed, body) }
    }

    private func readStore<T: Sendable>(
        _ job: @escaping @Sendable (any NodeStore) throws(StoreError) -> T,
        failed: @escaping @Sendable (isolated Partition) -> Void,
        _ body: @escaping @Sendable (isolated Partition, T) -> Void
    ) {
        // Whoever waits is answered, whatever becomes of this replica meanwhile.
        context.storage.read(job) { [self] (result: Result<T, StoreError>) in
            onCore { partition in
                switch result {
                case .success(let value): body(partition, value)
                case .failure(let error):
                    failed(partition)
                    partition.node.onCore {
                        $0.storageFailed(error, doing: "reading messages of partition \(partition.id)")
                    }
                }
            }
        }
    }

    private func history(
        _ conversation: ConversationID, _ user: UserID, before: UInt64?, after: UInt64?, skip: UInt32, limit: UInt32,
        _ finish: @escaping Finish
    ) {
        guard state.conversation(conversation) != nil else {
            finish(self, .rejected(.unknownConversation))
            return
        }
        guard !state.readableRanges(user, conversation).isEmpty else {
            finish(self, .rejected(.notMember))
            return
        }
        let ranges = state.readable(user, conversation, after: after ?? 0)
        let floor = state.retention(of: conversation).floor
        let partition = id
        let descending = after == nil
        fromStore(
            of: [conversation],
            { (store: any NodeStore) throws(StoreError) -> [Message] in
                // Ranges are few; each is read apart, in the order asked for.
                var found: [Message] = []
                var toSkip = Int(skip)
                for range in descending ? ranges.reversed() : ranges {
                    let low = range.after
                    let high = min((range.through ?? low) + 1, before ?? .max)
                    guard high > low + 1, found.count < Int(limit) else { continue }
                    let part = try store.messages(
                        partition: partition, conversation: conversation, after: low, before: high,
                        descending: descending, skip: toSkip, limit: Int(limit) - found.count,
                        maxBytes: Self.pageBytes)
                    toSkip = part.isEmpty ? toSkip - Int(min(UInt64(toSkip), high - low - 1)) : 0
                    found.append(contentsOf: part.map(\.message))
                    // Cut short by its bytes: what follows is not to be had without a hole.
                    if let last = part.last?.message.seq, last != (descending ? low + 1 : high - 1) { break }
                }
                return found
            }, failed: { finish($0, .rejected(.unavailable)) }
        ) { partition, messages in
            // What was removed meanwhile, by a floor or with the tables, is no end of the page.
            let isWhole = !partition.isRetired && partition.state.retention(of: conversation).floor == floor
            finish(partition, isWhole ? .messages(messages) : .rejected(.unavailable))
        }
    }

    /// What a device reads next above `after`; nil where it can't be read just now.
    func backlog(
        _ conversation: ConversationID, _ user: UserID, after: UInt64, limit: Int,
        _ finish: @escaping @Sendable (isolated Partition, Backlog?) -> Void
    ) {
        let ranges = state.readable(user, conversation, after: after)
        let head = state.lastSeq(of: conversation) ?? 0
        guard !ranges.isEmpty else {
            let lost = state.lost(by: user, in: conversation, after: after, before: nil)
            finish(self, Backlog(messages: [], through: max(head, after), lost: lost))
            return
        }
        let partition = id
        fromStore(
            of: [conversation],
            { (store: any NodeStore) throws(StoreError) -> [Message] in
                var found: [Message] = []
                for range in ranges where found.count < limit {
                    let part = try store.messages(
                        partition: partition, conversation: conversation, after: range.after,
                        before: (range.through ?? head) + 1, descending: false, skip: 0, limit: limit - found.count,
                        maxBytes: Self.replyBytes)
                    found.append(contentsOf: part.map(\.message))
                    // Where it was not read to its end, also since the floor rose meanwhile, the next range has to wait.
                    if part.last?.message.seq ?? range.after < range.through ?? head { break }
                }
                return found
            }, failed: { finish($0, nil) }
        ) { partition, messages in
            let whole = messages.last.map { $0.seq >= ranges.last?.through ?? head } ?? false
            // The floor of now: what was removed while it was read is told as well.
            let lost = partition.state.lost(
                by: user, in: conversation, after: after, before: messages.first?.seq)
            finish(
                partition,
                Backlog(messages: messages, through: whole ? head : messages.last?.seq ?? after, lost: lost))
        }
    }

    private func sync(
        _ user: UserID, since: Int64, afterIndex: UInt64, conversations: [ConversationID], limit: Int,
        _ finish: @escaping Finish
    ) {
        let wanted = Set(conversations)
        let applied = state.appliedIndex
        let partition = id
        let sources = state.conversations(of: user).map(\.id).filter { wanted.isEmpty || wanted.contains($0) }
            .map { ($0, state.readable(user, $0, after: 0)) }.filter { !$0.1.isEmpty }
        guard !sources.isEmpty, limit > 0 else {
            finish(self, .synced(messages: [], through: limit > 0 ? applied : afterIndex))
            return
        }
        let floors = sources.map { state.retention(of: $0.0).floor }
        fromStore(
            of: sources.map(\.0),
            { (store: any NodeStore) throws(StoreError) -> [StoredMessage] in
                var found: [StoredMessage] = []
                for (conversation, ranges) in sources {
                    // What the caller has is not read again: his history may be long.
                    let first = max(
                        try store.lastSeq(partition: partition, conversation: conversation, sentBefore: since),
                        try store.lastSeq(partition: partition, conversation: conversation, through: afterIndex))
                    reading: for range in ranges {
                        var low = max(range.after, first)
                        let high = (range.through ?? low) + 1
                        while high > low + 1 {
                            let part = try store.messages(
                                partition: partition, conversation: conversation, after: low, before: high,
                                descending: false, skip: 0, limit: limit + 1, maxBytes: 4 << 20)
                            guard let last = part.last else { break }
                            low = last.message.seq
                            found.append(contentsOf: part.filter { $0.index <= applied })
                            // Never more in memory than an answer and what was read last.
                            found = Self.firstToSync(found, limit)
                            if let end = found.last?.index, end < last.index { break reading }
                        }
                    }
                }
                return found
            }, failed: { finish($0, .rejected(.unavailable)) }
        ) { partition, found in
            // What was removed meanwhile may have looked like the end of what there is.
            guard !partition.isRetired, sources.map({ partition.state.retention(of: $0.0).floor }) == floors else {
                return finish(partition, .rejected(.unavailable))
            }
            let part = Self.answerToSync(found, limit)
            let through = found.count > part.count ? part.last?.index ?? afterIndex : applied
            finish(partition, .synced(messages: part.map(\.message), through: through))
        }
    }

    /// In the order of the log, what fills an answer, and one more, which tells that there are more.
    private static func firstToSync(_ found: [StoredMessage], _ limit: Int) -> [StoredMessage] {
        let ordered = found.sorted { $0.index < $1.index }
        return Array(ordered.prefix(answerToSync(ordered, limit).count + 1))
    }

    private static func answerToSync(_ ordered: [StoredMessage], _ limit: Int) -> ArraySlice<StoredMessage> {
        var bytes = 0
        return ordered.prefix(limit).prefix { item in
            defer { bytes += item.message.content.readableBytes }
            return bytes < replyBytes
        }
    }
}
