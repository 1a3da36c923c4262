import NIOCore
import RoostModel
import RoostProtocol

@testable import RoostClient

/// A machine with its clock, and what it asked for.
struct MachineHarness {
    var machine: ConnectionMachine
    var now: UInt64 = 1_000
    var actions: [ConnectionMachine.Action] = []

    static let conversation = ConversationID(UUID128(high: 7, low: 7))

    init(
        servers: Int = 3, canLogIn: Bool = false, hasToken: Bool = true,
        _ change: (inout SessionOptions) -> Void = { _ in }
    ) {
        var options = SessionOptions()
        options.beginsWithFirstServer = true
        options.serverCount = servers
        options.canLogIn = canLogIn
        change(&options)
        machine = ConnectionMachine(options: options, hasToken: hasToken, random: SeededGenerator(seed: 1))
    }

    /// Feeds one event; what it led to is in `actions`, without notices.
    @discardableResult
    mutating func feed(_ event: ConnectionMachine.Event) -> [ConnectionMachine.Action] {
        actions = []
        machine.receive(event, now: now, into: &actions)
        return decisions
    }

    var decisions: [ConnectionMachine.Action] {
        actions.filter { if case .notify = $0 { false } else { true } }
    }
    var notices: [SessionNotice] {
        actions.compactMap { if case .notify(let notice) = $0 { notice } else { nil } }
    }
    /// How long it waits before the next attempt.
    var retryIn: Int? {
        notices.compactMap { if case .disconnected(_, let delay) = $0 { delay } else { nil } }.first
    }
    /// Ids of the sends that were written.
    var written: [MessageID] { Self.sends(actions) }
    var acks: [UInt64] {
        actions.compactMap { action in
            guard case .write(let frame) = action,
                case .ack(let n)? = try? ClientFrame(parsing: frame, contentLimit: 100_000)
            else { return nil }
            return n
        }
    }

    static func sends(_ actions: [ConnectionMachine.Action]) -> [MessageID] {
        actions.compactMap { action in
            guard case .write(let frame) = action,
                case .send(let send)? = try? ClientFrame(parsing: frame, contentLimit: 100_000)
            else { return nil }
            return send.id
        }
    }

    static let welcome = ServerFrame.welcome(
        WelcomeFrame(
            session: SessionID(1), node: "node-1", user: UserID(.zero), device: DeviceID(validated: "d"), heartbeat: 30,
            maxFrame: 65_536, window: 4))

    /// Dialled, upgraded and welcomed.
    mutating func open() {
        if machine.phase == .idle { feed(.start) }
        if case .waiting(let until) = machine.phase {
            now = until
            feed(.wake)
        }
        feed(.connected)
        feed(.received(Self.welcome))
    }

    mutating func message(_ n: UInt64, seq: UInt64, in conversation: ConversationID = conversation) {
        feed(.received(.message(n: n, Self.message(seq, conversation))))
    }

    static func message(_ seq: UInt64, _ conversation: ConversationID = conversation) -> Message {
        Message(
            id: id(seq), conversation: conversation, seq: seq, sender: UserID(.zero),
            originDevice: DeviceID(validated: "x"), type: "text", content: ByteBuffer(string: "\"m\(seq)\""), sentAt: 0)
    }

    mutating func take() -> UInt64? {
        actions = []
        return machine.take(now: now, into: &actions)?.seq
    }

    static func id(_ number: UInt64) -> MessageID { MessageID(UUID128(high: 0x7000, low: 1 << 63 | number)) }

    mutating func send(_ number: UInt64, to target: ConversationID = conversation) {
        var frame = ByteBuffer()
        ClientFrame.send(ClientSend(id: Self.id(number), conversation: target, content: ByteBuffer(string: "1")))
            .write(into: &frame)
        feed(.send(OutgoingSend(id: Self.id(number), target: target.description, frame: frame)))
    }

    mutating func accept(_ number: UInt64) {
        feed(.received(.accepted(Self.accepted(number))))
    }

    static func accepted(_ number: UInt64) -> AcceptedFrame {
        AcceptedFrame(id: id(number), conversation: conversation, seq: number, sentAt: 5)
    }

    mutating func refuse(_ number: UInt64?, _ code: String, retryable: Bool, after: UInt32? = nil) {
        feed(
            .received(
                .error(
                    ServerError(
                        codeText: code, detail: "no", retryable: retryable, retryAfterMilliseconds: after,
                        id: number.map(Self.id)))))
    }
}
