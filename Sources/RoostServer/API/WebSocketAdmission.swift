internal import Foundation
package import NIOCore
internal import NIOHTTP1
internal import RoostModel
package import RoostNode

/// `GET /api/ws/{user_id}`: everything that is decided before the upgrade. Refusals are HTTP.
package struct WebSocketAdmission: HTTPService {
    package static let path = "/api/ws/"

    private let node: any NodeService
    private let tokens: TokenAuthority
    private let core: any EventLoop

    package init(node: any NodeService, tokens: TokenAuthority, core: any EventLoop) {
        self.node = node
        self.tokens = tokens
        self.core = core
    }

    package func answer(_ call: HTTPCall) async -> HTTPAnswer {
        do {
            return .upgrade(try await admit(call))
        } catch {
            return .reply(error.reply)
        }
    }

    private func admit(_ call: HTTPCall) async throws(Problem) -> HTTPUpgrade {
        let key = try WebSocketHandshake.key(of: call.head)
        let offer = WebSocketHandshake.Offer(call.head)
        let authorization = call.head.headers.first(name: "authorization").flatMap { bearerToken(in: $0) }
        guard let token = offer.token ?? authorization else { throw .unauthorized("a token is needed") }
        let caller = try await tokens.verify(token)
        guard let user = UserID(call.path.dropFirst(Self.path.count)) else {
            throw .invalid("the path must end with a user id")
        }
        guard user == caller.user else { throw .forbidden("the token is another user's") }
        let request = try request(call, caller, offer)
        guard caller.device == nil || caller.device == request.device else {
            throw .forbidden("the token is another device's")
        }

        let pending: any PendingSession
        switch await node.openSession(request) {
        case .success(let admitted): pending = admitted
        case .failure(let refusal): throw Problem(refusal)
        }
        var headers: HTTPHeaders = [
            "upgrade": "websocket", "connection": "upgrade",
            "sec-websocket-accept": WebSocketHandshake.accept(key: key),
        ]
        if let answer = offer.answer { headers.add(name: "sec-websocket-protocol", value: answer) }
        let core = core
        let maxFrame = node.configuration.limits.maxFrame
        return HTTPUpgrade(headers: headers) { channel in
            let handler = WebSocketSessionHandler(pending: pending, core: core, maxFrame: maxFrame)
            try channel.pipeline.syncOperations.addHandler(handler)
        } abandon: {
            core.run { pending.abandon() }
        }
    }

    private func request(
        _ call: HTTPCall, _ caller: Caller, _ offer: WebSocketHandshake.Offer
    ) throws(Problem) -> SessionRequest {
        let query = QueryItems(call.head.uri)
        guard let name = query["device_id"] else { throw .missing("device_id") }
        guard let device = DeviceID(name) else {
            throw .wrongDevice
        }
        let start: SessionRequest.Start
        switch query["start"] {
        case nil, "all": start = .all
        case "now": start = .now
        case .some(let text):
            guard let seconds = Double(text), seconds >= 0, Timestamps.microseconds(seconds) != nil else {
                throw .invalid("start must be all, now or UNIX seconds")
            }
            start = .at(seconds)
        }
        let clientAcks: Bool
        switch query["ack"] {
        case nil: clientAcks = offer.isModern
        case "client": clientAcks = true
        case "auto": clientAcks = false
        default: throw .invalid("ack must be auto or client")
        }
        return SessionRequest(
            user: caller.user, device: device, start: start, modern: offer.isModern, clientAcks: clientAcks,
            tokenExpires: caller.expires, tokenIssued: caller.issued, token: caller.token,
            checkToken: check(for: caller.user, device))
    }

    /// For tokens that a session is given later.
    private func check(for user: UserID, _ device: DeviceID) -> TokenCheck {
        let (tokens, core) = (tokens, core)
        return { token, answer in
            Task {
                let verdict = await tokens.verdict(on: token, of: user, device)
                core.execute { answer(verdict) }
            }
        }
    }
}

/// The query of a request target; of a name given twice the first counts.
struct QueryItems {
    private let items: [(name: Substring, value: Substring)]

    init(_ uri: String) {
        guard let mark = uri.firstIndex(of: "?") else {
            items = []
            return
        }
        items = uri[uri.index(after: mark)...].split(separator: "&").map { item in
            let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (parts[0], parts.count > 1 ? parts[1] : "")
        }
    }

    subscript(name: String) -> String? {
        guard let item = items.first(where: { $0.name == name }) else { return nil }
        return String(item.value).removingPercentEncoding ?? String(item.value)
    }
}

extension TokenAuthority {
    fileprivate func verdict(on token: String, of user: UserID, _ device: DeviceID) async -> TokenVerdict {
        do throws(Problem) {
            let caller = try await verify(token)
            guard caller.user == user else { return .refused("it is another user's") }
            guard caller.device == nil || caller.device == device else { return .refused("it is another device's") }
            return .holds(.init(stamp: caller.token, issued: caller.issued, expires: caller.expires))
        } catch {
            return error.status == .unauthorized ? .refused(error.detail) : .unknown
        }
    }
}

extension Problem {
    static let wrongDevice = Problem.invalid("device_id must be 1 to 64 of letters, digits, '.', '_' and '-'")

    init(_ refusal: SessionRefusal) {
        switch refusal {
        case .disabled: self = .unauthorized("the account is disabled")
        case .revoked: self = .unauthorized("the token is revoked")
        case .tooManyDevices:
            self.init(.tooManyRequests, "too_many_devices", "the user has too many devices", retryAfterSeconds: 30)
        case .unavailable: self = .unavailable("the user's partition has no leader at the moment")
        case .tooMany(let milliseconds):
            self.init(
                .serviceUnavailable, "busy", "too many sessions are being opened at this node",
                retryAfterSeconds: Int(clamping: (milliseconds + 999) / 1_000))
        case .draining:
            self.init(
                .serviceUnavailable, "draining", "this node is going down: connect to another one",
                retryAfterSeconds: 1)
        }
    }
}
