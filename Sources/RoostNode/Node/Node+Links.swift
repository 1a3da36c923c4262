import Logging
import RoostCluster
import RoostConsensus
package import RoostModel
package import RoostProtocol
import RoostStorage

/// The transport's side: called on the core executor.
extension Node: LinkEvents {
    package nonisolated func identity() -> LinkIdentity { onCore { $0.ownIdentity() } }
    package nonisolated func linkUp(_ peer: LinkPeer) { onCore { if !$0.isStopped { $0.linked(peer) } } }
    package nonisolated func found(_ node: NodeID, at address: String) {
        onCore { if !$0.isStopped { $0.hasFound(node, at: address) } }
    }
    package nonisolated func linkDown(_ node: NodeID, reason: String) {
        onCore { if !$0.isStopped { $0.unlinked(node, reason: reason) } }
    }
    package nonisolated func received(_ frames: [PeerFrame], from node: NodeID) {
        onCore { if !$0.isStopped { $0.receive(frames, from: node) } }
    }
}

extension Node {
    private func ownIdentity() -> LinkIdentity {
        var others: [NodeID: String] = [:]
        var alternatives: [NodeID: [String]] = [:]
        for node in peers.keys where node != me {
            let addresses = addresses(of: node)
            others[node] = addresses.first
            if addresses.count > 1 { alternatives[node] = Array(addresses.dropFirst()) }
        }
        var identity = LinkIdentity(
            cluster: configuration.cluster, clusterID: facts.founded?.clusterID ?? .zero, node: me, store: facts.store,
            epoch: facts.epoch, address: configuration.node(me)?.peerAddress ?? "", peers: others,
            removed: (ring?.removed ?? []).filter { peers[$0] == nil })
        identity.alternatives = alternatives
        identity.hasMoved = hasMoved
        return identity
    }

    private func linked(_ link: LinkPeer) {
        guard let peer = peers[link.node] else { return }
        // What hung on a former link is over, whether or not its end was told.
        if peer.onCore({ $0.relay != nil }) { lostTouch(with: link.node) }
        if link.node != me { unlinked(link.node, reason: "replaced by a newer one") }
        peer.onCore { $0.linkUp(link) }
        silent.remove(link.node)
        context.logger.info(
            "\(link.node): link up", metadata: ["epoch": "\(link.epoch)", "store": "\(link.store)"])
        // Before anything that this node may be asked to stamp.
        send(control: .clock(wall: context.clock.wall()), to: link.node)
        tellRing(to: link)
        var actions: [Founding.Action] = []
        founding.linkUp(link, into: &actions)
        perform(actions)
        presence.linkUp(link.node)
        let formerEpoch = swim.state(of: link.node)?.epoch ?? 0
        var swimActions: [Swim.Action] = []
        swim.receive(
            .linkUp(link.node, epoch: link.epoch, address: link.address), now: context.clock.now(), into: &swimActions)
        perform(swimActions)
        remindOfFormerLife(link, epoch: formerEpoch)
        for partition in sortedPartitions { partition.onCore { $0.receive(.peerReachable(link.node)) } }
        if phase == .draining { send(control: .draining, to: link.node) }
        linksChanged()
        othersUnfit[link.node] = nil
        tellFitness(to: link.node)
        reopenStreams()
        for id in partitionsLed(by: link.node) { resendCalls(of: id) }
    }

    /// A node with a blank disk knows no epoch of its former life, and in the same one what it says of itself would be taken
    /// for that life's: it hears that it left in it, which it never said, and raises its epoch. An incarnation it never had
    /// would not do: it may have denied its death meanwhile.
    private func remindOfFormerLife(_ link: LinkPeer, epoch: Epoch) {
        guard let former = disksSeen.updateValue(link.store, forKey: link.node), former != link.store,
            epoch >= link.epoch
        else { return }
        let life = MemberRumour(
            node: link.node, epoch: epoch, incarnation: 0, status: .left, address: link.address)
        send(control: .swim(SwimMessage(body: .ping(sequence: 0), rumours: [life])), to: link.node)
    }

    func unlinked(_ node: NodeID, reason: String) {
        guard let peer = peers[node], peer.onCore({ $0.isUp }) else { return }
        peer.onCore { $0.linkDown() }
        // Who has said goodbye may hang up, and that a node is dead has been said.
        let status = swim.state(of: node)?.status
        let expected =
            status == .left || ring?[node]?.state == .removed || status == .dead || drainingPeers.contains(node)
        context.logger.log(level: expected ? .debug : .warning, "\(node): link lost: \(reason)")
        drainingEnded(node)
        founding.linkDown(node)
        var actions: [Swim.Action] = []
        swim.receive(.linkDown(node), now: context.clock.now(), into: &actions)
        perform(actions)
        for partition in sortedPartitions { partition.onCore { $0.receive(.peerUnreachable(node)) } }
        lostTouch(with: node)
        forgetKeysHeld(by: node)
        linksChanged()
    }

    var sortedPartitions: [Partition] { partitions.values.sorted { $0.id < $1.id } }

    func partitionsLed(by node: NodeID) -> [PartitionID] {
        receivers.indices.filter { receivers[$0].leader == node }.map { PartitionID(UInt16($0)) }
    }

    func isUp(_ node: NodeID) -> Bool { peers[node]?.onCore { $0.isUp } ?? false }

    // MARK: Sending

    private func toPeer(_ node: NodeID, onLink: Bool = false, _ body: @Sendable (isolated Peer) -> Bool) {
        guard let peer = peers[node] else { return }
        let first = peer.onCore { (onLink ? $0.isUp : $0.isReachable) && body($0) }
        if first { markPeer(peer, first: true) }
    }

    func send(raft envelope: RaftEnvelope, to peer: RaftPeer) {
        toPeer(peer.node, onLink: true) { $0.send(raft: envelope) }
    }
    func send(proposal: Proposal, to node: NodeID) { toPeer(node) { $0.send(proposal: proposal) } }
    func send(result: ProposalResult, to node: NodeID) { toPeer(node) { $0.send(result: result) } }
    func send(read: ReadCall, to node: NodeID) { toPeer(node) { $0.send(read: read) } }
    func send(reply: ReadReply, to node: NodeID) {
        var reply = reply
        // A link that is behind gets no more by the megabyte: were its queue full, all that rides on it would suffer.
        if reply.isLarge, context.transport.queuedBytes(to: node) > configuration.limits.maxLinkQueueBytes / 4 {
            reply.outcome = .answered(.rejected(.unavailable))
        }
        toPeer(node) { [reply] in $0.send(reply: reply) }
    }
    func send(acks: AckBatch, to node: NodeID) { toPeer(node) { $0.send(acks: acks) } }
    func send(stream frame: PeerFrame, to node: NodeID) {
        toPeer(node, onLink: !frame.mayBeRelayed) { $0.send(stream: frame) }
    }
    func send(control frame: PeerFrame, to node: NodeID) {
        toPeer(node, onLink: !frame.mayBeRelayed) { $0.send(control: frame) }
    }

    // MARK: Receiving

    func receive(_ frames: [PeerFrame], from node: NodeID) {
        for frame in frames { receive(frame, from: node) }
    }

    private func receive(_ frame: PeerFrame, from node: NodeID) {
        switch frame {
        case .raft(let envelopes):
            guard let store = storeOf(node) else { return }
            for envelope in envelopes where store.replicaNumber(of: envelope.fromStore) != nil {
                if let partition = partitions[envelope.partition], partition.me.store == envelope.toStore {
                    let sender = RaftPeer(node: node, store: envelope.fromStore)
                    partition.onCore { $0.receive(.received(envelope.message, from: sender)) }
                } else {
                    considerReplica(for: envelope)
                }
            }
        case .propose(let proposals):
            for proposal in proposals { propose(proposal, from: node) }
        case .proposalResults(let results):
            for result in results { received(result, from: node) }
        case .read(let reads):
            for call in reads {
                if case .holdsKeys(let digest) = call.request {
                    send(reply: ReadReply(id: call.id, outcome: .answered(.holds(holdsKeys(digest)))), to: node)
                } else if let partition = partitions[call.partition] {
                    partition.onCore { $0.read(call, from: node) }
                } else {
                    send(reply: ReadReply(id: call.id, outcome: .notLeader(leader(of: call.partition))), to: node)
                }
            }
        case .readReplies(let replies):
            for reply in replies { received(reply, from: node) }
        case .open(let request):
            open(request, from: node)
        case .opened(let replies):
            for reply in replies { opened(reply, by: node) }
        case .unsubscribe(let ends):
            for partition in sortedPartitions {
                partition.onCore { for end in ends { $0.unsubscribe(end, from: node) } }
            }
        case .deliver(let batches):
            for batch in batches { received(batch, from: node) }
        case .streamStatus(let list):
            for status in list { received(status, from: node) }
        case .acks(let batches):
            for batch in batches { partitions[batch.partition]?.onCore { $0.acknowledge(batch.cursors) } }
        case .revoked(let list):
            for user in list { endSessions(of: user) }
        case .tokensRevoked(let list):
            for revoked in list { judgeSessions(by: revoked) }
        case .swim(let message):
            var actions: [Swim.Action] = []
            swim.receive(.received(message, from: node), now: context.clock.now(), into: &actions)
            perform(actions)
        case .presence(let message):
            var actions: [PresenceTable.Action] = []
            presence.receive(message, from: node, now: context.clock.now(), into: &actions)
            perform(actions)
        case .founding(let message):
            var actions: [Founding.Action] = []
            founding.receive(message, from: node, into: &actions)
            perform(actions)
        case .repair(let message):
            received(message, from: node)
        case .ring(let message):
            received(message, from: node)
        case .reaches(let nodes):
            received(reaches: nodes, from: node)
        case .draining:
            draining(node)
        case .relayed(let relayed):
            received(relayed, from: node)
        case .clock(let wall):
            clocks.heard(wall, from: node, now: context.clock.now())
        case .linkPing, .linkPong:
            break  // The transport's own.
        }
    }

    private func storeOf(_ node: NodeID) -> StoreID? {
        node == me ? facts.store : peers[node]?.onCore { $0.link?.store }
    }

    /// To the replica here.
    private func propose(_ proposal: Proposal, from node: NodeID) {
        guard let partition = partitions[proposal.partition] else {
            send(
                result: ProposalResult(id: proposal.id, outcome: .notLeader(leader(of: proposal.partition))), to: node)
            return
        }
        partition.onCore { $0.propose(proposal, from: node) }
    }
}
