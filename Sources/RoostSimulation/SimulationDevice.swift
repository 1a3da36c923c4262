import NIOCore
package import RoostModel
package import RoostNode
package import RoostProtocol

/// A device as a client library would run it, over all its sessions: connects, sends again with the same id what was
/// not answered, in order, and keeps what it was sent, once each.
package final class SimulationDevice: @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    package struct Sent {
        package var send: ClientSend
        package var id: MessageID
        /// Virtual nanoseconds.
        package var at: UInt64
    }

    package let user: UserID
    package let device: DeviceID
    private let cluster: SimulationCluster
    private var ids: SeededGenerator

    package var start = SessionRequest.Start.all
    /// UNIX seconds.
    package var tokenExpires = 1e11
    package var token: TokenStamp?
    /// Judges the tokens that its sessions are given later.
    package var checkToken: (@Sendable (String) -> TokenVerdict)?
    /// Nanoseconds from a message to its acknowledgement; nil: never.
    package var acknowledgeAfter: ClosedRange<UInt64>? = 100_000...3_000_000
    /// Connects again by itself, anywhere, when a session ends.
    package var reconnects = true
    package private(set) var session: SimulationSession?
    package private(set) var sessions: [SimulationSession] = []
    package private(set) var home: NodeID?
    /// The attempt to connect that is under way, if one is.
    private var attempt: UInt64?
    private var attempts: UInt64 = 0
    private var wanted: NodeID?

    /// Not answered yet, in the order of sending.
    package private(set) var outbox: [Sent] = []
    /// In the order of sending.
    package private(set) var sent: [Sent] = []
    package private(set) var accepted: [MessageID: AcceptedFrame] = [:]
    package private(set) var refused: [MessageID: ErrorCode] = [:]
    /// When a send was last answered that its outcome is unknown, in virtual nanoseconds.
    package private(set) var unknownAt: [MessageID: UInt64] = [:]
    /// How often each was sent.
    package private(set) var attempted: [MessageID: Int] = [:]
    private var flushing = false
    /// By conversation, in the order of arrival, once each.
    package private(set) var received: [ConversationID: [Message]] = [:]
    private var seen: [ConversationID: Set<UInt64>] = [:]
    /// What it was told that it lost to the retention.
    package private(set) var skipped: [SkippedFrame] = []
    /// Close codes of its sessions.
    package private(set) var closes: [UInt16] = []
    package private(set) var refusals = 0
    private var broken: [Breach] = []
    /// Messages that were accepted before and are sent once more.
    private var repeated: [MessageID: AcceptedFrame] = [:]
    /// Ids that stand for other messages.
    private var reused: [MessageID: Int] = [:]
    package var onAccepted: ((SimulationDevice, Sent, AcceptedFrame) -> Void)?
    /// Refused for good, after whatever many attempts.
    package var onRefused: ((SimulationDevice, Sent, ErrorCode) -> Void)?
    /// Whom it watches, in all its sessions.
    package private(set) var watched: [UserID] = []
    private var watchID: MessageID?
    package var onPresence: ((SimulationDevice, PresenceFrame) -> Void)?
    package var onMessage: ((SimulationDevice, Message) -> Void)?

    package init(user: UserID, device: DeviceID, cluster: SimulationCluster) {
        self.user = user
        self.device = device
        self.cluster = cluster
        ids = SeededGenerator(seed: cluster.executor.generator.next())
    }

    package var isConnected: Bool { session != nil }
    package var isCaughtUp: Bool { session?.isCaughtUp ?? false }
    /// Since when its oldest send has waited for its acceptance, in virtual nanoseconds.
    package var waitingSince: UInt64? { outbox.first?.at }

    /// Of all it was told.
    package var digest: UInt64 {
        var digest = UInt64(accepted.count)
        for item in sent { digest = StableHash.mix(digest ^ (accepted[item.id]?.seq ?? 0)) }
        for conversation in received.keys.sorted() {
            for message in received[conversation] ?? [] {
                digest = StableHash.mix(digest ^ StableHash.of(message.id.uuid))
            }
        }
        return digest
    }

    /// What its sessions and its answers broke.
    package var breaches: [Breach] {
        (sessions.flatMap(\.breaches) + broken).map { Breach($0.promise, "\(user) \(device): \($0.text)") }
    }

    // MARK: Connecting

    /// To this node, or to any that is there.
    package func connect(to node: NodeID? = nil) {
        wanted = node
        guard attempt == nil else { return }
        let up = cluster.nodeIDs.filter { cluster.running[$0] != nil }
        let any = up.isEmpty ? nil : up[Int(cluster.executor.random(0...UInt64(up.count - 1)))]
        guard let target = wanted.flatMap({ up.contains($0) ? $0 : nil }) ?? any, let life = cluster.running[target]
        else {
            again()
            return
        }
        attempts += 1
        let number = attempts
        attempt = number
        watch(number, life.node, at: target)
        let executor = cluster.executor
        var check: TokenCheck?
        if let verdict = checkToken {
            check = { text, answer in
                executor.schedule(after: 1_000_000) { answer(verdict(text)) }
            }
        }
        let request = SessionRequest(
            user: user, device: device, start: start, modern: true, clientAcks: true, tokenExpires: tokenExpires,
            token: token, checkToken: check)
        cluster.ask(target) { node in
            await node.openSession(request)
        } then: { [self] result in
            guard attempt == number else { return }
            attempt = nil
            guard case .success(let pending) = result else {
                refusals += 1
                again()
                return
            }
            attach(pending, at: target, life.gate)
        }
    }

    /// A connection to a node that died is refused, however far it was; one to a node that stands still is given up.
    private func watch(_ number: UInt64, _ node: Node, at target: NodeID, tries: Int = 0) {
        cluster.executor.schedule(after: 500_000_000) { [weak self] in
            guard let self, self.attempt == number else { return }
            let lives = self.cluster.running[target]?.node === node
            if lives, tries < 10 || !self.cluster.isPaused(target) {
                return self.watch(number, node, at: target, tries: tries + 1)
            }
            self.attempt = nil
            self.again()
        }
    }

    private func attach(_ pending: any PendingSession, at node: NodeID, _ gate: SimulationGate) {
        let session = SimulationSession(
            executor: cluster.executor, window: cluster.configuration.limits.window, gate: gate)
        if let acknowledgeAfter {
            session.acknowledgeAfter = acknowledgeAfter
        } else {
            session.acknowledges = false
        }
        let former = self.session
        self.session = session
        home = node
        sessions.append(session)
        former?.disconnect()
        session.onFrame = { [weak self, weak session] frame in
            guard let self, let session, self.session === session else { return }
            self.take(frame)
        }
        session.onClose = { [weak self, weak session] code in
            guard let self, let session, self.session === session else { return }
            self.session = nil
            self.closes.append(code)
            if self.reconnects { self.again() }
        }
        cluster.register(session, at: node)
        session.attach(pending)
        if !watched.isEmpty { subscribe() }
        flushing = false
        flush()
    }

    private func again() {
        guard reconnects else { return }
        cluster.executor.schedule(after: cluster.executor.random(50_000_000...400_000_000)) { [weak self] in
            guard let self, self.session == nil, self.reconnects else { return }
            self.connect(to: self.wanted)
        }
    }

    /// Slow no more, in this session either.
    package func hurry() {
        acknowledgeAfter = 100_000...3_000_000
        session?.acknowledgeAfter = 100_000...3_000_000
    }

    /// It is out of the network's reach, and comes back by another.
    package func vanish() { session?.vanish() }

    /// The connection breaks.
    package func disconnect() { session?.disconnect() }

    /// For a failure's report.
    package var summary: String {
        let state = home.flatMap { home in
            session?.welcome.flatMap { welcome in cluster.onNode(home) { $0.describe(session: welcome.session) } }
        }
        return """
            \(user) \(device): \(session == nil ? "not connected" : "at \(home?.name ?? "?")"), \(outbox.count) waiting, \
            \(sessions.count) sessions, \(refusals) refusals, closes \(closes.suffix(8)), \(state ?? "")
            """
    }

    // MARK: Watching

    package func watch(_ users: [UserID]) {
        watched = users.sorted()
        subscribe()
    }

    private func subscribe() {
        guard let session, session.closeCode == nil else { return }
        let id = MessageID(.version4(using: &ids))
        watchID = id
        session.watch(watched, id: id)
    }

    /// True where the error is about what it watches.
    private func refusedWatch(_ error: ServerError) -> Bool {
        guard error.id != nil, error.id == watchID else { return false }
        guard error.retryable else { return true }
        let id = watchID
        cluster.executor.schedule(after: UInt64(error.retryAfterMilliseconds ?? 500) * 1_000_000) { [weak self] in
            if let self, self.watchID == id { self.subscribe() }
        }
        return true
    }

    // MARK: Sending

    @discardableResult
    package func send(to conversation: ConversationID, _ text: String) -> MessageID {
        send(ClientSend(id: nil, conversation: conversation, content: ByteBuffer(string: "\"\(text)\"")))
    }

    @discardableResult
    package func send(toUser name: String, _ text: String) -> MessageID {
        send(ClientSend(id: nil, conversation: nil, toUser: name, content: ByteBuffer(string: "\"\(text)\"")))
    }

    private func send(_ send: ClientSend) -> MessageID {
        let id = MessageID(.version4(using: &ids))
        var send = send
        send.id = id
        let item = Sent(send: send, id: id, at: cluster.executor.now)
        outbox.append(item)
        sent.append(item)
        // What failed goes first, when its time has come.
        if !flushing { attempt([item]) }
        return id
    }

    /// Once more what was accepted, by this or another device of the user: the same answer is due.
    package func repeatSend(_ send: ClientSend, answered: AcceptedFrame) {
        repeated[answered.id] = answered
        session?.send([send])
    }

    /// Another message under an id that is taken: it is to be refused.
    package func reuse(_ send: ClientSend) {
        guard let id = send.id else { return }
        reused[id, default: 0] += 1
        session?.send([send])
    }

    /// Everything not answered again, in order.
    private func flush() {
        attempt(outbox)
    }

    private func attempt(_ list: [Sent]) {
        guard let session, !list.isEmpty else { return }
        for item in list { attempted[item.id, default: 0] += 1 }
        session.send(list.map(\.send))
    }

    private func take(_ frame: ServerFrame) {
        switch frame {
        case .message(_, let message):
            if seen[message.conversation, default: []].insert(message.seq).inserted {
                received[message.conversation, default: []].append(message)
            }
            onMessage?(self, message)
        case .skipped(let frame): skipped.append(frame)
        case .accepted(let answer): takeAccepted(answer)
        case .presence(let told): onPresence?(self, told)
        case .error(let error):
            if refusedWatch(error) { return }
            guard let id = error.id else { return }
            cluster.note("\(user) \(device): \(id) is refused: \(error.codeText)")
            if error.retryable {
                unknownAt[id] = cluster.executor.now
                sendAgainLater()
            } else if let times = reused[id] {
                reused[id] = times > 1 ? times - 1 : nil
                if error.code != .idReused { broke("another content under \(id) is refused as \(error.codeText)") }
            } else if repeated[id] != nil {
                broke("\(id), accepted before, is refused as \(error.codeText)")
            } else {
                if let code = error.code, let item = outbox.first(where: { $0.id == id }) {
                    onRefused?(self, item, code)
                }
                outbox.removeAll { $0.id == id }
                refused[id] = error.code
            }
        default: break
        }
    }

    private func takeAccepted(_ answer: AcceptedFrame) {
        // Unless the message itself was sent once more meanwhile.
        if reused[answer.id] != nil, repeated[answer.id] != answer {
            broke("another content is accepted under \(answer.id)")
        }
        if let first = accepted[answer.id] ?? repeated[answer.id], first != answer {
            broke("\(answer.id) is \(answer.seq) at \(answer.sentAt), and was \(first.seq) at \(first.sentAt)")
        }
        guard let place = outbox.firstIndex(where: { $0.id == answer.id }) else { return }
        let sent = outbox.remove(at: place)
        accepted[answer.id] = answer
        onAccepted?(self, sent, answer)
    }

    private func broke(_ text: String) { broken.append(Breach(.idempotentSend, text)) }

    private func sendAgainLater() {
        guard !flushing else { return }
        flushing = true
        cluster.executor.schedule(after: cluster.executor.random(300_000_000...700_000_000)) { [weak self] in
            guard let self, self.flushing else { return }
            self.flushing = false
            self.flush()
        }
    }
}
