package import Hummingbird
package import Logging
package import RoostModel
package import RoostProtocol

/// Whom a token speaks for.
package struct Caller: Sendable, Equatable {
    package var user: UserID
    package var role: AccountRole
    /// For which the token speaks alone, where it was made for one.
    package var device: DeviceID?
    package var token: TokenStamp
    /// UNIX seconds.
    package var issued: Double
    /// UNIX seconds.
    package var expires: Double { Double(token.expires) }

    package init(user: UserID, role: AccountRole, device: DeviceID?, token: TokenStamp, issued: Double) {
        self.user = user
        self.role = role
        self.device = device
        self.token = token
        self.issued = issued
    }
}

package struct APIContextSource: RequestContextSource {
    package let logger: Logger
    package let address: ClientAddress
}

/// What belongs to one call on its way through the router.
package struct APIContext: RequestContext {
    package typealias Source = APIContextSource

    package var coreContext: CoreRequestContextStorage
    /// Set by `AuthMiddleware`.
    package var authenticated: Caller?
    /// Who calls, or the proxy that calls for him.
    package let address: ClientAddress
    package let audit = AuditNote()

    package init(source: APIContextSource) {
        coreContext = .init(source: source)
        address = source.address
    }

    /// - Throws: 401 on routes without `AuthMiddleware`.
    package func caller() throws(Problem) -> Caller {
        guard let authenticated else { throw .unauthorized("a token is needed") }
        return authenticated
    }
}
