import Logging
import RoostCluster
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage

/// SWIM and the presence table: who is reachable, and who is connected where.
extension Node {
    func rescheduleSwim() {
        guard let deadline = swim.nextDeadline else {
            swimTimer?.cancel()
            swimTimer = nil
            swimDeadline = nil
            return
        }
        if let set = swimDeadline, set <= deadline { return }
        swimTimer?.cancel()
        swimDeadline = deadline
        let now = context.clock.now()
        swimTimer = context.clock.schedule(after: deadline > now ? deadline - now : 0) { [weak self] in
            self?.onCore { node in
                node.swimDeadline = nil
                var actions: [Swim.Action] = []
                node.swim.receive(.tick, now: node.context.clock.now(), into: &actions)
                node.perform(actions)
            }
        }
    }

    /// What the loop could not do in time may have been the answer to a probe: this node trusts its own verdicts less,
    /// by a point for every 100 ms that it was late.
    func feelLag(since due: UInt64) {
        let now = context.clock.now()
        guard now > due, now - due >= 100_000_000 else { return }
        var actions: [Swim.Action] = []
        swim.receive(.localHealth(penalty: Int(clamping: (now - due) / 100_000_000)), now: now, into: &actions)
        perform(actions)
    }

    func perform(_ actions: [Swim.Action]) {
        for action in actions {
            switch action {
            case .send(var message, let node):
                message.digests = presence.digests(for: message.body)
                send(control: .swim(message), to: node)
            case .statusChanged(let old, let new): statusChanged(old: old, new: new)
            case .refuted(let incarnation):
                context.logger.notice(
                    "others held this node for suspect or dead: denied", metadata: ["incarnation": "\(incarnation)"])
            case .conflictingSelf(let epoch): raiseEpoch(above: epoch)
            case .digests(let digests, let from):
                var out: [PresenceTable.Action] = []
                presence.compare(digests, from: from, now: context.clock.now(), into: &out)
                perform(out)
            }
        }
        rescheduleSwim()
    }

    private func statusChanged(old: MemberState?, new: MemberState) {
        tell(old: old, new: new)
        var out: [PresenceTable.Action] = []
        presence.memberChanged(new, wall: context.clock.wall(), into: &out)
        perform(out)
        guard new.node != me, new.isHeard else { return }
        if new.status == .dead || new.status == .left {
            for partition in sortedPartitions {
                partition.onCore {
                    $0.endStream(to: new.node)
                    $0.receive(.peerUnreachable(new.node))
                }
            }
            // A link that still seems to stand would only hold frames back.
            if isUp(new.node), new.status == .dead { context.transport.reset(new.node, reason: "the node is dead") }
        } else if new.status == .alive, isUp(new.node) {
            for partition in sortedPartitions { partition.onCore { $0.receive(.peerReachable(new.node)) } }
        }
    }

    /// Links tell of themselves: what a link has just said is not said again.
    private func tell(old: MemberState?, new: MemberState) {
        guard new.isHeard, new.node != me, old?.status != new.status else { return }
        let epoch: Logger.Metadata = ["epoch": "\(new.epoch)"]
        switch new.status {
        case .dead:
            silent.insert(new.node)
            context.logger.warning("\(new.node): dead: nobody reaches it", metadata: epoch)
        case .suspect:
            guard isUp(new.node) else { return }
            silent.insert(new.node)
            context.logger.notice("\(new.node): does not answer", metadata: epoch)
        case .left:
            silent.remove(new.node)
            // Where all stop together, nobody needs to hear it from everybody.
            let level: Logger.Level = phase == .draining ? .debug : .notice
            context.logger.log(level: level, "\(new.node): left, drained", metadata: epoch)
        case .alive:
            if silent.remove(new.node) != nil { context.logger.notice("\(new.node): alive again", metadata: epoch) }
        }
    }

    private func raiseEpoch(above epoch: Epoch) {
        facts.epoch = max(facts.epoch, epoch) + 1
        let raised = facts.epoch
        saveFacts { node in
            node.presence.raise(to: raised)
            var actions: [Swim.Action] = []
            node.swim.receive(.epochRaised(raised), now: node.context.clock.now(), into: &actions)
            node.perform(actions)
        }
    }

    func perform(_ actions: [PresenceTable.Action]) {
        for action in actions {
            switch action {
            case .send(let message, let node):
                // A snapshot may be megabytes: not in the way of probes and votes.
                if case .snapshot = message {
                    send(stream: .presence(message), to: node)
                } else {
                    send(control: .presence(message), to: node)
                }
            case .appeared(let entry, _):
                // The same device connected elsewhere: the newer generation stays.
                users[entry.user]?.onCore { $0.replace(entry.device, newer: entry.generation) }
                presenceChanged(entry.user)
            case .partChanged(let node):
                for entry in presence.devices(on: node) {
                    users[entry.user]?.onCore { $0.replace(entry.device, newer: entry.generation) }
                }
                presenceReread()
            case .disappeared(let entry, _): presenceChanged(entry.user, isGone: true)
            }
        }
        schedulePresenceFlush()
    }

    func schedulePresenceFlush() {
        guard let due = presence.nextDeadline else { return }
        if let set = presenceDeadline, set <= due { return }
        presenceTimer?.cancel()
        presenceDeadline = due
        let now = context.clock.now()
        presenceTimer = context.clock.schedule(after: due > now ? due - now : 0) { [weak self] in
            self?.onCore { node in
                node.presenceDeadline = nil
                let messages = node.presence.tick(now: node.context.clock.now())
                for peer in node.peers.keys.sorted() where peer != node.me {
                    for message in messages { node.send(control: .presence(message), to: peer) }
                }
                node.schedulePresenceFlush()
            }
        }
    }
}

extension SwimTiming {
    init(_ timing: ClusterConfig.Timing) {
        self.init()
        probePeriod = UInt64(timing.probeMilliseconds) * 1_000_000
        probeTimeout = UInt64(timing.probeTimeoutMilliseconds) * 1_000_000
        deadProbePeriod = probePeriod
        suspicionFactor = UInt64(timing.suspicionPeriods)
        suspicionCeiling = UInt64(timing.suspicionCeiling)
        gossipPeriod = UInt64(timing.gossipMilliseconds) * 1_000_000
        exchangePeriod = UInt64(timing.exchangeSeconds) * 1_000_000_000
    }
}
