import Logging
import RoostCluster
package import RoostModel
package import RoostProtocol

/// Joining, leaving and removing: what is asked of any node, and what the node does that goes.
extension Node {
    /// A blank node asks to be taken in, by way of this one.
    package func join(_ member: RingMember) async -> Result<JoinGrant, RingRefusal> {
        await withCheckedContinuation { continuation in
            admit(member) { continuation.resume(returning: $0) }
        }
    }

    /// On the core executor.
    package nonisolated func join(
        _ member: RingMember, _ done: @escaping @Sendable (Result<JoinGrant, RingRefusal>) -> Void
    ) {
        onCore { $0.admit(member, done) }
    }

    private func admit(
        _ member: RingMember, _ done: @escaping @Sendable (Result<JoinGrant, RingRefusal>) -> Void
    ) {
        guard phase == .serving, record != nil else {
            return done(.failure(RingRefusal("this node does not serve", retry: true)))
        }
        if isUp(member.node) || member.node == me {
            return done(
                .failure(
                    RingRefusal("\(member.node) is in the cluster already, and alive: is the id right?", retry: true)))
        }
        call(.propose(.changeRing(.join(member)))) { [weak self] outcome in
            if case .applied(.done) = outcome {
                self?.onCore { $0.readRing(for: member.node, done) }
            } else {
                done(.failure(Self.refusal(outcome)))
            }
        }
    }

    private func readRing(
        for node: NodeID, _ done: @escaping @Sendable (Result<JoinGrant, RingRefusal>) -> Void
    ) {
        call(.read(.ring)) { [weak self] outcome in
            guard case .read(.ring(let newest)) = outcome else { return done(.failure(Self.refusal(outcome))) }
            self?.onCore { me in
                me.learned(newest)
                guard let record = me.record, newest[node]?.state == .active else {
                    return done(.failure(RingRefusal("\(node) was removed meanwhile", retry: false)))
                }
                done(.success(JoinGrant(record: record, ring: newest)))
            }
        }
    }

    /// The node gives away what it holds, and goes. That takes a while: the ring and its replicas tell how far it is.
    package func leave(_ node: NodeID) async -> Result<Void, RingRefusal> { await change(.leave(node)) }

    /// The node is gone for good. One that lives is removed only with `force`: then it ends. While replicas of one that
    /// was removed before are not replaced, none is: two of three replicas could be gone.
    package func remove(_ node: NodeID, force: Bool) async -> Result<Void, RingRefusal> {
        let isAlive = isUp(node) || swim.state(of: node)?.isActive == true
        if isAlive && !force {
            return .failure(RingRefusal("\(node) is alive: let it leave, or remove it by force", retry: false))
        }
        guard case .ring(let ring) = await read(.ring) else {
            return .failure(RingRefusal("partition 0 does not answer", retry: true))
        }
        guard ring[node].map({ $0.state != .removed }) == true else { return await change(.remove(node)) }
        if let refusal = Self.speaksAgainstRemoving(
            node, of: ring, voters: await readAll { _ in .voters }, force: force)
        {
            return .failure(refusal)
        }
        return await change(.removeAt(version: ring.version, node))
    }

    /// - Parameter voters: what the leader of each partition says.
    private static func speaksAgainstRemoving(
        _ node: NodeID, of ring: Ring, voters: [ReadResponse], force: Bool
    ) -> RingRefusal? {
        var silent = 0
        var unreplaced: [NodeID: Int] = [:]
        for answer in voters {
            guard case .voters(let nodes) = answer else {
                silent += 1
                continue
            }
            for voter in nodes where voter != node && ring[voter].map({ $0.state == .removed }) ?? true {
                unreplaced[voter, default: 0] += 1
            }
        }
        if let (other, count) = unreplaced.min(by: { $0.key < $1.key }) {
            return RingRefusal(
                "\(count) replicas of \(other), which was removed before, are not replaced yet: wait until "
                    + "`roost status` tells of no partitions moving", retry: true)
        }
        // By force also where partitions have lost their majority: they are past help from here.
        guard silent > 0, !force else { return nil }
        return RingRefusal(
            "\(silent) partitions have no leader, so that nobody knows whether they can do without it: try again, "
                + "or remove it by force", retry: true)
    }

    private func change(_ change: RingChange) async -> Result<Void, RingRefusal> {
        let result = await propose(.changeRing(change))
        return result == .done ? .success(()) : .failure(Self.refusal(.applied(result)))
    }

    private static func refusal(_ outcome: CallOutcome) -> RingRefusal {
        switch outcome {
        case .applied(.rejected(.invalid)): RingRefusal("there is no such node in the cluster", retry: false)
        case .applied(.rejected(.notAllowed)): RingRefusal("it is the last node that holds replicas", retry: false)
        case .applied(.rejected(.conflict)):
            RingRefusal("it is just leaving, or another change came first: try again", retry: true)
        case .applied(.rejected(.limitExceeded)):
            RingRefusal("the cluster has \(Ring.maxMembers) nodes already", retry: false)
        default: RingRefusal("partition 0 does not answer", retry: true)
        }
    }

    // MARK: This node goes

    /// Twice a second: sessions and leaderships go first, then the replicas go, then it is removed.
    func leaveOn() {
        guard ring?[me]?.state == .leaving, failure == nil else { return }
        if !isLeaving {
            guard phase == .serving || phase == .starting && loading.isEmpty else { return }
            isLeaving = true
            context.logger.notice("this node leaves the cluster: its replicas go to the others")
            if phase != .draining { beginDraining() }
        }
        let count = partitions.count
        if count != saidReplicas {
            saidReplicas = count
            context.logger.notice("leaving", metadata: ["replicas": "\(count)", "sessions": "\(sessions.count)"])
        }
        guard partitions.isEmpty, loading.isEmpty, sessions.isEmpty, !proposingRing else { return }
        proposingRing = true
        call(.propose(.changeRing(.remove(me))), partition: 0) { [weak self] outcome in
            self?.onCore { node in
                node.proposingRing = false
                if case .applied(.done) = outcome { node.wasRemoved() }
            }
        }
    }

    /// By its own wish, or by an operator who holds it for dead. Also what a node hears that comes back.
    package nonisolated func refusedAsRemoved() { onCore { $0.wasRemoved() } }

    /// It ended since it was removed.
    package var isRemoved: Bool { hasLeft && failure != nil }

    func wasRemoved() {
        guard !hasLeft, !isStopped else { return }
        hasLeft = true
        guard isLeaving || ring?[me]?.state == .leaving else {
            return fail(
                "this node was removed from the cluster: it has no part in it any more. Its data directory can be "
                    + "deleted; with an empty one it may join again (roost node --join), else take it out of cluster.json"
            )
        }
        context.logger.notice("left the cluster")
        var actions: [Swim.Action] = []
        swim.receive(.leave, now: context.clock.now(), into: &actions)
        perform(actions)
        // One more beat for the goodbye.
        _ = context.after(milliseconds: 300) { [weak self] in self?.onCore { if !$0.isStopped { $0.onLeft() } } }
    }
}
