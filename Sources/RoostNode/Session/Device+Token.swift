import NIOCore
import RoostCluster
import RoostModel
import RoostProtocol

/// The token of a session: it is told before it expires, and may be replaced.
struct SessionTokenState {
    var expires: Double
    var stamp: TokenStamp?
    /// One that is being registered: revoked meanwhile, it must not come to count.
    var pending: TokenStamp?
    var isChecking = false
    var isTold = false
    /// Seconds before the end at which it is told: a minute, or a tenth of a short life.
    var notice: Double

    init(_ request: SessionRequest) {
        expires = request.tokenExpires
        stamp = request.token
        notice = Self.notice(lifetime: request.tokenExpires - (request.tokenIssued ?? request.tokenExpires - 600))
    }

    static func notice(lifetime: Double) -> Double { max(1, min(60, lifetime / 10)) }
}

extension Device {
    private var wallSeconds: Double { Double(context.clusterTime) / 1e6 }

    /// When to look at the token next, in seconds from now.
    var tokenDue: Double {
        let left = token.expires - wallSeconds
        return token.isTold ? left : left - token.notice
    }

    /// False where the session ended by it.
    func judgeToken() -> Bool {
        let left = token.expires - wallSeconds
        guard left > 0 else {
            close(code: 4401, reason: "the token has expired")
            return false
        }
        if !token.isTold, left <= token.notice {
            token.isTold = true
            var frame = ByteBuffer()
            TokenExpiringFrame(expiresAt: Int64(token.expires), expiresIn: UInt64(left * 1_000)).write(into: &frame)
            write(frame)
        }
        return true
    }

    /// Another token for this session: of the same user, and of this device where it is of one.
    func renew(_ frame: ClientToken) {
        guard let check = request.checkToken else {
            return refuse(.unknownOp, "this session takes no tokens", id: frame.id)
        }
        guard !token.isChecking else {
            return refuse(.rateLimited, "another token is being checked", id: frame.id, retryAfter: 500)
        }
        token.isChecking = true
        check(frame.token) { [weak self] verdict in self?.onCore { $0.checked(verdict, frame.id) } }
    }

    private func checked(_ verdict: TokenVerdict, _ id: MessageID?) {
        guard socket != nil else { return }
        switch verdict {
        case .holds(let fresh): register(fresh, id)
        case .refused(let reason):
            token.isChecking = false
            refuse(.invalidField, "token: \(reason)", id: id)
        case .unknown:
            token.isChecking = false
            refuse(.unavailable, "the token cannot be checked just now", id: id, retryAfter: 1_000)
        }
    }

    /// The user's partition says whether it is revoked, and remembers that this device has it.
    private func register(_ fresh: TokenVerdict.Token, _ id: MessageID?) {
        token.pending = fresh.stamp
        let command = Command.registerDevice(
            user: request.user, device: request.device, startAt: startAt, token: fresh.stamp)
        node.onCore {
            _ = $0.call(.propose(command)) { [weak self] outcome in
                self?.onCore { $0.registered(outcome, fresh, id) }
            }
        }
    }

    private func registered(_ outcome: CallOutcome, _ fresh: TokenVerdict.Token, _ id: MessageID?) {
        token.isChecking = false
        token.pending = nil
        guard socket != nil else { return }
        switch outcome {
        case .applied(.done):
            token.expires = fresh.expires
            token.stamp = fresh.stamp
            token.notice = SessionTokenState.notice(lifetime: fresh.expires - fresh.issued)
            token.isTold = false
            var frame = ByteBuffer()
            TokenAcceptedFrame(expiresAt: Int64(fresh.expires), id: id).write(into: &frame)
            write(frame)
            scheduleTokenTimer()
        case .applied(.rejected(.tokenRevoked)), .applied(.rejected(.accountDisabled)),
            .applied(.rejected(.unknownUser)):
            refuse(.invalidField, "token: it is revoked", id: id)
        default: refuse(.unavailable, "the token cannot be checked just now", id: id, retryAfter: 500)
        }
    }

    /// Ends the session where its token is refused from now on.
    func judge(_ revocations: TokenRevocations) {
        let held = [token.stamp, token.pending].compactMap { $0 }
        guard held.contains(where: { !revocations.permits($0, on: request.device) }) else { return }
        if revocations.devices.contains(where: { $0.device == request.device }) {
            node.onCore { $0.dropAcks(of: self.request.user, self.request.device) }
        }
        context.counters.sessionsRevoked.increment()
        close(code: 4401, reason: "the token was revoked")
    }
}
