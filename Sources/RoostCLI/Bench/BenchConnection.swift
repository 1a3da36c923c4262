internal import NIOCore
internal import RoostClient
internal import RoostModel
internal import RoostProtocol

/// One WebSocket of the load: sends, receives, acknowledges, and connects again. Lives on its loop.
final class BenchConnection: @unchecked Sendable {
    private static let ackBatch: UInt64 = 64
    private static let reconnectMilliseconds: ClosedRange<Int64> = 50...300

    let endpoint: BenchPlan.Endpoint
    private unowned let loop: BenchLoop
    private var channel: (any Channel)?
    /// Raised by each dial: what an earlier connection says is not heard.
    private var attempt = 0
    /// The channel's handler holds it weakly.
    private var delegate: BenchDelegate?
    private var early: [ByteBuffer] = []
    private var caughtUp = false
    /// In some session.
    private var wasReady = false
    private(set) var sender: BenchSender?
    /// By sender.
    private(set) var flows: [Int: BenchFlow] = [:]
    private var lastSeq: [ConversationID: UInt64] = [:]
    /// `lastSeq` when the connection was last lost.
    private var resumedAbove: [ConversationID: UInt64] = [:]
    /// Of this session.
    private var sessionSeq: [ConversationID: UInt64] = [:]
    private var deliveredNumber: UInt64 = 0
    private var ackedNumber: UInt64 = 0
    private var ackDue: UInt64 = .max
    /// Of those that do nothing: as the client library waits.
    private var backoff = Backoff(min: SessionOptions().minBackoff, max: SessionOptions().maxBackoff)
    private var random: any RandomNumberGenerator & Sendable = SystemRandomNumberGenerator()
    /// Servers tried in a row.
    private var tries = 0

    init(endpoint: BenchPlan.Endpoint, loop: BenchLoop) {
        self.endpoint = endpoint
        self.loop = loop
        if case .sender(let conversation) = endpoint.role {
            sender = BenchSender(number: conversation, settings: loop.settings)
        }
    }

    var isReady: Bool { caughtUp }
    var openSends: Int { sender?.open.count ?? 0 }

    func dial() {
        attempt += 1
        let attempt = attempt
        let settings = loop.settings
        let user = settings.users[endpoint.user]
        let server = settings.servers[nextServer()]
        let request = DialRequest(
            server: server, tls: settings.tls, target: "/api/ws/\(user.userID)?device_id=\(endpoint.device)",
            protocols: "roost.v1, \(user.token)", randomMask: false)
        let delegate = BenchDelegate(connection: self, attempt: attempt)
        WebSocketDialer.dial(request, on: loop.eventLoop, delegate: delegate).whenComplete { [self] result in
            loop.dialEnded()
            guard attempt == self.attempt, !loop.isOver else {
                if case .success(let channel) = result { channel.close(promise: nil) }
                return
            }
            switch result {
            case .success(let channel):
                self.channel = channel
                received(early)
                early = []
                if !channel.isActive { lost("the connection broke") }
            case .failure(let error):
                loop.progress.failedDials += 1
                loop.progress.lastError = "\(server): \(error)"
                guard case .refused(_, _, let seconds?)? = error as? DialError else { return dialAgain() }
                loop.progress.putOff += 1
                dialAgain(atLeast: seconds * 1_000)
            }
        }
        self.delegate = delegate
    }

    /// First its own; then, with each try, the next of the others. One that is not to come back to its own tries that
    /// until it has been there.
    private func nextServer() -> Int {
        defer { tries += 1 }
        if !endpoint.alternatives.contains(endpoint.server), !endpoint.alternatives.isEmpty {
            return wasReady ? endpoint.alternatives[tries % endpoint.alternatives.count] : endpoint.server
        }
        let servers = [endpoint.server] + endpoint.alternatives
        return servers[tries % servers.count]
    }

    private func dialAgain(atLeast: Int? = nil) {
        var delay = Int64.random(in: Self.reconnectMilliseconds)
        if case .idle = endpoint.role { delay = Int64(backoff.next(atLeast: atLeast, using: &random)) }
        loop.eventLoop.scheduleTask(in: .milliseconds(delay)) { [weak self] in
            guard let self else { return }
            self.loop.requestDial(self)
        }
    }

    private func lost(_ reason: String) {
        guard channel != nil else { return }
        channel = nil
        caughtUp = false
        early = []
        resumedAbove = lastSeq
        sessionSeq = [:]
        deliveredNumber = 0
        ackedNumber = 0
        ackDue = .max
        sender?.disconnected()
        guard !loop.isOver else { return }
        loop.progress.reconnects += 1
        loop.progress.lastError = reason
        dialAgain()
    }

    func close() {
        channel?.close(promise: nil)
        channel = nil
    }

    /// The end of it is heard as that of any other.
    func drop() { channel?.close(promise: nil) }

    fileprivate func heard(_ messages: [ByteBuffer], attempt: Int) {
        guard attempt == self.attempt else { return }
        if channel == nil { early += messages } else { received(messages) }
    }

    fileprivate func closed(code: UInt16?, reason: String, attempt: Int) {
        guard attempt == self.attempt else { return }
        lost("closed with \(code.map(String.init) ?? "no code") \(reason)")
    }

    private func received(_ messages: [ByteBuffer]) {
        guard !messages.isEmpty else { return }
        let now = BenchLoop.now
        for text in messages {
            guard let frame = try? ServerFrame(parsing: text) else {
                loop.progress.lastError = "a frame can't be read"
                continue
            }
            switch frame {
            case .message(let n, let message):
                judge(n, message)
                deliveredNumber = n
                took(message, now: now)
            case .accepted(let accepted):
                guard let dueAt = sender?.accepted(accepted.id) else { continue }
                let receivers = loop.settings.plan.conversations[sender?.number ?? 0].receivers
                loop.accepted(dueAt: dueAt, now: now, receivers: receivers)
            case .error(let error):
                loop.progress.lastError = "\(error.codeText): \(error.detail)"
                if error.retryable { loop.progress.retries += 1 } else { loop.progress.refused += 1 }
                sender?.refused(error, now: now)
            case .caughtUp(let incomplete):
                guard !incomplete else { continue }
                caughtUp = true
                wasReady = true
                backoff.succeeded()
            case .welcome, .skipped, .presence, .subscribed, .tokenExpiring, .tokenAccepted, .unknown: break
            }
        }
        acknowledge(now: now, force: false)
        topUp(now: now)
    }

    /// Within a session `n` counts 1, 2, 3 … and `seq` rises in each conversation.
    private func judge(_ n: UInt64, _ message: Message) {
        let former = sessionSeq[message.conversation] ?? 0
        sessionSeq[message.conversation] = max(former, message.seq)
        guard n != deliveredNumber + 1 || message.seq <= former else { return }
        loop.broke(
            "device \(endpoint.device) of user \(endpoint.user): n \(n) after \(deliveredNumber), seq \(message.seq) "
                + "after \(former) in \(message.conversation)")
    }

    private func took(_ message: Message, now: UInt64) {
        let conversation = message.conversation
        let before = lastSeq[conversation] ?? 0
        lastSeq[conversation] = max(before, message.seq)
        guard let content = BenchContent(message.content), content.run == loop.settings.run else { return }
        if flows[content.sender]?.contains(content.counter) == true, message.seq <= resumedAbove[conversation] ?? 0 {
            loop.progress.redelivered += 1
            return
        }
        switch flows[content.sender, default: BenchFlow()].receive(content.counter) {
        case .new, .outOfOrder: loop.delivered(dueAt: content.dueAt, now: now)
        case .duplicate: break
        }
    }

    private func acknowledge(now: UInt64, force: Bool) {
        guard deliveredNumber > ackedNumber, let channel else { return }
        guard force || deliveredNumber - ackedNumber >= Self.ackBatch else {
            if ackDue == .max { ackDue = now + BenchLoop.ackMilliseconds * 1_000_000 }
            return
        }
        ackedNumber = deliveredNumber
        ackDue = .max
        var frame = ByteBuffer()
        ClientFrame.ack(ackedNumber).write(into: &frame)
        channel.write(frame, promise: nil)
        channel.flush()
    }

    func tick(now: UInt64) {
        if now >= ackDue { acknowledge(now: now, force: true) }
        if sender != nil { topUp(now: now) }
    }

    func startSending(now: UInt64) {
        sender?.startSending()
        topUp(now: now)
    }

    /// Writes as many sends as window or rate allow, in one flush.
    func topUp(now: UInt64) {
        guard caughtUp, let channel, sender != nil else { return }
        var frames: [ByteBuffer] = []
        let written =
            sender?.next(
                now: now, since: loop.sendingSince, isSending: loop.isSending, into: &frames) ?? (new: 0, again: 0)
        loop.progress.sent += UInt64(written.new)
        loop.progress.retries += UInt64(written.again)
        guard !frames.isEmpty else { return }
        for frame in frames { channel.write(frame, promise: nil) }
        channel.flush()
    }
}

/// Ties a connection's words to the attempt that opened it.
private final class BenchDelegate: WebSocketDelegate, @unchecked Sendable {
    private weak var connection: BenchConnection?
    private let attempt: Int

    init(connection: BenchConnection, attempt: Int) {
        self.connection = connection
        self.attempt = attempt
    }

    func webSocketReceived(_ messages: [ByteBuffer]) { connection?.heard(messages, attempt: attempt) }
    func webSocketClosed(code: UInt16?, reason: String) {
        connection?.closed(code: code, reason: reason, attempt: attempt)
    }
    func webSocketWritabilityChanged(_ writable: Bool) {}
}
