internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOConcurrencyHelpers
internal import NIOHTTP1
internal import RoostCluster
internal import RoostModel
package import RoostNode

/// What a call has to say of itself in the audit log, beyond its path.
package final class AuditNote: Sendable {
    private let text = NIOLockedValueBox<String?>(nil)

    package init() {}

    package var value: String? { text.withLockedValue { $0 } }
    package func set(_ note: String) { text.withLockedValue { $0 = note } }
}

/// Who may use the admin port, and who did what: one line for each call that changes something, and for each that was not
/// allowed.
struct AdminMiddleware: RouterMiddleware {
    let tokens: AdminTokens
    let node: any NodeService
    /// Whoever guesses tokens must not fill the log.
    private let refusals = NIOLockedValueBox(TokenBucket())

    init(tokens: AdminTokens, node: any NodeService) {
        self.tokens = tokens
        self.node = node
    }

    func handle(
        _ request: Request, context: APIContext, next: @concurrent (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        guard let name = tokens.name(of: request.bearerToken) else {
            if let limit = RateLimit(10), refusals.withLockedValue({ $0.take(limit, now: node.now()) }) == nil {
                record(request, context, by: "unknown", status: 401, level: .warning)
            }
            throw Problem.unauthorized("the admin token is needed")
        }
        do {
            let response = try await next(request, context)
            record(request, context, by: name, status: Int(response.status.code), level: .notice)
            return response
        } catch {
            let status = (error as? Problem).map { Int($0.status.code) } ?? 500
            record(request, context, by: name, status: status, level: .notice)
            throw error
        }
    }

    private func record(_ request: Request, _ context: APIContext, by name: String, status: Int, level: Logger.Level) {
        guard status == 401 || request.method != .get && request.method != .head else { return }
        var metadata: Logger.Metadata = [
            "by": "\(name)", "from": "\(context.address.text)", "method": "\(request.method.rawValue)",
            "path": "\(request.uri.path)", "status": "\(status)",
        ]
        if let note = context.audit.value { metadata["what"] = "\(note)" }
        context.logger.log(level: level, "audit", metadata: metadata)
    }
}

/// The bearer tokens of the admin port, each with the name of who has it.
package struct AdminTokens: Sendable {
    private let digests: [(name: String, digest: [UInt8])]
    /// On loopback nobody needs one.
    private let isOpen: Bool

    package init(_ security: ClusterConfig.Security, isOpen: Bool) {
        var tokens = security.adminTokens.map { ($0.name, $0.token) }
        if let token = security.adminToken { tokens.append(("admin", token)) }
        self.init(tokens, isOpen: isOpen)
    }

    package init(_ tokens: [(name: String, token: String)], isOpen: Bool) {
        digests = tokens.map { ($0.name, ConstantTime.digest($0.token)) }
        self.isOpen = isOpen
    }

    /// Nil for one who may do nothing. Takes as long whichever token it is, and however much of it is right.
    func name(of given: String?) -> String? {
        let digest = ConstantTime.digest(given ?? "")
        var found: String?
        for (name, expected) in digests where ConstantTime.equal(digest, expected) { found = name }
        return found ?? (isOpen ? "loopback" : nil)
    }
}
