internal import HTTPTypes
internal import Hummingbird

/// Lets only calls with a valid bearer token through (RFC 6750).
struct AuthMiddleware: RouterMiddleware {
    let tokens: TokenAuthority
    let accounts: AccountGate
    let limits: CallLimits

    func handle(
        _ request: Request, context: APIContext, next: @concurrent (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        guard let token = request.bearerToken else { throw Problem.unauthorized("a bearer token is needed") }
        let caller = try await tokens.verify(token)
        try await accounts.check(caller)
        try limits.admitCall(of: caller.user)
        var context = context
        context.authenticated = caller
        return try await next(request, context)
    }
}

extension Request {
    var bearerToken: String? { headers[.authorization].flatMap { RoostServer.bearerToken(in: $0) } }
}

/// The token of an `Authorization` header's value.
func bearerToken(in value: String) -> String? {
    let parts = value.split(separator: " ", maxSplits: 1)
    guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
    let token = parts[1].drop { $0 == " " }
    return token.isEmpty ? nil : String(token)
}
