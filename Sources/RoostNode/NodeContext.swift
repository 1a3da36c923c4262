package import Logging
package import RoostModel
import RoostProtocol
package import RoostStorage
import Synchronization

/// What a node is given from outside, shared by its actors. Everything that is not deterministic comes through here.
package final class NodeContext: Sendable {
    package let configuration: ClusterConfig
    package let id: NodeID
    package let clock: any NodeClock
    package let transport: any Transport
    package let storage: any Storage
    package let logger: Logger
    /// Username -> user id; nil where it can't be a username. (Folding needs Unicode tables that pure modules lack.)
    package let userID: @Sendable (String) -> UserID?
    /// Bytes that nobody can guess, for keys.
    package let secretBytes: @Sendable (Int) -> [UInt8]
    /// All actors of the node live on this executor and enter one another synchronously.
    package let executor: any SerialExecutor
    package let counters = NodeCounters()
    /// What is taken off the own wall clock, microseconds: 0 unless the others' say that it is wrong.
    let clockCorrection = Atomic<Int64>(0)
    /// For all threads, up to a second behind `Node.clusterTime`.
    package var clusterTime: Int64 { clock.wall() - clockCorrection.load(ordering: .relaxed) }

    package init(
        configuration: ClusterConfig, id: NodeID, clock: any NodeClock, transport: any Transport,
        storage: any Storage, logger: Logger, userID: @escaping @Sendable (String) -> UserID?,
        secretBytes: @escaping @Sendable (Int) -> [UInt8], executor: any SerialExecutor
    ) {
        self.configuration = configuration
        self.id = id
        self.clock = clock
        self.transport = transport
        self.storage = storage
        self.logger = logger
        self.userID = userID
        self.secretBytes = secretBytes
        self.executor = executor
    }

    package func after(milliseconds: Int, _ body: @escaping @Sendable () -> Void) -> any ScheduledTimer {
        clock.schedule(after: UInt64(max(0, milliseconds)) * 1_000_000, body)
    }
}

extension Actor {
    /// Enters the actor from code that already runs on its executor: no hop, no job, no reordering.
    nonisolated func onCore<T: Sendable>(_ body: (isolated Self) -> T) -> T { assumeIsolated(body) }
}
