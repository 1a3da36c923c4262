import NIOCore
import RoostCluster
import RoostModel
import RoostProtocol

extension Device {
    func handle(_ frame: ByteBuffer) {
        context.counters.framesReceived.increment()
        do throws(ClientFrameError) {
            switch try ClientFrame(parsing: frame, contentLimit: context.configuration.limits.maxContent) {
            case .ack(let n):
                if !acknowledge(n) {
                    refuse(.invalidField, "n: \(n) is above the last delivery sent, \(window.lastNumber)", id: nil)
                }
            case .send(let send): handle(send)
            case .subscribe(let subscription): subscribe(subscription)
            case .token(let token): renew(token)
            }
        } catch {
            context.counters.framesRejected.increment()
            refuse(error.code, error.detail, id: error.id)
        }
    }

    private func handle(_ send: ClientSend) {
        if let conversation = send.conversation {
            start(send, to: conversation, peer: nil)
            return
        }
        guard let name = send.toUser else { return }
        guard let peer = UserID(name) ?? context.userID(name) else {
            refuse(.unknownUser, "to_user: there can be no user of this name", id: send.id)
            return
        }
        start(send, to: ConversationID(direct: request.user, peer), peer: peer)
    }

    private func start(_ send: ClientSend, to conversation: ConversationID, peer: UserID?) {
        let isBehind = barriers.blocks(conversation)
        switch pipelines[conversation]?.refusal(of: send.id, now: context.clock.now(), isBehind: isBehind) {
        case .unavailable: return refuse(.unavailable, Self.unavailableDetail, id: send.id, retryAfter: 500)
        case .rateLimited: return refuse(.rateLimited, Self.rateDetail, id: send.id, retryAfter: 500)
        case nil: break
        }
        if let wait = takeMessage() {
            guard !losesPatience() else { return }
            noteRefused(send.id, .rateLimited, in: conversation)
            return refuse(
                .rateLimited, "more messages a second than this device or user may send", id: send.id,
                retryAfter: UInt32(clamping: wait))
        }
        guard pipelines[conversation] != nil || makeRoom() else {
            noteRefused(send.id, .rateLimited, in: conversation)
            return refuse(.rateLimited, Self.rateDetail, id: send.id, retryAfter: 500)
        }
        // Twice the mark at which the socket is no longer read: only what one read brought can get that far.
        guard pendingSends < context.configuration.limits.maxPendingSends * 2 else {
            noteRefused(send.id, .rateLimited, in: conversation)
            refuse(.rateLimited, Self.rateDetail, id: send.id, retryAfter: 500)
            return
        }
        if held[conversation] != nil {
            pendingSends += 1
            held[conversation]?.append(HeldSend(frame: send, peer: peer))
            return
        }
        if let peer, peer != request.user, pipelines[conversation] == nil,
            !node.onCore({ $0.knowsConversation(conversation) })
        {
            // The user's leader is asked once; what follows to the same conversation waits behind it.
            pendingSends += 1
            held[conversation] = [HeldSend(frame: send, peer: peer)]
            _ = node.onCore {
                $0.call(.read(.account(peer))) { [weak self] outcome in
                    self?.onCore { $0.checked(conversation, outcome) }
                }
            }
            return
        }
        propose(send, to: conversation, peer: peer)
    }

    /// Conversations of one session whose order of sends is known. Beyond that those with nothing under way are forgotten.
    private static let maxPipelines = 1_024
    /// The same with those whose sends were refused: who goes on to others all the same is hung up on.
    private static let maxHalted = 16 * maxPipelines

    /// False where sends to that many conversations are under way or halted.
    private func makeRoom() -> Bool {
        guard pipelines.count >= Self.maxPipelines else { return true }
        let now = context.clock.now()
        for (conversation, pipeline) in pipelines
        where pipeline.isForgettable(now: now, isBehind: barriers.blocks(conversation)) {
            firstRun = max(firstRun, pipeline.run + 1)
            pipelines[conversation] = nil
        }
        return pipelines.count < Self.maxPipelines
    }

    private func checked(_ conversation: ConversationID, _ outcome: CallOutcome) {
        guard socket != nil, let waiting = held.removeValue(forKey: conversation) else { return }
        pendingSends -= waiting.count
        for item in waiting {
            switch outcome {
            case .read(.account): propose(item.frame, to: conversation, peer: item.peer)
            case .read(.none): refuse(.unknownUser, "to_user: there is no such user", id: item.frame.id)
            default:
                noteRefused(item.frame.id, .unavailable, in: conversation)
                refuse(.unavailable, Self.unavailableDetail, id: item.frame.id, retryAfter: 500)
            }
        }
        resumeReading()
    }

    /// What follows it in the conversation waits until it is sent again.
    private func noteRefused(_ id: MessageID?, _ reason: SendHalt.Reason, in conversation: ConversationID) {
        guard pipelines[conversation] != nil || pipelines.count < Self.maxHalted || makeRoom() else {
            return close(code: 4429, reason: "sends to too many conversations were refused, and more came")
        }
        pipelines[conversation, default: SendPipeline(run: firstRun)].refused(id, reason, now: context.clock.now())
        barriers.raise(conversation)
    }

    static let rateDetail = "too many sends not yet answered"
    static let unavailableDetail = "the outcome is unknown; sending again with the same id is safe"

    private func propose(_ send: ClientSend, to conversation: ConversationID, peer: UserID?) {
        var pipeline = pipelines[conversation] ?? SendPipeline(run: firstRun)
        let id =
            send.id
            ?? MessageID(
                UUID128.version7(
                    milliseconds: UInt64(max(0, context.clock.wall() / 1_000)), using: &messageIDs))
        let order = pipeline.take(session: session)
        let command = Command.send(
            SendCommand(
                conversation: conversation, peer: peer, sender: request.user, device: request.device, id: id,
                type: send.type, content: send.content, order: order))
        let answerWanted = send.id != nil || request.modern
        let given = send.id
        let call = node.onCore {
            $0.call(
                .propose(command), remade: { [weak self] in self?.onCore { $0.remade(command, for: conversation) } }
            ) { [weak self] outcome in
                self?.onCore {
                    $0.answered(
                        outcome, id: id, given: given, conversation: conversation, counter: order.counter,
                        run: order.run, answerWanted: answerWanted)
                }
            }
        }
        pipeline.began(counter: order.counter, call: call)
        pipelines[conversation] = pipeline
        pendingSends += 1
        if pendingSends >= context.configuration.limits.maxPendingSends {
            pausedBySends = true
            judgeReading()
        }
    }

    /// With the base of now: what was below it may have been answered without an entry in the log.
    private func remade(_ command: Command, for conversation: ConversationID) -> Command? {
        guard case .send(var send) = command, let pipeline = pipelines[conversation], pipeline.run == send.order.run
        else { return nil }
        send.order.base = pipeline.base
        return .send(send)
    }

    private func answered(
        _ outcome: CallOutcome, id: MessageID, given: MessageID?, conversation: ConversationID, counter: UInt64,
        run: UInt32, answerWanted: Bool
    ) {
        pendingSends -= 1
        defer { resumeReading() }
        let result: CommandResult
        if case .applied(let applied) = outcome { result = applied } else { result = .rejected(.unavailable) }
        var abandoned: [UInt64] = []
        if case .rejected(.unavailable) = result {
            if pipelines[conversation]?.run == run { abandoned = pipelines[conversation]?.giveUp() ?? [] }
            if socket != nil { noteRefused(given, .unavailable, in: conversation) }
        } else {
            pipelines[conversation]?.answered(counter: counter)
        }
        if socket != nil { tell(result, id: id, given: given, answerWanted: answerWanted) }
        // Their answers come through here as well, each as unavailable, in order, behind this one.
        if !abandoned.isEmpty { node.onCore { $0.giveUp(abandoned) } }
    }

    private func tell(_ result: CommandResult, id: MessageID, given: MessageID?, answerWanted: Bool) {
        switch result {
        case .sent(let conversation, let seq, let sentAt):
            context.counters.accepted.increment()
            if answerWanted {
                var frame = ByteBuffer()
                AcceptedFrame(id: id, conversation: conversation, seq: seq, sentAt: sentAt).write(into: &frame)
                write(frame)
            }
        case .rejected(let rejection):
            let (code, detail) = Self.describe(rejection)
            if code == .unavailable { context.counters.unavailable.increment() }
            refuse(code, detail, id: given, retryAfter: code == .unavailable ? 500 : nil)
        case .created, .conversation, .done:
            refuse(.unavailable, Self.unavailableDetail, id: given, retryAfter: 500)
        }
    }

    private func resumeReading() {
        guard pausedBySends, pendingSends <= context.configuration.limits.maxPendingSends / 2 else { return }
        pausedBySends = false
        judgeReading()
    }

    private static func describe(_ rejection: Rejection) -> (ErrorCode, String) {
        switch rejection {
        case .unknownConversation: (.unknownConversation, "conversation_id: there is no such conversation")
        case .unknownUser: (.unknownUser, "to_user: there is no such user")
        case .notMember: (.notMember, "you are not a member of this conversation")
        case .notAllowed: (.notMember, "only owner and admin may post in a channel")
        case .idReused: (.idReused, "id: this id stands for another message")
        case .conflict, .invalid: (.invalidField, "the frame contradicts itself")
        case .limitExceeded: (.invalidField, "a limit is reached: too many conversations or members")
        case .accountDisabled: (.notMember, "the account is disabled")
        case .unknownMessage: (.invalidField, "there is no such message")
        case .unknownDevice: (.invalidField, "there is no such device")
        case .unknownKey: (.invalidField, "there is no such key")
        case .tokenRevoked: (.notMember, "the token is revoked")
        case .unavailable, .outOfOrder: (.unavailable, unavailableDetail)
        }
    }

    func refuse(_ code: ErrorCode, _ detail: String, id: MessageID?, retryAfter: UInt32? = nil) {
        var frame = ByteBuffer()
        ErrorFrame(code: code, detail: detail, retryAfterMilliseconds: retryAfter, id: id).write(into: &frame)
        write(frame)
    }
}
