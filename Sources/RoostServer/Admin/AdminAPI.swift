internal import Hummingbird
package import Logging
internal import NIOCore
internal import NIOHTTP1
package import RoostNode

/// The admin port: health, metrics, and what an operator asks when something is wrong.
package struct AdminAPI: HTTPService {
    private let node: any NodeService
    private let routes: RoutedService

    /// - Parameter token: what a bearer must know of everything but the health checks; nil where the port is on
    ///   loopback.
    package init(
        node: any NodeService, passwords: PasswordHasher, token: String?, loop: LoopMonitor,
        certificates: NodeCertificates? = nil, logger: Logger
    ) {
        self.node = node
        let table = RouteTable()
        HealthRoutes(node: node).add(to: table)
        table.seal()
        MetricsRoutes(node: node, loop: loop, certificates: certificates).add(to: table)
        ClusterRoutes(node: node, certificates: certificates).add(to: table)
        AdminUserRoutes(node: node, passwords: passwords).add(to: table)
        AdminConversationRoutes(node: node).add(to: table)
        AdminMessageRoutes(node: node).add(to: table)
        table.seal(behind: token.map { AdminTokenMiddleware(token: $0) })
        routes = RoutedService(routes: table, logger: logger)
    }

    package func answer(_ call: HTTPCall) async -> HTTPAnswer {
        await node.withinHTTPTimeout { await routes.answer(call) }
    }
}

struct AdminTokenMiddleware: RouterMiddleware {
    let token: String

    func handle(
        _ request: Request, context: APIContext, next: @concurrent (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        guard let given = request.bearerToken, ConstantTime.equal(given.utf8, token.utf8) else {
            throw Problem.unauthorized("the admin token is needed")
        }
        return try await next(request, context)
    }
}
