import Logging
internal import NIOConcurrencyHelpers
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import RoostModel
import RoostNode
import RoostProtocol

@testable import RoostServer

/// A client port and an admin port on loopback, in front of a fake node.
struct TestServer {
    let node: FakeNode
    let group: MultiThreadedEventLoopGroup
    /// Where sessions live.
    let core: any EventLoop
    let tokens: TokenAuthority
    let passwords: PasswordHasher
    let client: HTTPListener
    let admin: HTTPListener

    /// - Parameter separateCore: the sessions' event loop is another than the sockets'.
    static func run(
        node: FakeNode = FakeNode(), separateCore: Bool = false, adminTokens: [(name: String, token: String)] = [],
        limits: HTTPLimits = .patient(), maxConnections: Int = 100,
        refusals: Int = 64, tls: ListenerTLS? = nil,
        logger: Logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
        _ body: (TestServer) async throws -> Void
    ) async throws {
        TestProcess.prepare()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: separateCore ? 2 : 1)
        let loop = group.next()
        let core = separateCore ? group.next() : loop
        var connections = ConnectionLimits(node.configuration.limits)
        connections.total = maxConnections
        connections.refusals = refusals
        let passwords = PasswordHasher(
            logN: 4, threads: 1, maxQueued: node.configuration.security.maxQueuedPasswordChecks)
        let tokens = TokenAuthority(node: node)
        let client = try await HTTPListener.start(
            group: loop, host: "127.0.0.1", port: 0, limits: limits, connections: connections, tls: tls,
            service: ClientAPI(node: node, tokens: tokens, passwords: passwords, core: core, logger: logger))
        let admin = try await HTTPListener.start(
            group: loop, host: "127.0.0.1", port: 0, limits: limits, connections: ConnectionLimits(total: 16),
            service: AdminAPI(
                node: node, passwords: passwords, tokens: AdminTokens(adminTokens, isOpen: adminTokens.isEmpty),
                loop: LoopMonitor(), logger: logger))
        let server = TestServer(
            node: node, group: group, core: core, tokens: tokens, passwords: passwords, client: client, admin: admin)
        do {
            try await body(server)
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }

    private func stop() async {
        await client.stop()
        await admin.stop()
        await passwords.stop()
        try? await group.shutdownGracefully()
    }

    func connect() async throws -> TestConnection { try await TestConnection.connect(port: client.port) }
    func connectAdmin() async throws -> TestConnection { try await TestConnection.connect(port: admin.port) }

    /// An account that is there without a registration, and a token for it.
    func user(_ name: String, role: AccountRole = .user) async throws -> (id: UserID, token: String) {
        let id = try requireUser(name)
        node.state.withLockedValue {
            $0.accounts[id] = AccountRecord(user: id, username: name, passwordHash: "", role: role, createdAt: 1)
        }
        return (id, try await token(of: id))
    }

    /// Another token for an account that is there.
    func token(of id: UserID, device: DeviceID? = nil) async throws -> String {
        guard let account = node.state.withLockedValue({ $0.accounts[id] }) else { throw Problem(.unknownUser) }
        return try await tokens.issue(to: account, role: account.role, device: device).token
    }

    private func requireUser(_ name: String) throws -> UserID {
        guard let id = UsernameRules.userID(of: name) else { throw Problem.invalid("name") }
        return id
    }
}

extension HTTPLimits {
    /// Of tests whose subject is no timeout: services share the threads of the pool with all other tests.
    static func patient(maxBody: Int = 1_024) -> HTTPLimits {
        var limits = HTTPLimits(headMilliseconds: 300_000, maxBody: maxBody)
        limits.answerMilliseconds = 300_000
        return limits
    }
}

/// As a node begins: all tests run at once, with more descriptors than the usual limit.
enum TestProcess {
    private static let prepared: Void = ProcessSetup.apply()
    static func prepare() { prepared }
}
