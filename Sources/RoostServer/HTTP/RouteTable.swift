internal import HTTPTypes
package import Hummingbird
internal import Logging
internal import NIOHTTP1

/// The routes of one port. Every path answers 405 to the methods it does not have.
package final class RouteTable {
    package typealias Handler = @Sendable (Request, APIContext) async throws -> Response
    private typealias Methods = [(method: HTTPRequest.Method, handler: Handler)]

    let router = Router(context: APIContext.self, options: .autoGenerateHeadEndpoints)
    private var paths: [(path: String, methods: Methods)] = []

    package init() {
        router.add(middleware: ProblemMiddleware())
    }

    package func get(_ path: String, _ handler: @escaping Handler) { add(path, .get, handler) }
    package func put(_ path: String, _ handler: @escaping Handler) { add(path, .put, handler) }
    package func delete(_ path: String, _ handler: @escaping Handler) { add(path, .delete, handler) }
    package func post(_ path: String, _ handler: @escaping Handler) { add(path, .post, handler) }

    private func add(_ path: String, _ method: HTTPRequest.Method, _ handler: @escaping Handler) {
        if let index = paths.firstIndex(where: { $0.path == path }) {
            paths[index].methods.append((method, handler))
        } else {
            paths.append((path, [(method, handler)]))
        }
    }

    /// Puts what was added behind `middleware`; what is added later is not.
    package func seal(behind middleware: (any MiddlewareProtocol<Request, Response, APIContext>)? = nil) {
        for (path, methods) in paths {
            let group = router.group()
            if let middleware { group.add(middleware: middleware) }
            for (method, handler) in methods { group.on(RouterPath(path), method: method, use: handler) }
            let allowed = methods.map(\.method.rawValue).joined(separator: ", ")
            for method in [HTTPRequest.Method.get, .post, .put, .patch, .delete, .options]
            where !methods.contains(where: { $0.method == method }) {
                router.on(RouterPath(path), method: method) { _, _ -> Response in
                    var problem = Problem(.methodNotAllowed, "method_not_allowed", "this path takes \(allowed)")
                    problem.headers = [("allow", allowed)]
                    throw problem
                }
            }
        }
        paths.removeAll()
    }
}

/// Turns every error into problem details.
struct ProblemMiddleware: RouterMiddleware {
    func handle(
        _ request: Request, context: APIContext, next: @concurrent (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let problem as Problem {
            return Response(problem.reply)
        } catch let error as HTTPError where error.status == .notFound {
            return Response(Problem(.notFound, "not_found", "there is nothing at this path").reply)
        } catch {
            context.logger.error("a call failed", metadata: ["path": "\(request.uri.path)", "error": "\(error)"])
            return Response(Problem(.internalServerError, "internal", "the server failed on this call").reply)
        }
    }
}
