import NIOCore
import RoostCluster
import RoostModel
import RoostProtocol

/// One session: a device's connection to this node. Checks what the client sends, proposes it in order, and writes what
/// the delivery window lets through.
actor Device {
    nonisolated let context: NodeContext
    nonisolated let node: Node
    nonisolated let slot: UInt32
    nonisolated let session: SessionID
    nonisolated let generation: Generation
    nonisolated let request: SessionRequest
    nonisolated let startAt: Int64
    nonisolated var unownedExecutor: UnownedSerialExecutor { context.executor.asUnownedSerialExecutor() }

    var socket: (any SessionSocket)?
    /// A socket that takes nothing is given no more messages, and one that was given so many bytes of answers since
    /// then is not read.
    static let maxBufferedBytes = 262_144
    private var outbound: [ByteBuffer] = []
    private var outboundBytes = 0
    /// Written since the socket's buffer was full.
    private var stuckBytes = 0
    private var marked = false
    var window: DeliveryWindow
    private var windowActions: [DeliveryWindow.Action] = []

    // Sends.
    var pipelines: [ConversationID: SendPipeline] = [:]
    /// Where new pipelines begin: above all that were forgotten.
    var firstRun: UInt32 = 1
    /// Sends that wait until it is known that the other user exists.
    var held: [ConversationID: [HeldSend]] = [:]
    var barriers = SendBarriers()
    var pendingSends = 0
    /// Why the socket is not read: too many sends without an answer; a client that does not read its answers.
    var pausedBySends = false
    private var pausedByAnswers = false
    private var isReading = true
    var messageIDs: SeededGenerator
    var messageRate = MessageRate()

    var token: SessionTokenState

    // Presence.
    var presenceCheck = PresenceCheck()
    var presenceTimer: (any ScheduledTimer)?

    // Liveness.
    private var timer: (any ScheduledTimer)?
    private var tokenTimer: (any ScheduledTimer)?
    private var writeTimer: (any ScheduledTimer)?
    private var heardSinceHeartbeat = true
    /// Of heartbeats, barriers and acknowledgements alike: a client may answer only the last of several.
    private var lastPing: UInt64 = 0
    /// The ping behind which a delivery is acknowledged, and its number.
    private var acknowledging: (ping: UInt64, n: UInt64)?
    private var saidIncomplete = false
    /// Some partition has had no leader for too long to wait for it.
    private var isLateToOpen = false

    init(
        slot: UInt32, session: SessionID, generation: Generation, startAt: Int64, request: SessionRequest,
        socket: any SessionSocket, node: Node, context: NodeContext
    ) {
        self.slot = slot
        self.session = session
        self.generation = generation
        self.startAt = startAt
        self.request = request
        self.socket = socket
        self.node = node
        self.context = context
        window = DeliveryWindow(
            size: context.configuration.limits.window, planted: context.configuration.planted)
        messageIDs = SeededGenerator(seed: session.value)
        token = SessionTokenState(request)
    }

    nonisolated var subscription: SubscribedSession {
        SubscribedSession(
            slot: slot, session: session, generation: generation, user: request.user, device: request.device,
            startAt: startAt)
    }

    func start() {
        if request.modern {
            var frame = ByteBuffer()
            WelcomeFrame(
                session: session, node: context.id, user: request.user, device: request.device,
                heartbeat: context.configuration.timing.heartbeatSeconds,
                maxFrame: context.configuration.limits.maxFrame, window: context.configuration.limits.window
            ).write(into: &frame)
            write(frame)
        }
        scheduleHeartbeat()
    }

    // MARK: Writing

    func write(_ frame: ByteBuffer) {
        guard socket != nil else { return }
        outbound.append(frame)
        outboundBytes += frame.readableBytes
        if outboundBytes >= Self.maxBufferedBytes { window.hold() }
        mark()
    }

    private func mark() {
        guard !marked else { return }
        marked = true
        node.onCore { $0.markDevice(self) }
    }

    /// End of the turn: everything gathered goes out with one flush.
    func flush() {
        marked = false
        guard let socket, !outbound.isEmpty else { return }
        let frames = outbound
        let bytes = outboundBytes
        outbound.removeAll(keepingCapacity: true)
        outboundBytes = 0
        socket.write(frames)
        if !socket.isWritable { stuckBytes += bytes }
        judgeRoom()
        if barriers.needsPing { ping() }
        acknowledgeByPong()
    }

    private func ping() {
        lastPing += 1
        barriers.wrote(ping: lastPing)
        socket?.ping(ByteBuffer(integer: lastPing))
    }

    /// Messages are held back while the socket's buffer is full; they come from the log once it is not.
    private func judgeRoom() {
        guard let socket else { return }
        if socket.isWritable {
            stuckBytes = 0
            if outboundBytes < Self.maxBufferedBytes {
                window.release(into: &windowActions)
                performWindowActions()
            }
        } else {
            window.hold()
        }
        pausedByAnswers = stuckBytes >= Self.maxBufferedBytes
        judgeReading()
    }

    func judgeReading() {
        let wanted = !pausedBySends && !pausedByAnswers
        guard wanted != isReading else { return }
        isReading = wanted
        socket?.setReading(wanted)
    }

    /// Closes the socket from this side; `ended` follows when it is gone.
    func close(code: UInt16, reason: String) {
        guard let socket else { return }
        flush()
        end()
        socket.close(code: code, reason: reason)
    }

    private func end() {
        guard socket != nil else { return }
        socket = nil
        timer?.cancel()
        timer = nil
        tokenTimer?.cancel()
        tokenTimer = nil
        writeTimer?.cancel()
        writeTimer = nil
        presenceTimer?.cancel()
        presenceTimer = nil
        outbound.removeAll()
        held.removeAll()
        // The device sends again what was not answered, maybe elsewhere: what is left of this session must not go on
        // beside it, and a later send of it not overtake an earlier one that ran out of time.
        let calls = pipelines.values.flatMap { $0.unanswered.map(\.call) }.sorted()
        pipelines.removeAll()
        node.onCore {
            $0.giveUp(calls)
            $0.sessionEnded(self)
        }
    }

    /// Whether the socket has room, and nothing of more weight wants it.
    var hasRoomForPresence: Bool {
        guard let socket, socket.isWritable, outbound.isEmpty else { return false }
        return (window.isCaughtUp || isLateToOpen) && !(window.hasRoom && window.hasBacklog)
    }

    // MARK: Delivery

    /// A message from a stream. `tail` is the frame after its delivery number, encoded once for all receivers.
    func deliver(_ message: Message, cursor: UInt64, tail: ByteBuffer) {
        guard socket != nil else { return }
        let own = isOwn(message)
        let decision = window.offer(
            conversation: message.conversation, seq: message.seq, cursor: cursor, own: own, into: &windowActions)
        if case .write(let n) = decision { writeMessage(n, tail) }
        performWindowActions()
    }

    private func isOwn(_ message: Message) -> Bool {
        message.originDevice == request.device && message.sender == request.user
    }

    private func writeMessage(_ n: UInt64, _ tail: ByteBuffer) {
        var frame = ByteBuffer()
        MessageFrame.write(n: n, tail: tail, into: &frame)
        context.counters.delivered.increment()
        write(frame)
    }

    func unread(_ conversation: ConversationID, cursor: UInt64, head: UInt64, lost: ClosedRange<UInt64>?) {
        if let lost { skip(conversation, cursor: cursor, lost) }
        window.unread(conversation: conversation, cursor: cursor, head: head, into: &windowActions)
        performWindowActions()
    }

    private func skip(_ conversation: ConversationID, cursor: UInt64, _ lost: ClosedRange<UInt64>) {
        guard let told = window.skip(conversation: conversation, cursor: cursor, lost: lost, into: &windowActions)
        else { return }
        var frame = ByteBuffer()
        SkippedFrame(conversation: conversation, from: told.lowerBound, to: told.upperBound).write(into: &frame)
        write(frame)
    }

    /// Every partition has answered.
    func opened() {
        window.opened(into: &windowActions)
        performWindowActions()
    }

    /// Some partition has had no leader for too long: the client may go on with what it has.
    func openIncomplete() {
        isLateToOpen = true
        guard request.modern, !window.isCaughtUp, !saidIncomplete else { return }
        saidIncomplete = true
        var frame = ByteBuffer()
        CaughtUpFrame(incomplete: true).write(into: &frame)
        write(frame)
    }

    private func performWindowActions() {
        while !windowActions.isEmpty {
            let batch = windowActions
            windowActions.removeAll(keepingCapacity: true)
            for action in batch {
                switch action {
                case .advance(let conversation, let seq):
                    let advance = CursorAdvance(
                        user: request.user, device: request.device, conversation: conversation, seq: seq)
                    node.onCore { $0.acknowledged(advance) }
                case .caughtUp:
                    guard request.modern else { continue }
                    var frame = ByteBuffer()
                    CaughtUpFrame().write(into: &frame)
                    write(frame)
                case .read(let conversation, let after, let limit):
                    node.onCore {
                        $0.backlog(conversation, user: self.request.user, after: after, limit: limit) {
                            [weak self] backlog in
                            self?.onCore { $0.backlogRead(conversation, after: after, backlog) }
                        }
                    }
                }
            }
        }
    }

    private func backlogRead(_ conversation: ConversationID, after: UInt64, _ backlog: Backlog?) {
        guard socket != nil else { return }
        guard let backlog, backlog.through > after || !backlog.messages.isEmpty || backlog.lost != nil else {
            // It could not be read just now (no leader, storage busy), or whoever was asked is behind: again, later.
            _ = context.after(milliseconds: 200) { [weak self] in
                self?.onCore { $0.endRead(conversation, through: nil, last: after) }
            }
            return
        }
        if let lost = backlog.lost { skip(conversation, cursor: after, lost) }
        for message in backlog.messages {
            let decision = window.readMessage(
                conversation: conversation, seq: message.seq, own: isOwn(message), into: &windowActions)
            if case .write(let n) = decision {
                context.counters.redelivered.increment()
                writeMessage(n, MessageFrame.encodeTail(message))
            }
        }
        endRead(conversation, through: backlog.through, last: backlog.messages.last?.seq ?? after)
    }

    private func endRead(_ conversation: ConversationID, through: UInt64?, last: UInt64) {
        guard socket != nil else { return }
        window.readEnded(conversation: conversation, through: through, last: last, into: &windowActions)
        performWindowActions()
    }

    // MARK: Acknowledgements

    /// False where `n` was never sent.
    func acknowledge(_ n: UInt64) -> Bool {
        let before = window.unacknowledged
        guard window.acknowledge(n, into: &windowActions) else { return false }
        context.counters.acknowledged.increment(by: UInt64(before - window.unacknowledged))
        performWindowActions()
        return true
    }

    /// `ack=auto`: a pong proves that everything written before its ping has arrived.
    private func acknowledgeByPong() {
        guard !request.clientAcks, acknowledging == nil, window.unacknowledged > 0, socket != nil else { return }
        ping()
        acknowledging = (lastPing, window.lastNumber)
    }

    // MARK: Liveness

    private func scheduleHeartbeat() {
        timer = context.after(milliseconds: context.configuration.timing.heartbeatSeconds * 1_000) { [weak self] in
            self?.onCore { $0.heartbeat() }
        }
        scheduleTokenTimer()
    }

    /// Where there is something to do about the token before the next heartbeat.
    func scheduleTokenTimer() {
        tokenTimer?.cancel()
        tokenTimer = nil
        let due = max(0, tokenDue)
        guard socket != nil, due < Double(context.configuration.timing.heartbeatSeconds) else { return }
        tokenTimer = context.after(milliseconds: Int(due * 1_000) + 1) { [weak self] in
            self?.onCore { device in
                if device.judgeToken() { device.scheduleTokenTimer() }
            }
        }
    }

    private func heartbeat() {
        guard socket != nil, judgeToken() else { return }
        guard heardSinceHeartbeat else {
            close(code: 4408, reason: "no answer to a ping")
            return
        }
        heardSinceHeartbeat = false
        // What was written before it goes out first.
        flush()
        ping()
        scheduleHeartbeat()
    }

    private func writability() {
        guard let socket else { return }
        judgeRoom()
        writeTimer?.cancel()
        writeTimer = nil
        guard !socket.isWritable else { return }
        writeTimer = context.after(milliseconds: context.configuration.timing.writeTimeoutMilliseconds) { [weak self] in
            self?.onCore { device in
                guard let socket = device.socket, !socket.isWritable else { return }
                device.close(code: 4408, reason: "the socket took nothing for too long")
            }
        }
    }

    private func socketPong(_ payload: ByteBuffer) {
        heardSinceHeartbeat = true
        guard let ping = payload.getInteger(at: payload.readerIndex, as: UInt64.self), ping <= lastPing else { return }
        barriers.pong(ping)
        guard let known = acknowledging, known.ping <= ping else { return }
        acknowledging = nil
        _ = acknowledge(known.n)
        // The next ping stands behind all that is gathered: `flush` writes it.
        if outbound.isEmpty { acknowledgeByPong() }
    }

    private func socketReceived(_ frames: [ByteBuffer]) {
        heardSinceHeartbeat = true
        for frame in frames where socket != nil { handle(frame) }
    }
}

/// The socket's side: called on the core executor.
extension Device: SessionEvents {
    package nonisolated func received(_ frames: [ByteBuffer]) { onCore { $0.socketReceived(frames) } }
    package nonisolated func pong(_ payload: ByteBuffer) { onCore { $0.socketPong(payload) } }
    package nonisolated func writabilityChanged() { onCore { $0.writability() } }
    package nonisolated func closed() { onCore { $0.end() } }
}
