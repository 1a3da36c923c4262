internal import Foundation
package import Logging
internal import NIOCore
internal import NIOPosix
package import RoostModel
package import RoostNode
internal import RoostStorage
internal import Synchronization

/// One node as a process: opens its data, listens, serves until SIGTERM or SIGINT, drains.
package enum NodeRunner {
    /// Returns after a drained stop.
    /// - Throws: one line and an exit code: 69 for a port in use, 73 for a data directory that cannot be used, 74 for
    ///   storage that failed while running, 65 for a database that the next start sets aside, 78 for a node that the configuration does not know.
    package static func run(
        config: ClusterConfig, node id: NodeID, join: JoinOptions? = nil, logger: Logger
    ) async throws(NodeRunError) {
        guard let own = config.node(id) else {
            throw NodeRunError(
                message: "nodes: there is no node \(id) in this cluster.json",
                exitCode: NodeRunError.configuration)
        }
        ProcessSetup.apply()
        let (events, inbox) = AsyncStream.makeStream(of: RunEvent.self, bufferingPolicy: .bufferingOldest(16))
        let stopping = StopFlag()
        let signals = SignalWatch {
            stopping.set()
            inbox.yield(.signal)
        }
        defer { withExtendedLifetime(signals) {} }

        let started = try await NodeProcess.start(
            config: config, own: own, join: join, logger: logger, left: { inbox.yield(.left) },
            failed: { inbox.yield(.failed($0)) },
            isStopping: { stopping.isSet })
        guard let process = started else { return }
        let node = process.node
        // Not a child task: a node that never comes to serve must not keep the process from ending.
        Task {
            await node.untilServing()
            inbox.yield(.serving)
        }
        for await event in events {
            switch event {
            case .serving: process.announce()
            case .failed(let line): throw process.failure(line, isRemoved: await node.isRemoved)
            case .left:
                process.announceLeft()
                try await stop(process, events, inbox, hasLeft: true)
                logger.notice("stopped: this node has left the cluster, its data directory can be deleted")
                return
            case .signal:
                try await stop(process, events, inbox)
                logger.notice("stopped")
                return
            }
        }
    }

    /// - Throws: what failed meanwhile.
    private static func stop(
        _ process: NodeProcess, _ events: AsyncStream<RunEvent>, _ inbox: AsyncStream<RunEvent>.Continuation,
        hasLeft: Bool = false
    ) async throws(NodeRunError) {
        let isRemoved = await process.stop()
        inbox.finish()
        for await event in events {
            if case .failed(let line) = event { throw process.failure(line, isRemoved: isRemoved && !hasLeft) }
        }
    }

    private final class StopFlag: Sendable {
        private let value = Atomic(false)
        var isSet: Bool { value.load(ordering: .acquiring) }
        func set() { value.store(true, ordering: .releasing) }
    }

    private enum RunEvent: Sendable {
        case serving
        case signal
        case left
        case failed(String)
    }
}
