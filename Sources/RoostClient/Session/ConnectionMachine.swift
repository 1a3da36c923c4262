package import NIOCore
package import RoostModel
package import RoostProtocol

/// What a live session decides: where to connect and when again, what to acknowledge, what to send again. No I/O, no
/// clock: events go in with the time in milliseconds, actions come out.
///
/// Obligations of the shell:
/// 1. Actions are performed in order. `write` goes to the connection that was dialled last.
/// 2. After `hangUp`, and after an answer to `dial` other than `connected`, nothing of that connection is fed in.
/// 3. `wake` is fed in when `deadline` is reached; the deadline is asked for again after each event.
package struct ConnectionMachine: Sendable {
    package enum Event: Sendable {
        case start
        case connected
        case dialFailed(DialError)
        /// Bytes came, be it only a ping.
        case heard
        case received(ServerFrame)
        /// The connection is gone. No code: it broke.
        case closed(code: UInt16?, reason: String)
        case loggedIn
        case loginFailed(RoostError)
        /// A login for the session that is open.
        case renewed(token: String)
        case send(OutgoingSend)
        /// Whom to watch from now on; replaces the former list.
        case watch([UserID])
        case wake
        case stop
    }

    package enum Action: Sendable, Equatable {
        case dial(server: Int)
        case login
        /// Logs in for the session that is open; its failure is no news: the session ends by itself.
        case renew
        /// One text frame.
        case write(ByteBuffer)
        case hangUp(code: UInt16, reason: String)
        /// There is something for `take`.
        case wakeConsumer
        case answer(MessageID, Result<AcceptedFrame, RoostError>)
        case notify(SessionNotice)
        case tell(PresenceFrame)
        /// Nothing follows. Without an error: it was stopped.
        case finish(RoostError?)
    }

    enum Phase: Sendable, Equatable {
        case idle
        case loggingIn
        case dialing
        /// Upgraded; `welcomedAt` is nil until the welcome, for which there is a deadline.
        case open(since: UInt64, welcomed: Bool)
        case waiting(until: UInt64)
        /// The consumer is too far behind to connect again.
        case paused
        case stopped
    }

    let options: SessionOptions
    var phase = Phase.idle
    var random: any RandomNumberGenerator & Sendable
    private var servers: ServerRotation
    /// A session that lived for `stableMilliseconds` ends the row of failures.
    private var backoff: Backoff
    private var logins = 0
    private var heartbeatMilliseconds: UInt64 = 30_000
    private var lastHeard: UInt64 = 0
    var inbox: Inbox
    var outbox: Outbox
    var watched = PresenceSubscription()

    package init(options: SessionOptions, hasToken: Bool, random: any RandomNumberGenerator & Sendable) {
        self.options = options
        var random = random
        self.hasToken = hasToken
        inbox = Inbox(options)
        outbox = Outbox(options)
        backoff = Backoff(min: options.minBackoff, max: options.maxBackoff)
        servers = ServerRotation(
            count: options.serverCount, beginsWithFirst: options.beginsWithFirstServer, using: &random)
        self.random = random
    }

    private let hasToken: Bool

    package var isStopped: Bool { phase == .stopped }
    package var isOpen: Bool { if case .open(_, true) = phase { true } else { false } }
    package var pendingSends: Int { outbox.count }

    package mutating func receive(_ event: Event, now: UInt64, into actions: inout [Action]) {
        guard phase != .stopped else {
            if case .send(let send) = event {
                actions.append(.answer(send.id, .failure(RoostError(.closed, "the session is closed"))))
            }
            return
        }
        switch event {
        case .start:
            guard phase == .idle else { return }
            if hasToken { dial(into: &actions) } else { login(into: &actions) }
        case .loggedIn:
            guard phase == .loggingIn else { return }
            dial(into: &actions)
        case .loginFailed(let error):
            guard phase == .loggingIn else { return }
            if error.code == .unauthorized || !error.retryable {
                stop(error, into: &actions)
            } else {
                wait(error.detail, atLeast: error.retryAfterMilliseconds, now: now, into: &actions)
            }
        case .renewed(let token):
            guard isOpen else { return }
            var frame = ByteBuffer()
            let id = MessageID(.version7(milliseconds: now, using: &random))
            ClientFrame.token(ClientToken(id: id, token: token)).write(into: &frame)
            actions.append(.write(frame))
        case .connected:
            guard phase == .dialing else { return }
            phase = .open(since: now, welcomed: false)
            lastHeard = now
        case .dialFailed(let error): dialFailed(error, now: now, into: &actions)
        case .heard: lastHeard = now
        case .received(let frame):
            lastHeard = now
            received(frame, now: now, into: &actions)
        case .closed(let code, let reason): closed(code, reason, now: now, into: &actions)
        case .send(let send):
            if let refusal = outbox.add(send, now: now) {
                actions.append(.answer(send.id, .failure(refusal)))
            } else if isOpen {
                outbox.pump(now: now, into: &actions)
            }
        case .watch(let users):
            watched.set(users)
            if isOpen { watched.write(random: &random, into: &actions) }
        case .wake: wake(now: now, into: &actions)
        case .stop: stop(nil, into: &actions)
        }
    }

    /// The next message for the consumer, who is done with the one before. Nil: wait for `wakeConsumer`.
    package mutating func take(now: UInt64, into actions: inout [Action]) -> Message? {
        let message = inbox.take()
        if isOpen { inbox.acknowledge(now: now, into: &actions) }
        if phase == .paused, inbox.mayConnect { dial(into: &actions) }
        return message
    }

    /// When to feed in `wake`, in the milliseconds of `now`.
    package var deadline: UInt64? {
        var times: [UInt64] = []
        switch phase {
        case .open(let since, let welcomed):
            times.append(welcomed ? lastHeard + 2 * heartbeatMilliseconds + 5_000 : since + options.welcomeTimeout)
            if let due = inbox.ackDue { times.append(due) }
            if welcomed, let due = outbox.nextRelease { times.append(due) }
            if welcomed, let due = watched.retryAt { times.append(due) }
        case .waiting(let until): times.append(until)
        case .idle, .loggingIn, .dialing, .paused, .stopped: break
        }
        if let due = outbox.nextTimeout { times.append(due) }
        return times.min()
    }

    // MARK: Connecting

    private mutating func dial(into actions: inout [Action]) {
        phase = .dialing
        actions.append(.notify(.connecting(server: servers.current)))
        actions.append(.dial(server: servers.current))
    }

    private mutating func login(into actions: inout [Action]) {
        guard options.canLogIn, logins < options.maxLogins else {
            stop(RoostError(.unauthorized, "the token is not valid (any more)", status: 401), into: &actions)
            return
        }
        logins += 1
        phase = .loggingIn
        actions.append(.login)
    }

    private mutating func dialFailed(_ error: DialError, now: UInt64, into actions: inout [Action]) {
        guard phase == .dialing else { return }
        switch error {
        case .unreachable(let reason): wait(reason, now: now, into: &actions)
        case .refused(401, _, _): login(into: &actions)
        case .refused(429, _, let after):
            waitLonger("too many connections (429)", atLeast: after.map { $0 * 1_000 }, now: now, into: &actions)
        case .refused(let status, let body, let after):
            if status >= 500 {
                wait("HTTP status \(status)", atLeast: after.map { $0 * 1_000 }, now: now, into: &actions)
            } else {
                let answer = HTTPAnswer(status: status, body: Array(body.utf8), retryAfterMilliseconds: nil)
                stop(HTTPAnswers.error(of: answer), into: &actions)
            }
        }
    }

    /// Close codes as the protocol orders them: again elsewhere, later, or never.
    private mutating func closed(_ code: UInt16?, _ reason: String, now: UInt64, into actions: inout [Action]) {
        guard case .open(let since, let welcomed) = phase else { return }
        if welcomed, now >= since + options.stableMilliseconds {
            backoff.succeeded()
            logins = 0
        }
        leave()
        let text = reason.isEmpty ? code.map { "closed with \($0)" } ?? "the connection broke" : reason
        switch code {
        case 4401: login(into: &actions)
        case 4409: stop(RoostError(.replaced, "a newer session of this device took over"), into: &actions)
        case 4429: waitLonger(text, atLeast: nil, now: now, into: &actions)
        case 1002, 1003, 1007, 1009:
            stop(RoostError(.protocol, "the server closed the session: \(text)"), into: &actions)
        default: wait(text, now: now, into: &actions)
        }
    }

    private mutating func leave() {
        inbox.disconnected()
        outbox.disconnected()
        watched.disconnected()
    }

    /// Another node, after a delay that grows and is drawn at random, so that a herd spreads.
    private mutating func wait(
        _ reason: String, atLeast: Int? = nil, now: UInt64, into actions: inout [Action]
    ) {
        wait(reason, delay: backoff.next(atLeast: atLeast, using: &random), now: now, into: &actions)
    }

    private mutating func waitLonger(_ reason: String, atLeast: Int?, now: UInt64, into actions: inout [Action]) {
        let delay = UInt64.random(in: options.laterMilliseconds...options.laterMilliseconds * 4, using: &random)
        backoff.failed()
        wait(reason, delay: max(delay, Backoff.spread(atLeast, using: &random)), now: now, into: &actions)
    }

    private mutating func wait(_ reason: String, delay: UInt64, now: UInt64, into actions: inout [Action]) {
        servers.next()
        actions.append(.notify(.disconnected(reason: reason, retryInMilliseconds: Int(delay))))
        phase = inbox.mayConnect ? .waiting(until: now + delay) : .paused
    }

    private mutating func stop(_ error: RoostError?, into actions: inout [Action]) {
        let wasOpen = if case .open = phase { true } else { phase == .dialing }
        if case .open(_, true) = phase { inbox.flushAcknowledgement(into: &actions) }
        phase = .stopped
        if wasOpen { actions.append(.hangUp(code: 1000, reason: "")) }
        outbox.failAll(error ?? RoostError(.closed, "the session was closed"), into: &actions)
        actions.append(.wakeConsumer)
        actions.append(.finish(error))
    }

    private mutating func hangUp(_ code: UInt16, _ reason: String, now: UInt64, into actions: inout [Action]) {
        leave()
        actions.append(.hangUp(code: code, reason: reason))
        wait(reason, now: now, into: &actions)
    }

    // MARK: Frames

    private mutating func received(_ frame: ServerFrame, now: UInt64, into actions: inout [Action]) {
        guard case .open(let since, let welcomed) = phase else { return }
        switch frame {
        case .welcome(let welcome):
            phase = .open(since: since, welcomed: true)
            heartbeatMilliseconds = UInt64(max(1, min(welcome.heartbeat, 3_600))) * 1_000
            inbox.connected(window: welcome.window)
            actions.append(.notify(.connected(node: welcome.node, user: welcome.user)))
            outbox.pump(now: now, into: &actions)
            if !watched.isEmpty { watched.write(random: &random, into: &actions) }
        case .caughtUp(let incomplete): actions.append(.notify(.caughtUp(incomplete: incomplete)))
        case .message(let n, let message):
            guard welcomed else { return hangUp(1002, "a message before the welcome", now: now, into: &actions) }
            switch inbox.received(n, message) {
            case .new: actions.append(.wakeConsumer)
            case .duplicate: inbox.acknowledge(now: now, into: &actions)
            case .full: hangUp(1000, "the consumer is too far behind", now: now, into: &actions)
            }
        case .accepted(let accepted):
            outbox.accepted(accepted, into: &actions)
            outbox.pump(now: now, into: &actions)
        case .error(let error):
            if error.id != nil, watched.refused(error, now: now, random: &random) { return }
            if let notice = outbox.refused(error, now: now, random: &random, into: &actions) {
                actions.append(.notify(.serverError(notice)))
            }
            outbox.pump(now: now, into: &actions)
        case .skipped(let skipped):
            actions.append(.notify(.skipped(skipped.conversation, from: skipped.from, to: skipped.to)))
        case .subscribed(let frame):
            guard let refused = watched.subscribed(frame), !refused.isEmpty else { break }
            actions.append(.notify(.presenceRefused(refused)))
        case .presence(let frame): if watched.received(frame) { actions.append(.tell(frame)) }
        case .tokenExpiring: if options.canLogIn { actions.append(.renew) }
        case .tokenAccepted, .unknown: break
        }
    }

    private mutating func wake(now: UInt64, into actions: inout [Action]) {
        outbox.expire(now: now, into: &actions)
        switch phase {
        case .waiting(let until) where now >= until: dial(into: &actions)
        case .open(let since, false) where now >= since + options.welcomeTimeout:
            hangUp(1000, "no welcome in time", now: now, into: &actions)
        case .open(_, true):
            if now >= lastHeard + 2 * heartbeatMilliseconds + 5_000 {
                return hangUp(1000, "nothing was heard from the server", now: now, into: &actions)
            }
            if let due = inbox.ackDue, now >= due { inbox.flushAcknowledgement(into: &actions) }
            if let due = watched.retryAt, now >= due { watched.write(random: &random, into: &actions) }
            outbox.pump(now: now, into: &actions)
        default: break
        }
    }
}
