internal import Dispatch
public import NIOCore
internal import NIOPosix
public import RoostModel
internal import RoostProtocol

/// A live session of one device: it connects, connects again to another node when that is lost, resumes, acknowledges
/// what the consumer of `messages` is done with, and filters what comes twice.
public actor RoostSession {
    private let eventLoop: any EventLoop
    private let client: RoostClient
    private let device: DeviceID
    private let start: SessionStart
    private let credentials: Credentials?
    private var token: AccessToken?
    private let frameObserver: (@Sendable (ByteBuffer) -> Void)?

    private var machine: ConnectionMachine
    private var connection: SessionConnection?
    private var promises: [MessageID: EventLoopPromise<Accepted>] = [:]
    private var wakeTask: Scheduled<Void>?
    private var wakeAt: UInt64?
    private var consumer: CheckedContinuation<Void, Never>?
    private var end: Result<Void, RoostError>?
    private let noticeSink: AsyncStream<SessionNotice>.Continuation

    /// What happens to the session; the newest 64 are kept for a slow reader.
    public nonisolated let notices: AsyncStream<SessionNotice>
    private let presenceSink: AsyncStream<UserPresence>.Continuation

    /// Who of those that are watched comes and goes, and how each stands when `watch` begins. The newest 1,024 are kept
    /// for a slow reader; `presence(of:)` has the last of each.
    public nonisolated let presence: AsyncStream<UserPresence>

    /// Runs on the event loop of its connection, which so enters it without a hop.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { eventLoop.executor.asUnownedSerialExecutor() }

    init(
        client: RoostClient, identity: Identity, device: DeviceID, start: SessionStart, options: SessionOptions,
        frameObserver: (@Sendable (ByteBuffer) -> Void)?
    ) {
        self.client = client
        self.device = device
        self.start = start
        self.frameObserver = frameObserver
        credentials = identity.credentials
        token = identity.token
        eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        (notices, noticeSink) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(64))
        (presence, presenceSink) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1_024))
        var options = options
        options.serverCount = client.servers.count
        options.canLogIn = identity.credentials != nil
        machine = ConnectionMachine(
            options: options, hasToken: identity.token != nil, random: SystemRandomNumberGenerator())
    }

    func begin() { feed(.start) }

    // MARK: For the caller

    /// Sends a text, and waits until it is committed.
    public func send(_ text: String, to target: SendTarget) async throws(RoostError) -> Accepted {
        var content = ByteBuffer()
        content.writeJSON(string: text)
        return try await submit(content: content, to: target).accepted()
    }

    /// Takes a message over without waiting: what one caller submits to one target arrives in that order.
    /// - Parameters:
    ///   - content: one JSON value, passed on byte for byte.
    ///   - id: a retry of the same message must have the same.
    public func submit(
        content: ByteBuffer, type: String = "text", to target: SendTarget, id: MessageID = ClientIDs.message()
    ) -> SendTicket {
        var send = ClientSend(id: id, conversation: nil, type: type, content: content)
        switch target {
        case .conversation(let conversation): send.conversation = conversation
        case .user(let user): send.toUser = user.description
        case .username(let name): send.toUser = name
        }
        return submit(send, id: id)
    }

    private func submit(_ send: ClientSend, id: MessageID) -> SendTicket {
        let promise = eventLoop.makePromise(of: Accepted.self)
        guard promises[id] == nil else {
            promise.fail(RoostError(.idReused, "a send with this id is under way"))
            return SendTicket(id: id, future: promise.futureResult)
        }
        promises[id] = promise
        var frame = ByteBuffer()
        ClientFrame.send(send).write(into: &frame)
        let target = send.conversation.map(\.description) ?? send.toUser ?? ""
        feed(.send(OutgoingSend(id: id, target: target, frame: frame)))
        return SendTicket(id: id, future: promise.futureResult)
    }

    /// A frame as a user typed it. A send is taken over as by `submit`; anything else goes out as it is, once, if there
    /// is a connection.
    package func submitRaw(_ text: ByteBuffer) -> SendTicket? {
        if case .send(var send)? = try? ClientFrame(parsing: text, contentLimit: 16_777_216) {
            let id = send.id ?? ClientIDs.message()
            send.id = id
            return submit(send, id: id)
        }
        connection?.write([text])
        return nil
    }

    /// Watches these users instead of the former: `presence` tells whether each is online, now and when that changes.
    /// Those with whom one shares no conversation are named in a notice (`presenceRefused`), and not watched.
    public func watch(_ users: [UserID]) { feed(.watch(users)) }

    /// What is known of a watched user; nil until the server has told, or while the connection was lost before it had.
    public func presence(of user: UserID) -> PresenceStatus? { machine.watched.known[user] }

    /// Nothing waits for an answer, nor for the consumer, who is done with all that was received.
    package var isIdle: Bool { machine.pendingSends == 0 && machine.inbox.isDrained }

    package var pendingSends: Int { machine.pendingSends }
    package var isOver: Bool { end != nil }

    /// Ends the session; sends without an answer fail with `closed`.
    public func close() { feed(.stop) }

    /// The messages in order, for one consumer. Asking for the next says that the one before is dealt with, which
    /// acknowledges it; who is slow keeps the server waiting. Ends at `close()`, and throws where the session can't go
    /// on.
    public nonisolated var messages: Messages { Messages(session: self) }

    public struct Messages: AsyncSequence, Sendable {
        public typealias Element = Message
        let session: RoostSession
        public func makeAsyncIterator() -> Iterator { Iterator(session: session) }

        public struct Iterator: AsyncIteratorProtocol {
            let session: RoostSession
            public func next() async throws(RoostError) -> Message? { try await session.nextMessage() }
            public func next(isolation: isolated (any Actor)?) async throws(RoostError) -> Message? {
                try await session.nextMessage()
            }
        }
    }

    private func nextMessage() async throws(RoostError) -> Message? {
        while true {
            if let message = takeMessage() { return message }
            if let end {
                try end.get()
                return nil
            }
            if Task.isCancelled { return nil }
            guard consumer == nil else { throw RoostError(.protocol, "messages has one consumer already") }
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    consumer = continuation
                    // Cancelled before the continuation was there: the handler found none.
                    if Task.isCancelled { wakeConsumer() }
                }
            } onCancel: {
                eventLoop.execute { self.assumeIsolated { $0.wakeConsumer() } }
            }
        }
    }

    // MARK: Around the machine

    private var now: UInt64 { DispatchTime.now().uptimeNanoseconds / 1_000_000 }

    private func takeMessage() -> Message? {
        var actions: [ConnectionMachine.Action] = []
        let message = machine.take(now: now, into: &actions)
        perform(actions)
        return message
    }

    private func feed(_ event: ConnectionMachine.Event) {
        var actions: [ConnectionMachine.Action] = []
        machine.receive(event, now: now, into: &actions)
        perform(actions)
    }

    private func perform(_ actions: [ConnectionMachine.Action]) {
        var writes: [ByteBuffer] = []
        for action in actions {
            if case .write(let frame) = action {
                writes.append(frame)
                continue
            }
            flush(&writes)
            switch action {
            case .write: break
            case .dial(let server): dial(client.servers[server])
            case .login: login()
            case .renew: renew()
            case .hangUp(let code, let reason):
                connection?.abandon(code: code, reason: reason)
                connection = nil
            case .wakeConsumer: wakeConsumer()
            case .answer(let id, let result):
                guard let promise = promises.removeValue(forKey: id) else { continue }
                switch result {
                case .success(let frame): promise.succeed(Accepted(frame))
                case .failure(let error): promise.fail(error)
                }
            case .notify(let notice): noticeSink.yield(notice)
            case .tell(let frame): presenceSink.yield(UserPresence(user: frame.user, status: frame.status))
            case .finish(let error):
                end = error.map { .failure($0) } ?? .success(())
                noticeSink.finish()
                presenceSink.finish()
                wakeConsumer()
            }
        }
        flush(&writes)
        schedule()
    }

    private func flush(_ writes: inout [ByteBuffer]) {
        guard !writes.isEmpty else { return }
        connection?.write(writes)
        writes.removeAll()
    }

    private func wakeConsumer() {
        consumer?.resume()
        consumer = nil
    }

    private func schedule() {
        let deadline = machine.deadline
        guard deadline != wakeAt else { return }
        wakeTask?.cancel()
        wakeAt = deadline
        guard let deadline else { return }
        let delay = TimeAmount.milliseconds(Int64(deadline > now ? deadline - now : 0))
        wakeTask = eventLoop.scheduleTask(in: delay) { [weak self] in
            self?.assumeIsolated { session in
                session.wakeAt = nil
                session.feed(.wake)
            }
        }
    }

    private func login() {
        guard let credentials else { return }
        Task {
            do throws(RoostError) {
                token = try await client.login(credentials, device: device)
                feed(.loggedIn)
            } catch {
                feed(.loginFailed(error))
            }
        }
    }

    private func renew() {
        guard let credentials else { return }
        Task {
            do throws(RoostError) {
                let fresh = try await client.login(credentials, device: device)
                token = fresh
                feed(.renewed(token: fresh.token))
            } catch {
                noticeSink.yield(.serverError(error))
            }
        }
    }

    private func dial(_ server: ServerAddress) {
        guard let token else {
            feed(.dialFailed(.refused(status: 401, body: "", retryAfterSeconds: nil)))
            return
        }
        let target = "/api/ws/\(token.userID)?device_id=\(device)&start=\(start.query)"
        let request = DialRequest(
            server: server, tls: client.tls, target: target, protocols: "roost.v1, \(token.token)")
        let connection = SessionConnection(session: self)
        self.connection = connection
        WebSocketDialer.dial(request, on: eventLoop, delegate: connection).whenComplete { result in
            self.assumeIsolated { $0.dialled(connection, result) }
        }
    }

    private func dialled(_ connection: SessionConnection, _ result: Result<any Channel, any Error>) {
        guard self.connection === connection else {
            // Given up meanwhile.
            if case .success(let channel) = result { channel.close(promise: nil) }
            return
        }
        switch result {
        case .success(let channel):
            connection.channel = channel
            feed(.connected)
            connection.deliverEarly()
        case .failure(let error):
            self.connection = nil
            feed(.dialFailed(error as? DialError ?? .unreachable("\(error)")))
        }
    }

    func received(_ frames: [ByteBuffer], from connection: SessionConnection) {
        guard self.connection === connection else { return }
        let time = now
        var actions: [ConnectionMachine.Action] = []
        machine.receive(.heard, now: time, into: &actions)
        for frame in frames {
            frameObserver?(frame)
            // What can't be read belongs to a newer protocol; a gap would be closed by the next session.
            guard let parsed = try? ServerFrame(parsing: frame) else { continue }
            machine.receive(.received(parsed), now: time, into: &actions)
        }
        perform(actions)
    }

    func closed(_ connection: SessionConnection, code: UInt16?, reason: String) {
        guard self.connection === connection else { return }
        self.connection = nil
        feed(.closed(code: code, reason: reason))
    }
}

extension RoostClient {
    /// Opens a session for a device, and keeps it open until it is closed.
    /// - Parameter start: matters only for a device never seen before.
    public func connect(
        _ identity: Identity, device: DeviceID, start: SessionStart = .all, options: SessionOptions = .init()
    ) async -> RoostSession {
        await connect(identity, device: device, start: start, options: options, frameObserver: nil)
    }

    /// - Parameter frameObserver: sees every text frame from the server, on the session's event loop.
    package func connect(
        _ identity: Identity, device: DeviceID, start: SessionStart, options: SessionOptions,
        frameObserver: (@Sendable (ByteBuffer) -> Void)?
    ) async -> RoostSession {
        let session = RoostSession(
            client: self, identity: identity, device: device, start: start, options: options,
            frameObserver: frameObserver)
        await session.begin()
        return session
    }
}
