internal import Hummingbird
internal import NIOHTTP1
internal import RoostNode

/// Whether the process lives, and whether it serves.
struct HealthRoutes {
    let node: any NodeService

    func add(to table: RouteTable) {
        for path in ["/livez", "/healthz"] {
            table.get(path) { _, _ in .json { $0.object { $0.field("status", "ok") } } }
        }
        table.get("/readyz") { _, _ in
            let view = await node.view()
            guard view.phase == .serving else {
                throw Problem(
                    .serviceUnavailable, "not_ready", view.waitingFor ?? "the node is \(view.phase.rawValue)",
                    retryAfterSeconds: 1)
            }
            return .json { $0.object { $0.field("status", "ok") } }
        }
    }
}
