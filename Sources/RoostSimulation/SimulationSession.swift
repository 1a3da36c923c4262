package import NIOCore
package import RoostModel
package import RoostNode
package import RoostProtocol

/// A device's connection in a simulation: takes frames in as a client would, acknowledges by itself, and judges what it
/// is sent: numbers without gaps, every conversation in order, no more than a window outstanding.
package final class SimulationSession: SessionSocket, @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    private let executor: SimulationExecutor
    /// Of the node: what a client sends waits while the node stands still.
    private let gate: SimulationGate
    /// Most that may be outstanding.
    private let window: Int
    package private(set) var events: (any SessionEvents)?
    package private(set) var frames: [ServerFrame] = []
    package private(set) var messages: [Message] = []
    package private(set) var accepted: [AcceptedFrame] = []
    package private(set) var errors: [ServerError] = []
    /// What it was told last of each user.
    package private(set) var presence: [UserID: PresenceStatus] = [:]
    /// Everybody it ever wanted to watch, and the lists that are not answered.
    private var watched: Set<UserID> = []
    private var lists: [MessageID: [UserID]] = [:]
    /// Whom it watches.
    package private(set) var watches: [UserID] = []
    package private(set) var refusedToWatch: [UserID] = []
    /// Where it is.
    package internal(set) var node: NodeID?
    /// Virtual nanoseconds.
    package private(set) var endedAt: UInt64?
    package private(set) var closeCode: UInt16?
    package private(set) var welcome: WelcomeFrame?
    package private(set) var isCaughtUp = false
    /// Virtual nanoseconds.
    package private(set) var openedAt: UInt64 = 0
    package private(set) var caughtUps = 0
    /// Breaches of what a session is promised.
    package private(set) var breaches: [Breach] = []
    private var closedByNode = false
    package var acknowledges = true
    /// Nanoseconds from a message to its acknowledgement.
    package var acknowledgeAfter: ClosedRange<UInt64> = 100_000...3_000_000
    package var onFrame: ((ServerFrame) -> Void)?
    package var onClose: ((UInt16) -> Void)?
    package private(set) var isWritable = true
    /// Bytes written while it was not writable.
    package private(set) var stuckBytes = 0
    package private(set) var isRead = true
    private var lastNumber: UInt64 = 0
    /// One pong for several pings (RFC 6455, 5.5.3).
    package lazy var answersLastPingOnly = executor.random(0...2) == 0
    private var owedPong: ByteBuffer?
    private var acknowledged: UInt64 = 0
    private var lastSeqs: [ConversationID: UInt64] = [:]
    /// Sends of this session that are not answered: when they were sent, and how long the node had stood still by then.
    private var unanswered: [MessageID: (sent: UInt64, paused: UInt64)] = [:]

    package init(executor: SimulationExecutor, window: Int = 256, gate: SimulationGate? = nil) {
        self.executor = executor
        self.gate = gate ?? SimulationGate(executor: executor)
        self.window = window
    }

    package func attach(_ pending: any PendingSession) {
        openedAt = executor.now
        executor.perform { events = pending.attach(self) }
    }

    // MARK: What comes

    package func write(_ list: [ByteBuffer]) {
        if closedByNode { breaches.append(Breach(.sessionOrder, "written to after the close")) }
        // The node has not heard yet that the client is gone.
        guard closeCode == nil else { return }
        for buffer in list {
            if !isWritable { stuckBytes += buffer.readableBytes }
            let frame: ServerFrame
            do {
                frame = try ServerFrame(parsing: buffer)
            } catch {
                breaches.append(Breach(.invariant, "a frame cannot be parsed: \(error.detail)"))
                continue
            }
            take(frame)
        }
    }

    private func take(_ frame: ServerFrame) {
        if frames.isEmpty, case .welcome(let said) = frame { welcome = said }
        frames.append(frame)
        switch frame {
        case .message(let n, let message):
            judge(n, message)
            messages.append(message)
            if acknowledges { acknowledge(n) }
        case .accepted(let answer):
            accepted.append(answer)
            unanswered[answer.id] = nil
        case .error(let error):
            errors.append(error)
            if let id = error.id { unanswered[id] = nil }
        case .presence(let told):
            if !watched.contains(told.user) { breaches.append(Breach(.presence, "told of \(told.user) unasked")) }
            if presence[told.user]?.isOnline == told.status.isOnline {
                breaches.append(Breach(.presence, "told twice: \(told)"))
            }
            presence[told.user] = told.status
        case .subscribed(let answer):
            guard let id = answer.id, let list = lists[id] else {
                breaches.append(Breach(.presence, "an answer to nothing: \(answer)"))
                break
            }
            refusedToWatch = answer.refused
            watches = list.filter { !answer.refused.contains($0) }
            presence = presence.filter { watches.contains($0.key) }
        case .caughtUp(let incomplete):
            if !incomplete { caughtUps += 1 }
            if caughtUps > 1 { breaches.append(Breach(.sessionOrder, "caught up twice")) }
            isCaughtUp = caughtUps > 0
        default: break
        }
        onFrame?(frame)
    }

    private func judge(_ n: UInt64, _ message: Message) {
        func demand(_ holds: Bool, _ promise: Promise, _ text: @autoclosure () -> String) {
            if !holds { breaches.append(Breach(promise, text())) }
        }
        demand(n == lastNumber + 1, .sessionOrder, "delivery \(n) after \(lastNumber)")
        lastNumber = n
        let before = lastSeqs[message.conversation] ?? 0
        demand(message.seq > before, .sessionOrder, "\(message.conversation): seq \(message.seq) after \(before)")
        lastSeqs[message.conversation] = message.seq
        let isOwn = message.originDevice == welcome?.device && message.sender == welcome?.user
        demand(!isOwn, .sessionOrder, "\(message.conversation): sent its own \(message.seq)")
        let outstanding = lastNumber - acknowledged
        demand(outstanding <= UInt64(window), .boundedMemory, "\(outstanding) outstanding of \(window)")
    }

    package func close(code: UInt16, reason: String) {
        closedByNode = true
        ended(code)
    }
    package func setReading(_ reading: Bool) { isRead = reading }

    /// The socket's buffer is full from now on, or has room again.
    package func setWritable(_ writable: Bool) {
        isWritable = writable
        executor.perform { events?.writabilityChanged() }
    }

    package func ping(_ payload: ByteBuffer) {
        let isOwing = owedPong != nil
        owedPong = payload
        if answersLastPingOnly && isOwing { return }
        executor.schedule(after: executor.random(100_000...3_000_000)) { [weak self] in
            guard let self, self.closeCode == nil else { return }
            let answer = self.answersLastPingOnly ? self.owedPong ?? payload : payload
            self.owedPong = nil
            self.gate.pass { self.events?.pong(answer) }
        }
    }

    // MARK: What goes

    private func acknowledge(_ n: UInt64) {
        executor.schedule(after: executor.random(acknowledgeAfter)) { [weak self] in self?.sendAck(n) }
    }

    private func sendAck(_ n: UInt64) {
        acknowledged = max(acknowledged, n)
        sendFrames([ByteBuffer(string: "{\"op\":\"ack\",\"n\":\(n)}")])
    }

    package func watch(_ users: [UserID], id: MessageID) {
        watched.formUnion(users)
        lists[id] = users
        var buffer = ByteBuffer()
        ClientFrame.subscribe(ClientSubscription(id: id, users: users)).write(into: &buffer)
        executor.perform { sendFrames([buffer]) }
    }

    package func renew(_ token: String, id: MessageID? = nil) {
        var buffer = ByteBuffer()
        ClientFrame.token(ClientToken(id: id, token: token)).write(into: &buffer)
        executor.perform { sendFrames([buffer]) }
    }

    /// Everything delivered so far.
    package func acknowledgeAll() {
        executor.perform { sendAck(lastNumber) }
    }

    private func sendFrames(_ list: [ByteBuffer]) {
        guard closeCode == nil else { return }
        gate.pass { [weak self] in self?.events?.received(list) }
    }

    /// Frames that arrive in one read.
    package func send(_ list: [ClientSend]) {
        for send in list { if let id = send.id { unanswered[id] = (executor.now, gate.paused) } }
        let buffers = list.map { send in
            var buffer = ByteBuffer()
            ClientFrame.send(send).write(into: &buffer)
            return buffer
        }
        executor.perform { sendFrames(buffers) }
    }

    package func send(id: MessageID, to conversation: ConversationID, text: String) {
        send([ClientSend(id: id, conversation: conversation, content: ByteBuffer(string: "\"\(text)\""))])
    }

    package func send(id: MessageID, toUser user: String, text: String) {
        send([ClientSend(id: id, conversation: nil, toUser: user, content: ByteBuffer(string: "\"\(text)\""))])
    }

    /// For how long the oldest send has been without an answer, in nanoseconds of the node's running.
    package var longestWait: UInt64 {
        guard closeCode == nil else { return 0 }
        let paused = gate.paused
        return unanswered.values.reduce(0) { max($0, executor.now - $1.sent - (paused - $1.paused)) }
    }

    // MARK: Its end

    private func ended(_ code: UInt16) {
        guard closeCode == nil else { return }
        closeCode = code
        endedAt = executor.now
        onClose?(code)
    }

    /// The client goes away.
    package func disconnect() {
        ended(1006)
        executor.perform { gate.pass { [weak self] in self?.events?.closed() } }
    }

    /// The client goes away without a word: the node notices by silence, or by the device's next session.
    package func vanish() { ended(1006) }

    /// The node went away, and tells nothing any more.
    package func lost() { ended(1006) }
}
