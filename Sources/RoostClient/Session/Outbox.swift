package import NIOCore
package import RoostModel
internal import RoostProtocol

/// A send on its way out: the frame is written again as it is until it is answered.
package struct OutgoingSend: Sendable, Equatable {
    package var id: MessageID
    /// The conversation or the user: sends to one target keep their order.
    package var target: String
    package var frame: ByteBuffer

    package init(id: MessageID, target: String, frame: ByteBuffer) {
        self.id = id
        self.target = target
        self.frame = frame
    }
}

/// Sends not answered yet, in order. What a lost connection or a retryable refusal left open is written again with its
/// id, per target in order.
struct Outbox: Sendable {
    private struct Entry {
        var send: OutgoingSend
        var inFlight = false
        var refusals = 0
        var deadline: UInt64
    }

    private let timeout: UInt64
    private let maxSends: Int
    private let maxInFlight: Int
    private var entries: [Entry] = []
    private var inFlight = 0
    /// Targets that wait after a refusal: until the time, and until nothing of theirs is under way.
    private var holds: [String: UInt64] = [:]

    init(_ options: SessionOptions) {
        timeout = options.sendTimeout
        maxSends = options.maxSends
        maxInFlight = options.maxInFlight
    }

    var count: Int { entries.count }
    /// Entries stand in the order of their deadlines, since all have the same timeout.
    var nextTimeout: UInt64? { entries.first?.deadline }
    /// When a waiting target may go on; those with something under way are woken by its answer.
    var nextRelease: UInt64? { holds.filter { !hasInFlight($0.key) }.values.min() }

    /// Returns why it is not taken.
    mutating func add(_ send: OutgoingSend, now: UInt64) -> RoostError? {
        guard entries.count < maxSends else {
            return RoostError(.overloaded, "\(maxSends) sends wait already", retryable: true)
        }
        guard !entries.contains(where: { $0.send.id == send.id }) else {
            return RoostError(.idReused, "a send with this id is under way")
        }
        entries.append(Entry(send: send, deadline: now + timeout))
        return nil
    }

    mutating func disconnected() {
        for index in entries.indices { entries[index].inFlight = false }
        inFlight = 0
    }

    private func hasInFlight(_ target: String) -> Bool {
        entries.contains { $0.inFlight && $0.send.target == target }
    }

    /// Writes what may be written.
    mutating func pump(now: UInt64, into actions: inout [ConnectionMachine.Action]) {
        if !holds.isEmpty {
            holds = holds.filter { target, until in now < until || hasInFlight(target) }
        }
        guard inFlight < entries.count else { return }
        for index in entries.indices where !entries[index].inFlight && inFlight < maxInFlight {
            guard holds[entries[index].send.target] == nil else { continue }
            entries[index].inFlight = true
            inFlight += 1
            actions.append(.write(entries[index].send.frame))
        }
    }

    private mutating func remove(_ id: MessageID) -> Entry? {
        guard let index = entries.firstIndex(where: { $0.send.id == id }) else { return nil }
        let entry = entries.remove(at: index)
        if entry.inFlight { inFlight -= 1 }
        return entry
    }

    mutating func accepted(_ frame: AcceptedFrame, into actions: inout [ConnectionMachine.Action]) {
        guard remove(frame.id) != nil else { return }
        actions.append(.answer(frame.id, .success(frame)))
    }

    /// Returns the error where it answers none of the sends.
    mutating func refused(
        _ error: ServerError, now: UInt64, random: inout any RandomNumberGenerator & Sendable,
        into actions: inout [ConnectionMachine.Action]
    ) -> RoostError? {
        let failure = RoostError(
            .init(rawValue: error.codeText), error.detail, retryable: error.retryable,
            retryAfterMilliseconds: error.retryAfterMilliseconds.map { Int($0) })
        guard let id = error.id, let index = entries.firstIndex(where: { $0.send.id == id }) else { return failure }
        guard error.retryable else {
            _ = remove(id)
            actions.append(.answer(id, .failure(failure)))
            return nil
        }
        if entries[index].inFlight { inFlight -= 1 }
        entries[index].inFlight = false
        entries[index].refusals += 1
        let ceiling = UInt64(100) << UInt64(min(entries[index].refusals, 5))
        let delay = error.retryAfterMilliseconds.map { UInt64($0) } ?? UInt64.random(in: 50...ceiling, using: &random)
        let target = entries[index].send.target
        holds[target] = max(holds[target] ?? 0, now + delay)
        return nil
    }

    mutating func expire(now: UInt64, into actions: inout [ConnectionMachine.Action]) {
        while let first = entries.first, first.deadline <= now {
            _ = remove(first.send.id)
            let error = RoostError(
                .timeout, "not answered in \(timeout) ms; sending again with the same id is safe", retryable: true)
            actions.append(.answer(first.send.id, .failure(error)))
        }
    }

    mutating func failAll(_ error: RoostError, into actions: inout [ConnectionMachine.Action]) {
        for entry in entries { actions.append(.answer(entry.send.id, .failure(error))) }
        entries = []
        inFlight = 0
        holds = [:]
    }
}
