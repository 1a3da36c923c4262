package import NIOCore
package import RoostModel
package import RoostNode
package import RoostProtocol

/// A device's connection in a simulation: takes frames in as a client would, and acknowledges by itself.
package final class SimulationSession: SessionSocket, @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    private let executor: SimulationExecutor
    package private(set) var events: (any SessionEvents)?
    package private(set) var frames: [ServerFrame] = []
    package private(set) var messages: [Message] = []
    package private(set) var accepted: [AcceptedFrame] = []
    package private(set) var errors: [ServerError] = []
    package private(set) var closeCode: UInt16?
    package private(set) var isCaughtUp = false
    package var acknowledges = true
    package let isWritable = true

    package init(executor: SimulationExecutor) { self.executor = executor }

    package func attach(_ pending: any PendingSession) {
        executor.perform { events = pending.attach(self) }
    }

    package func write(_ list: [ByteBuffer]) {
        for buffer in list {
            let frame: ServerFrame
            do { frame = try ServerFrame(parsing: buffer) } catch { continue }
            frames.append(frame)
            switch frame {
            case .message(let n, let message):
                messages.append(message)
                if acknowledges { acknowledge(n) }
            case .accepted(let answer): accepted.append(answer)
            case .error(let error): errors.append(error)
            case .caughtUp: isCaughtUp = true
            default: break
            }
        }
    }

    private func acknowledge(_ n: UInt64) {
        executor.schedule(after: executor.random(100_000...3_000_000)) { [weak self] in
            self?.sendFrame(ByteBuffer(string: "{\"op\":\"ack\",\"n\":\(n)}"))
        }
    }

    private func sendFrame(_ frame: ByteBuffer) {
        guard closeCode == nil else { return }
        events?.received([frame])
    }

    package func send(id: MessageID, to conversation: ConversationID, text: String) {
        let frame = ByteBuffer(
            string: "{\"op\":\"send\",\"id\":\"\(id)\",\"conversation_id\":\"\(conversation)\",\"content\":\"\(text)\"}"
        )
        executor.perform { sendFrame(frame) }
    }

    package func send(id: MessageID, toUser user: String, text: String) {
        let frame = ByteBuffer(
            string: "{\"op\":\"send\",\"id\":\"\(id)\",\"to_user\":\"\(user)\",\"content\":\"\(text)\"}")
        executor.perform { sendFrame(frame) }
    }

    package func ping(_ payload: ByteBuffer) {
        executor.schedule(after: executor.random(100_000...3_000_000)) { [weak self] in
            guard let self, self.closeCode == nil else { return }
            self.events?.pong(payload)
        }
    }

    package func close(code: UInt16, reason: String) { closeCode = code }
    package func setReading(_ reading: Bool) {}

    /// The client goes away.
    package func disconnect() {
        closeCode = closeCode ?? 1006
        executor.perform { events?.closed() }
    }
}
