internal import Hummingbird
package import Logging
internal import NIOCore
internal import NIOHTTP1
package import RoostNode

/// The admin port: health, metrics, and what an operator asks when something is wrong.
package struct AdminAPI: HTTPService {
    private let node: any NodeService
    private let routes: RoutedService

    /// - Parameter tokens: what a bearer must know of everything but the health checks.
    package init(
        node: any NodeService, passwords: PasswordHasher, tokens: AdminTokens, loop: LoopMonitor,
        certificates: NodeCertificates? = nil, logger: Logger
    ) {
        self.node = node
        let table = RouteTable()
        HealthRoutes(node: node).add(to: table)
        table.seal()
        MetricsRoutes(node: node, loop: loop, certificates: certificates).add(to: table)
        ClusterRoutes(node: node, certificates: certificates).add(to: table)
        AdminUserRoutes(node: node, passwords: passwords).add(to: table)
        AdminKeyRoutes(node: node).add(to: table)
        AdminConversationRoutes(node: node).add(to: table)
        AdminMessageRoutes(node: node).add(to: table)
        table.seal(behind: AdminMiddleware(tokens: tokens, node: node))
        routes = RoutedService(routes: table, logger: logger)
    }

    package func answer(_ call: HTTPCall) async -> HTTPAnswer {
        await node.withinHTTPTimeout { await routes.answer(call) }
    }
}
