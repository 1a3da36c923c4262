import NIOCore
import RoostCluster
import RoostModel
import RoostProtocol
import RoostStorage

/// Proposals and reads of this node: to the leader as known, again when it changes or is silent, until they are
/// answered or their time is up.
extension Node {
    func leader(of partition: PartitionID) -> NodeID? {
        Int(partition.value) < receivers.count ? receivers[Int(partition.value)].leader : nil
    }

    /// - Parameters:
    ///   - target: whom to ask; nil for whoever leads the partition.
    ///   - deadline: on the node's clock; it ends within `proposal_timeout_ms` in any case.
    @discardableResult
    func call(
        _ kind: CallKind, partition given: PartitionID? = nil, to target: NodeID? = nil, deadline: UInt64? = nil,
        remade: (@Sendable () -> Command?)? = nil,
        _ completion: @escaping @Sendable (CallOutcome) -> Void
    ) -> UInt64 {
        let body: CallTable.Call.Body
        let partition: PartitionID
        var isIdentified = false
        switch kind {
        case .propose(let command):
            partition = given ?? command.partition(count: partitionCount) ?? 0
            isIdentified = command.needsIdentity
            var buffer = ByteBuffer()
            (isIdentified ? .called(nextIdentity(in: partition), command) : command).encode(into: &buffer)
            body = .propose(buffer)
        case .read(let request):
            body = .read(request)
            partition = given ?? request.partition(count: partitionCount) ?? 0
        }
        let timeout = UInt64(configuration.timing.proposalTimeoutMilliseconds) * 1_000_000
        let id = calls.add(
            CallTable.Call(
                partition: partition, body: body, isIdentified: isIdentified, target: target,
                deadline: min(deadline ?? .max, context.clock.now() + timeout), remade: remade,
                completion: completion))
        dispatch(id)
        return id
    }

    /// That of the call which is made next.
    private func nextIdentity(in partition: PartitionID) -> CallIdentity {
        CallIdentity(
            caller: RaftPeer(node: me, store: facts.store), id: calls.next, oldest: calls.oldest(of: partition))
    }

    /// A proposal whose outcome nobody waits for.
    func proposeQuietly(_ command: Command, partition: PartitionID) {
        call(.propose(command), partition: partition) { _ in }
    }

    private func dispatch(_ id: UInt64) {
        guard let call = calls[id], let leader = call.target ?? leader(of: call.partition), isReachable(leader)
        else { return }
        let epoch = leader == me ? facts.epoch : peers[leader]?.onCore { $0.link?.epoch } ?? 0
        calls.sent(id, at: context.clock.now(), to: .init(node: leader, epoch: epoch))
        switch call.body {
        case .propose(let command):
            send(proposal: Proposal(id: id, partition: call.partition, command: command), to: leader)
        case .read(let request):
            send(read: ReadCall(id: id, partition: call.partition, request: request), to: leader)
        }
    }

    /// All unanswered calls of a partition again, in their order.
    func resendCalls(of partition: PartitionID) {
        for id in calls.ids(of: partition) {
            if calls[id]?.sentAt != nil { context.counters.proposalsResent.increment() }
            dispatch(id)
        }
    }

    func received(_ result: ProposalResult, from node: NodeID) {
        switch result.outcome {
        case .applied(.rejected(.outOfOrder)):
            // Something before it is missing in the log, or was answered without it: all go again, in their order,
            // with the next retry. One whose turn is over will not be heard of again: its outcome is unknown.
            if calls.outOfOrder(result.id) == nil { calls.remove(result.id)?.completion(.unavailable) }
        case .applied(let answer):
            guard let call = calls.remove(result.id) else { return }
            if call.isScattered, case .rejected = answer { return call.completion(.unavailable) }
            call.completion(.applied(answer))
        case .notLeader(let hint):
            notLeader(result.id, said: node, hint: hint)
        }
    }

    func received(_ reply: ReadReply, from node: NodeID) {
        switch reply.outcome {
        case .answered(let response): calls.remove(reply.id)?.completion(.read(response))
        case .notLeader(let hint): notLeader(reply.id, said: node, hint: hint)
        }
    }

    /// The hint says where to ask only if this node knows no better; the retry comes with the next tick, so that two
    /// nodes that are both wrong don't send a call to and fro.
    private func notLeader(_ id: UInt64, said node: NodeID, hint: NodeID?) {
        guard let call = calls[id] else { return }
        guard call.target == nil else {
            // It has no replica.
            calls.remove(id)?.completion(.unavailable)
            return
        }
        calls.unsent(id)
        let index = Int(call.partition.value)
        if let hint, hint != me, partitions[call.partition] == nil, receivers[index].leader == node {
            _ = receivers[index].leaderKnown(hint, term: receivers[index].term)
        }
    }

    func retryCalls() {
        let now = context.clock.now()
        for id in calls.expired(at: now) { calls.remove(id)?.completion(.unavailable) }
        if configuration.planted.contains(.callsNeverRetried) { return }
        let retry = UInt64(configuration.timing.proposalRetryMilliseconds) * 1_000_000
        for partition in calls.waiting(since: now > retry ? now - retry : 0) { resendCalls(of: partition) }
    }

    /// Ends calls whose session has given them up; in order.
    func giveUp(_ ids: [UInt64]) {
        for id in ids { calls.remove(id)?.completion(.unavailable) }
    }

    /// Raft or a status told who leads.
    func leaderChanged(_ partition: PartitionID, term: UInt64, leader: NodeID?) {
        let index = Int(partition.value)
        guard index < receivers.count else { return }
        guard let leader else {
            let former = receivers[index].leader ?? me
            if former == me || !isReachable(former) { receivers[index].leaderLost() }
            return
        }
        if receivers[index].leaderKnown(leader, term: term) {
            resendCalls(of: partition)
            scheduleReopen()
        }
    }
}
