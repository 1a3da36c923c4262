import Logging
import RoostCluster
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage

/// Who belongs to the cluster: the newest ring that this node heard of, and what follows it while the node runs: links,
/// SWIM, and which nodes should hold which partition.
extension Node {
    /// The nodes of the file until the cluster is founded, then those of its ring. Where a node of the ring stands in the
    /// file, its address is that of the file: the operator may have moved it.
    static func members(
        _ facts: NodeFacts, _ configuration: ClusterConfig
    ) -> [(node: NodeID, address: String)] {
        guard let record = facts.founded else { return configuration.nodes.map { ($0.id, $0.peerAddress) } }
        let ring = facts.ring ?? Ring(founding: record, configuration)
        return ring.present.map { ($0.node, $0.addresses(inFile: configuration.node($0.node)?.peerAddress)[0]) }
    }

    /// From the log, a link or the disk. Older ones are known.
    func learned(_ newer: Ring) {
        guard record != nil, newer.version > ring?.version ?? 0 else { return }
        let former = ring
        if former?[me]?.state == .leaving { isLeaving = true }
        ring = newer
        facts.ring = newer
        saveFacts { _ in }
        tellChanges(from: former, to: newer)
        follow(newer)
        for node in peers.keys.sorted() where node != me && isUp(node) {
            send(control: .ring(.record(newer)), to: node)
        }
    }

    /// Brings links, SWIM and the wanted replicas in line.
    func follow(_ ring: Ring) {
        let members = Self.members(facts, configuration)
        for member in members where peers[member.node] == nil {
            peers[member.node] = Peer(id: member.node, context: context)
        }
        layout = wantedReplicas(ring)
        for node in swim.unlisted(in: members.map(\.node)) {
            // Nobody is connected there any more, as far as this node is concerned.
            guard var state = swim.state(of: node) else { continue }
            state.status = .left
            var actions: [PresenceTable.Action] = []
            presence.memberChanged(state, wall: context.clock.wall(), into: &actions)
            perform(actions)
        }
        swim.setMembers(members, now: context.clock.now())
        rescheduleSwim()
        context.transport.peersChanged()
        // Those that were removed are told so first.
        if peers.keys.contains(where: { $0 != me && ring[$0]?.state ?? .removed == .removed }) {
            _ = context.after(milliseconds: 300) { [weak self] in self?.onCore { $0.dropRemovedPeers() } }
        }
        guard let own = ring[me] else { return }
        if own.state == .removed { wasRemoved() }
    }

    /// By partition: the nodes that should hold it, the one that should lead it first.
    private func wantedReplicas(_ ring: Ring) -> [[NodeID]] {
        guard let record else { return [] }
        return Placement.layout(
            partitions: Int(record.partitions), among: ring.active, count: Int(record.replication))
    }

    private func dropRemovedPeers() {
        guard let ring, !isStopped else { return }
        for node in peers.keys.sorted() where node != me && ring[node]?.state ?? .removed == .removed {
            unlinked(node, reason: "it was removed from the cluster")
            for partition in sortedPartitions {
                partition.onCore {
                    $0.endStream(to: node)
                    $0.receive(.peerUnreachable(node))
                }
            }
            lostTouch(with: node)
            peers[node] = nil
            reaches[node] = nil
            othersUnfit[node] = nil
            silent.remove(node)
            foundAt[node] = nil
        }
        context.transport.peersChanged()
    }

    private func tellChanges(from former: Ring?, to newer: Ring) {
        for member in newer.members where former?[member.node]?.state != member.state && member.node != me {
            let version: Logger.Metadata = ["ring": "\(newer.version)"]
            switch (former?[member.node]?.state, member.state) {
            case (_, .active): context.logger.notice("\(member.node) joined the cluster", metadata: version)
            case (_, .leaving):
                context.logger.notice("\(member.node) leaves: its replicas go to the others", metadata: version)
            case (.leaving, .removed): context.logger.notice("\(member.node) left the cluster", metadata: version)
            case (_, .removed):
                context.logger.notice("\(member.node) was removed from the cluster", metadata: version)
            }
        }
    }

    // MARK: Spreading

    func received(_ message: RingMessage, from node: NodeID) {
        switch message {
        case .version(let version):
            if let ring, ring.version > version { send(control: .ring(.record(ring)), to: node) }
        case .record(let newer):
            if record == nil { founding.offered(newer) } else { learned(newer) }
        case .isRemoved(let id, let store):
            let peer = RaftPeer(node: node, store: store)
            guard let partition = partitions[id] else { return }
            if partition.onCore({ $0.raft.isTombstone(peer) }) {
                send(control: .ring(.wasRemoved(partition: id, store: store)), to: node)
            } else if !layout[Int(id.value)].contains(node) {
                partition.onCore { $0.bury(peer) }
            }
        case .wasRemoved(let id, let store):
            if partitions[id]?.me.store == store { giveBack(id) }
        }
    }

    /// When a link comes up.
    func tellRing(to link: LinkPeer) {
        guard let ring else { return }
        // A blank node that is of the ring but not of the founding knows by it that it belongs here.
        let isBlank = link.clusterID == .zero
        send(control: .ring(isBlank ? .record(ring) : .version(ring.version)), to: link.node)
    }

    /// The leader of partition 0 writes the ring as founded; from then on changes can be made to it. A log that lost its
    /// end for good (`roost recover`) may have an older one than nodes heard of: then it takes theirs.
    func ensureRing() {
        guard let record, !proposingRing else { return }
        let known = ring ?? Ring(founding: record, configuration)
        guard partitions[0]?.onCore({ $0.isLeader && $0.state.ring?.version ?? 0 < known.version }) == true else {
            return
        }
        proposingRing = true
        call(.propose(.foundRing(known)), partition: 0) { [weak self] _ in
            self?.onCore { $0.proposingRing = false }
        }
    }
}

extension Ring {
    init(founding record: FoundingRecord, _ configuration: ClusterConfig) {
        self.init(
            version: 1,
            members: record.members.compactMap { member in
                let node = configuration.node(member.node)
                return RingMember(
                    member.node, peerAddress: member.address, clientPort: node?.clientPort ?? 0,
                    adminPort: node?.adminPort ?? 0)
            })
    }
}

extension RingMember {
    /// `host:port` or `[host]:port`; an address that is neither is kept as a name that nobody can dial.
    init(_ node: NodeID, peerAddress: String, clientPort: Int, adminPort: Int) {
        let colon = peerAddress.lastIndex(of: ":")
        var host = colon.map { peerAddress[..<$0] } ?? peerAddress[...]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        let port = colon.flatMap { UInt16(peerAddress[peerAddress.index(after: $0)...]) } ?? 0
        self.init(
            node: node, host: String(host), peerPort: port, clientPort: UInt16(clamping: clientPort),
            adminPort: UInt16(clamping: adminPort))
    }

    var knownClientPort: Int? { clientPort > 0 ? Int(clientPort) : nil }
    var knownAdminPort: Int? { adminPort > 0 ? Int(adminPort) : nil }

    package init(_ node: ClusterConfig.Node) {
        self.init(node.id, peerAddress: node.peerAddress, clientPort: node.clientPort, adminPort: node.adminPort)
    }
}
