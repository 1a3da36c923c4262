import NIOCore
import RoostCluster
package import RoostModel
package import RoostProtocol

/// What HTTP, WebSocket and admin ask of the node.
extension Node: NodeService {
    package nonisolated var configuration: ClusterConfig { context.configuration }
    package nonisolated var nodeID: NodeID { context.id }
    package nonisolated func wall() -> Int64 { context.clusterTime }
    package nonisolated func now() -> UInt64 { context.clock.now() }
    package func makeUUID() async -> UUID128 { .version4(using: &generator) }

    package func propose(_ command: Command) async -> CommandResult {
        await withCheckedContinuation { (continuation: CheckedContinuation<CommandResult, Never>) in
            call(.propose(command), deadline: CallDeadline.current) { outcome in
                if case .applied(let result) = outcome {
                    continuation.resume(returning: result)
                } else {
                    continuation.resume(returning: .rejected(.unavailable))
                }
            }
        }
    }

    package func read(_ request: ReadRequest) async -> ReadResponse {
        await read(request, partition: nil)
    }

    package func read(_ request: ReadRequest, of partition: PartitionID) async -> ReadResponse {
        await read(request, partition: partition)
    }

    private func read(
        _ request: ReadRequest, partition: PartitionID?, at target: NodeID? = nil
    ) async -> ReadResponse {
        await withCheckedContinuation { (continuation: CheckedContinuation<ReadResponse, Never>) in
            call(.read(request), partition: partition, to: target, deadline: CallDeadline.current) { outcome in
                if case .read(let response) = outcome {
                    continuation.resume(returning: response)
                } else {
                    continuation.resume(returning: .rejected(.unavailable))
                }
            }
        }
    }

    package func readAll(_ make: @Sendable (PartitionID) -> ReadRequest) async -> [ReadResponse] {
        await withCheckedContinuation { (continuation: CheckedContinuation<[ReadResponse], Never>) in
            readAll(make, deadline: CallDeadline.current) { continuation.resume(returning: $0) }
        }
    }

    func readAll(
        _ make: (PartitionID) -> ReadRequest, deadline: UInt64? = nil,
        _ completion: @escaping @Sendable ([ReadResponse]) -> Void
    ) {
        let gathering = Gathering(count: partitionCount, context: context, done: completion)
        for index in 0..<partitionCount {
            let partition = PartitionID(UInt16(index))
            call(.read(make(partition)), partition: partition, deadline: deadline) { outcome in
                let response: ReadResponse
                if case .read(let answer) = outcome {
                    response = answer
                } else {
                    response = .rejected(.unavailable)
                }
                gathering.onCore { $0.take(index, response) }
            }
        }
    }

    package func replicaStatus(of partition: PartitionID, index: UInt64, at node: NodeID) async -> ReplicaStatus? {
        let answer = await read(.replica(index: index), partition: partition, at: node)
        if case .replica(let status) = answer { return status }
        return nil
    }

    package func revokeSessions(of user: UserID) async { revokedHere(user, announce: true) }

    /// Returns once the node serves.
    package func untilServing() async {
        if phase == .serving || phase == .draining { return }
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            servingWaiters.append { continuation.resume() }
        }
    }
}

/// Gathers one answer of each partition.
private actor Gathering {
    nonisolated let context: NodeContext
    nonisolated var unownedExecutor: UnownedSerialExecutor { context.executor.asUnownedSerialExecutor() }
    private var responses: [ReadResponse]
    private var missing: Int
    private let done: @Sendable ([ReadResponse]) -> Void

    init(count: Int, context: NodeContext, done: @escaping @Sendable ([ReadResponse]) -> Void) {
        self.context = context
        responses = Array(repeating: .none, count: count)
        missing = count
        self.done = done
    }

    func take(_ index: Int, _ response: ReadResponse) {
        responses[index] = response
        missing -= 1
        if missing == 0 { done(responses) }
    }
}
