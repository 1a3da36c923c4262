import Logging
import RoostCluster
import RoostConsensus
import RoostModel
import RoostProtocol

/// Draining: sessions are asked to go elsewhere, leaderships are handed over, then the node says goodbye.
extension Node {
    package func drain() async {
        guard phase != .draining || isLeaving else { return }
        if phase != .draining { beginDraining() }
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            drainWaiters.append { continuation.resume() }
            _ = context.after(milliseconds: configuration.timing.drainMilliseconds) { [weak self] in
                self?.onCore {
                    $0.drainWaited = true; $0.drained()
                }
            }
            drained()
        }
        // Stopped meanwhile: there is nobody left to say goodbye to.
        guard !peers.isEmpty else { return }
        sendAcks()
        var actions: [Swim.Action] = []
        swim.receive(.leave, now: context.clock.now(), into: &actions)
        perform(actions)
        // One more beat for the goodbye, the last acknowledgements and the last rows.
        isParting = true
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            drainWaiters.append { continuation.resume() }
            _ = context.after(milliseconds: 300) { [weak self] in self?.onCore { $0.endDrain() } }
        }
    }

    /// Takes no more sessions, and asks those that are here and the leaderships to go elsewhere.
    func beginDraining() {
        phase = .draining
        releaseHeld()
        let leads = partitions.values.count { $0.onCore { $0.isLeader } }
        context.logger.notice("draining", metadata: ["leads": "\(leads)", "sessions": "\(sessions.count)"])
        for partition in sortedPartitions { partition.onCore { $0.receive(.draining(me)) } }
        // On its way before any leadership is.
        for peer in peers.keys.sorted() where peer != me { send(control: .draining, to: peer) }
        handOverLeaderships()
        // Paced, so that the others are not stormed: all within half of the drain's time.
        let slots = sessions.keys.sorted()
        let pace = max(1, slots.count / max(1, configuration.timing.drainMilliseconds / 2 / 20) + 1)
        closePaced(slots[...], pace: pace)
    }

    private func closePaced(_ slots: ArraySlice<UInt32>, pace: Int) {
        for slot in slots.prefix(pace) {
            sessions[slot]?.device.onCore { $0.close(code: 1012, reason: "this node is draining: connect to another") }
        }
        let rest = slots.dropFirst(pace)
        guard !rest.isEmpty else { return }
        _ = context.after(milliseconds: 20) { [weak self] in self?.onCore { $0.closePaced(rest, pace: pace) } }
    }

    /// A linked node takes no leadership from now on, not even one that is on its way to it.
    func draining(_ node: NodeID) {
        drainingPeers.insert(node)
        for partition in sortedPartitions { partition.onCore { $0.receive(.draining(node)) } }
        if phase == .draining { handOverLeaderships() }
    }

    /// It is gone, or will say so again.
    func drainingEnded(_ node: NodeID) {
        guard drainingPeers.remove(node) != nil else { return }
        for partition in sortedPartitions { partition.onCore { $0.receive(.drainingEnded(node)) } }
    }

    /// Again and again while this node drains: a target may be slow or fail, and where nobody else could lead, this node
    /// had to. With all others draining, too, there is nobody to hand over to.
    func handOverLeaderships() {
        for partition in sortedPartitions {
            partition.onCore { partition in
                guard partition.isLeader, !partition.raft.isTransferring,
                    let target = partition.raft.bestTransferTarget, partition.hasNothingWaiting()
                else { return }
                partition.receive(.transferLeadership(to: target))
            }
        }
    }

    /// Sessions are closed and leaderships handed over, or the time is up.
    func drained() {
        guard phase == .draining, !drainWaiters.isEmpty, !isParting else { return }
        let leading = partitions.values.contains { partition in
            partition.onCore { $0.isLeader && $0.raft.bestTransferTarget != nil }
        }
        if !drainWaited && (!sessions.isEmpty || leading) {
            guard !drainPolling else { return }
            drainPolling = true
            handOverLeaderships()
            _ = context.after(milliseconds: 50) { [weak self] in
                self?.onCore {
                    $0.drainPolling = false
                    $0.drained()
                }
            }
            return
        }
        endDrain()
    }

    private func endDrain() {
        let waiters = drainWaiters
        drainWaiters.removeAll()
        for waiter in waiters { waiter() }
    }
}
