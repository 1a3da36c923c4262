internal import NIOCore
package import NIOHTTP1
package import RoostProtocol

/// An error as RFC 9457 ("Problem Details for HTTP APIs") has it, with a `code` for programs.
package struct Problem: Error, Sendable, Equatable {
    package var status: HTTPResponseStatus
    /// Lower-case words joined by `_`; stable.
    package var code: String
    /// For people; says what to change.
    package var detail: String
    package var retryAfterSeconds: Int?
    /// Further headers.
    package var headers: [(name: String, value: String)] = []

    package init(
        _ status: HTTPResponseStatus, _ code: String, _ detail: String, retryAfterSeconds: Int? = nil
    ) {
        self.status = status
        self.code = code
        self.detail = detail
        self.retryAfterSeconds = retryAfterSeconds
    }

    package static func == (a: Problem, b: Problem) -> Bool {
        a.status == b.status && a.code == b.code && a.detail == b.detail && a.retryAfterSeconds == b.retryAfterSeconds
    }

    package var reply: HTTPReply {
        var json = JSONText()
        json.object {
            $0.field("type", "about:blank")
            $0.field("title", status.reasonPhrase)
            $0.field("status", Int(status.code))
            $0.field("detail", detail)
            $0.field("code", code)
        }
        var reply = HTTPReply(status: status, body: json.bytes)
        reply.headers.add(name: "content-type", value: "application/problem+json")
        if let retryAfterSeconds { reply.headers.add(name: "retry-after", value: String(retryAfterSeconds)) }
        for header in headers { reply.headers.add(name: header.name, value: header.value) }
        return reply
    }
}

extension Problem {
    package static func invalid(_ detail: String) -> Problem { Problem(.badRequest, "invalid_field", detail) }

    package static func missing(_ field: String) -> Problem {
        Problem(.badRequest, "missing_field", "\(field) is missing")
    }

    package static func unauthorized(_ detail: String) -> Problem {
        var problem = Problem(.unauthorized, "unauthorized", detail)
        problem.headers = [("www-authenticate", "Bearer")]
        return problem
    }

    package static func conflict(_ detail: String) -> Problem { Problem(.conflict, "conflict", detail) }

    package static func forbidden(_ detail: String) -> Problem { Problem(.forbidden, "forbidden", detail) }

    package static func unavailable(_ detail: String) -> Problem {
        Problem(.serviceUnavailable, "unavailable", detail, retryAfterSeconds: 1)
    }

    package static let tooLarge = Problem(.payloadTooLarge, "too_large", "the body is larger than this server takes")

    /// What a partition's refusal means over HTTP.
    package init(_ rejection: Rejection) {
        switch rejection {
        case .unknownConversation:
            self.init(.notFound, "unknown_conversation", "there is no such conversation")
        case .unknownUser: self.init(.notFound, "unknown_user", "there is no such user")
        case .notMember: self.init(.forbidden, "not_member", "only members of the conversation may do this")
        case .notAllowed:
            self.init(.forbidden, "not_allowed", "the member's role in the conversation does not allow this")
        case .idReused: self.init(.conflict, "id_reused", "the id stands for something else")
        case .conflict: self.init(.conflict, "conflict", "the name or id is taken, with other parameters")
        case .limitExceeded: self.init(.badRequest, "limit_exceeded", "a limit of this cluster would be exceeded")
        case .invalid: self.init(.badRequest, "invalid_field", "the parameters do not fit together")
        case .accountDisabled: self = .unauthorized("the account is disabled")
        case .unavailable, .outOfOrder:
            self = .unavailable("no answer from a majority of the replicas; the outcome is unknown, try again")
        case .unknownMessage: self.init(.notFound, "unknown_message", "there is no such message")
        case .unknownDevice: self.init(.notFound, "unknown_device", "there is no such device")
        case .unknownKey: self.init(.notFound, "unknown_key", "there is no such key")
        case .tokenRevoked: self = .unauthorized("the token is revoked")
        }
    }
}
