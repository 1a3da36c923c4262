package import NIOCore
package import RoostModel
package import RoostNode
package import RoostProtocol

/// A device's connection in a simulation: takes frames in as a client would, acknowledges by itself, and judges what it
/// is sent: numbers without gaps, every conversation in order, no more than a window outstanding.
package final class SimulationSession: SessionSocket, @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    private let executor: SimulationExecutor
    /// Most that may be outstanding.
    private let window: Int
    package private(set) var events: (any SessionEvents)?
    package private(set) var frames: [ServerFrame] = []
    package private(set) var messages: [Message] = []
    package private(set) var accepted: [AcceptedFrame] = []
    package private(set) var errors: [ServerError] = []
    package private(set) var closeCode: UInt16?
    package private(set) var welcome: WelcomeFrame?
    package private(set) var isCaughtUp = false
    package private(set) var caughtUps = 0
    /// Breaches of what a session is promised.
    package private(set) var violations: [String] = []
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
    private var acknowledged: UInt64 = 0
    private var lastSeqs: [ConversationID: UInt64] = [:]

    package init(executor: SimulationExecutor, window: Int = 256) {
        self.executor = executor
        self.window = window
    }

    package func attach(_ pending: any PendingSession) {
        executor.perform { events = pending.attach(self) }
    }

    // MARK: What comes

    package func write(_ list: [ByteBuffer]) {
        if closeCode != nil { violations.append("written to after the close") }
        for buffer in list {
            if !isWritable { stuckBytes += buffer.readableBytes }
            let frame: ServerFrame
            do {
                frame = try ServerFrame(parsing: buffer)
            } catch {
                violations.append("a frame cannot be parsed: \(error.detail)")
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
        case .accepted(let answer): accepted.append(answer)
        case .error(let error): errors.append(error)
        case .caughtUp(let incomplete):
            if !incomplete { caughtUps += 1 }
            if caughtUps > 1 { violations.append("caught up twice") }
            isCaughtUp = caughtUps > 0
        default: break
        }
        onFrame?(frame)
    }

    private func judge(_ n: UInt64, _ message: Message) {
        if n != lastNumber + 1 { violations.append("delivery \(n) after \(lastNumber)") }
        lastNumber = n
        let before = lastSeqs[message.conversation] ?? 0
        if message.seq <= before { violations.append("\(message.conversation): seq \(message.seq) after \(before)") }
        lastSeqs[message.conversation] = message.seq
        if let welcome, message.originDevice == welcome.device, message.sender == welcome.user {
            violations.append("\(message.conversation): sent its own \(message.seq)")
        }
        if lastNumber - acknowledged > UInt64(window) { violations.append("\(lastNumber - acknowledged) outstanding") }
    }

    package func close(code: UInt16, reason: String) { ended(code) }
    package func setReading(_ reading: Bool) { isRead = reading }

    /// The socket's buffer is full from now on, or has room again.
    package func setWritable(_ writable: Bool) {
        isWritable = writable
        executor.perform { events?.writabilityChanged() }
    }

    package func ping(_ payload: ByteBuffer) {
        executor.schedule(after: executor.random(100_000...3_000_000)) { [weak self] in
            guard let self, self.closeCode == nil else { return }
            self.events?.pong(payload)
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

    /// Everything delivered so far.
    package func acknowledgeAll() {
        executor.perform { sendAck(lastNumber) }
    }

    private func sendFrames(_ list: [ByteBuffer]) {
        guard closeCode == nil else { return }
        events?.received(list)
    }

    /// Frames that arrive in one read.
    package func send(_ list: [ClientSend]) {
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

    // MARK: Its end

    private func ended(_ code: UInt16) {
        guard closeCode == nil else { return }
        closeCode = code
        onClose?(code)
    }

    /// The client goes away.
    package func disconnect() {
        ended(1006)
        executor.perform { events?.closed() }
    }

    /// The node went away, and tells nothing any more.
    package func lost() { ended(1006) }
}
