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
    }

    package let user: UserID
    package let device: DeviceID
    private let cluster: SimulationCluster
    private var ids: SeededGenerator

    package var start = SessionRequest.Start.all
    /// UNIX seconds.
    package var tokenExpires = 1e11
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
    private var flushing = false
    /// By conversation, in the order of arrival, once each.
    package private(set) var received: [ConversationID: [Message]] = [:]
    private var seen: [ConversationID: Set<UInt64>] = [:]
    /// Close codes of its sessions.
    package private(set) var closes: [UInt16] = []
    package private(set) var refusals = 0

    package init(user: UserID, device: DeviceID, cluster: SimulationCluster) {
        self.user = user
        self.device = device
        self.cluster = cluster
        ids = SeededGenerator(seed: cluster.executor.generator.next())
    }

    package var isConnected: Bool { session != nil }
    package var isCaughtUp: Bool { session?.isCaughtUp ?? false }
    package var violations: [String] { sessions.flatMap(\.violations).map { "\(user) \(device): \($0)" } }

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
        let request = SessionRequest(
            user: user, device: device, start: start, modern: true, clientAcks: true, tokenExpires: tokenExpires)
        cluster.spawn {
            await life.node.openSession(request)
        } then: { [self] result in
            guard attempt == number else { return }
            attempt = nil
            guard case .success(let pending) = result, cluster.running[target]?.node === life.node else {
                refusals += 1
                again()
                return
            }
            attach(pending, at: target)
        }
    }

    /// A connection to a node that died is refused, however far it was.
    private func watch(_ number: UInt64, _ node: Node, at target: NodeID) {
        cluster.executor.schedule(after: 500_000_000) { [weak self] in
            guard let self, self.attempt == number else { return }
            if self.cluster.running[target]?.node === node { return self.watch(number, node, at: target) }
            self.attempt = nil
            self.again()
        }
    }

    private func attach(_ pending: any PendingSession, at node: NodeID) {
        let session = SimulationSession(
            executor: cluster.executor, window: cluster.configuration.limits.window)
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
        outbox.append(Sent(send: send, id: id))
        sent.append(Sent(send: send, id: id))
        // What failed goes first, when its time has come.
        if !flushing { session?.send([send]) }
        return id
    }

    /// Everything not answered again, in order.
    private func flush() {
        session?.send(outbox.map(\.send))
    }

    private func take(_ frame: ServerFrame) {
        switch frame {
        case .message(_, let message):
            if seen[message.conversation, default: []].insert(message.seq).inserted {
                received[message.conversation, default: []].append(message)
            }
        case .accepted(let answer):
            outbox.removeAll { $0.id == answer.id }
            accepted[answer.id] = answer
        case .error(let error):
            guard let id = error.id else { return }
            if error.retryable {
                sendAgainLater()
            } else {
                outbox.removeAll { $0.id == id }
                refused[id] = error.code
            }
        default: break
        }
    }

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
