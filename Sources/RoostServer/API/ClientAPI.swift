package import Logging
package import NIOCore
package import RoostNode

/// The client port: the HTTP API and, under one path, the WebSocket.
package struct ClientAPI: HTTPService {
    private let node: any NodeService
    private let routes: RoutedService
    private let admission: WebSocketAdmission

    package init(
        node: any NodeService, tokens: TokenAuthority, passwords: PasswordHasher, core: any EventLoop, logger: Logger
    ) {
        self.node = node
        let table = RouteTable()
        let limits = CallLimits(node: node)
        let auth = AuthMiddleware(tokens: tokens, accounts: AccountGate(node: node), limits: limits)
        AccountRoutes(node: node, tokens: tokens, passwords: passwords, limits: limits).add(to: table, auth: auth)
        ConversationRoutes(node: node).add(to: table)
        HistoryRoutes(node: node).add(to: table)
        SyncRoutes(node: node).add(to: table)
        PresenceRoutes(node: node).add(to: table)
        SettingsRoutes(node: node).add(to: table)
        DeviceRoutes(node: node, accounts: auth.accounts).add(to: table)
        table.seal(behind: auth)
        routes = RoutedService(routes: table, logger: logger)
        admission = WebSocketAdmission(node: node, tokens: tokens, core: core)
    }

    package func answer(_ call: HTTPCall) async -> HTTPAnswer {
        await node.withinHTTPTimeout {
            call.path.hasPrefix(WebSocketAdmission.path) ? await admission.answer(call) : await routes.answer(call)
        }
    }
}
