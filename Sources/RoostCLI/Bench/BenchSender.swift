internal import NIOCore
internal import RoostModel
internal import RoostProtocol

/// Sends of one sender to its conversation: a window or a rate, numbers without gaps, the same id again where a send
/// was refused or its connection lost. No I/O: frames come out.
struct BenchSender {
    struct Open: Equatable {
        var dueAt: UInt64
        /// Written on the present connection and not answered.
        var isInFlight: Bool
    }

    /// With a rate: more than that in flight means that the cluster does not keep up, and sending waits.
    static let maxInFlightWithRate = 1_024
    /// Written in one go, at most.
    static let maxBatch = 256

    let number: Int
    private let settings: BenchSettings
    private(set) var open: [UInt64: Open] = [:]
    private(set) var accepted = BenchAccepted()
    private(set) var lastCounter: UInt64 = 0
    /// `lastCounter` when sending began, the last time: from there on a rate counts.
    private var firstCounter: UInt64 = 0
    private var inFlight = 0
    /// After a refusal nothing new is written before this time, nor before all in flight is answered.
    private var holdUntil: UInt64?

    init(number: Int, settings: BenchSettings) {
        self.number = number
        self.settings = settings
    }

    private var window: Int { settings.ratePerSender == nil ? settings.window : Self.maxInFlightWithRate }

    mutating func startSending() { firstCounter = lastCounter }

    mutating func disconnected() {
        for counter in open.keys { open[counter]?.isInFlight = false }
        inFlight = 0
        if !open.isEmpty { holdUntil = 0 }
    }

    /// When the send was due; nil where it was answered before.
    mutating func accepted(_ id: MessageID) -> UInt64? {
        let counter = id.uuid.low & 0xffff_ffff
        guard let send = open.removeValue(forKey: counter) else { return nil }
        if send.isInFlight { inFlight -= 1 }
        accepted.insert(counter)
        return send.dueAt
    }

    mutating func refused(_ error: ServerError, now: UInt64) {
        guard let counter = error.id.map({ $0.uuid.low & 0xffff_ffff }), let send = open[counter] else { return }
        if send.isInFlight { inFlight -= 1 }
        guard error.retryable else {
            open[counter] = nil
            return
        }
        open[counter]?.isInFlight = false
        let delay = UInt64(error.retryAfterMilliseconds ?? 100) * 1_000_000
        holdUntil = max(holdUntil ?? 0, now + delay)
    }

    /// What is to be written now.
    mutating func next(
        now: UInt64, since: UInt64, isSending: Bool, into frames: inout [ByteBuffer]
    ) -> (new: Int, again: Int) {
        var again = 0
        if let holdUntil {
            guard now >= holdUntil, inFlight == 0 else { return (0, 0) }
            self.holdUntil = nil
            for counter in open.keys.sorted() {
                write(counter, into: &frames)
                again += 1
            }
        }
        guard isSending else { return (0, again) }
        var new = 0
        while inFlight < window, new < Self.maxBatch {
            let counter = lastCounter + 1
            if let limit = settings.messagesPerSender, counter > limit { break }
            var dueAt = now
            if let rate = settings.ratePerSender {
                // Due as planned, not when there was room: what waits counts as latency.
                dueAt = since + UInt64(Double(counter - firstCounter) / rate * 1e9)
                if dueAt > now { break }
            }
            lastCounter = counter
            open[counter] = Open(dueAt: dueAt, isInFlight: false)
            write(counter, into: &frames)
            new += 1
        }
        return (new, again)
    }

    private mutating func write(_ counter: UInt64, into frames: inout [ByteBuffer]) {
        guard let send = open[counter] else { return }
        open[counter]?.isInFlight = true
        inFlight += 1
        var content = ByteBuffer()
        content.reserveCapacity(settings.size + 64)
        BenchContent(run: settings.run, sender: number, counter: counter, dueAt: send.dueAt)
            .write(size: settings.size, into: &content)
        var frame = ByteBuffer()
        frame.reserveCapacity(settings.size + 256)
        ClientFrame.send(ClientSend(id: id(counter), conversation: settings.conversations[number], content: content))
            .write(into: &frame)
        frames.append(frame)
    }

    /// A version 7 id that holds run, sender and counter.
    private func id(_ counter: UInt64) -> MessageID {
        MessageID(
            UUID128(
                high: UInt64(settings.run) << 16 | 0x7000,
                low: 0x8000_0000_0000_0000 | UInt64(number & 0x3fff_ffff) << 32 | counter & 0xffff_ffff))
    }
}
