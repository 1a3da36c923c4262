package import Hummingbird
package import Logging
package import RoostModel

/// Whom a token speaks for.
package struct Caller: Sendable, Equatable {
    package var user: UserID
    package var role: AccountRole
    /// UNIX seconds.
    package var expires: Double

    package init(user: UserID, role: AccountRole, expires: Double) {
        self.user = user
        self.role = role
        self.expires = expires
    }
}

package struct APIContextSource: RequestContextSource {
    package let logger: Logger
}

/// What belongs to one call on its way through the router.
package struct APIContext: RequestContext {
    package typealias Source = APIContextSource

    package var coreContext: CoreRequestContextStorage
    /// Set by `AuthMiddleware`.
    package var authenticated: Caller?

    package init(source: APIContextSource) {
        coreContext = .init(source: source)
    }

    /// - Throws: 401 on routes without `AuthMiddleware`.
    package func caller() throws(Problem) -> Caller {
        guard let authenticated else { throw .unauthorized("a token is needed") }
        return authenticated
    }
}
