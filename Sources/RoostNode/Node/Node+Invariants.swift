import RoostCluster
package import RoostConsensus
package import RoostModel
package import RoostProtocol
import RoostStorage

/// For simulations and tests: it walks everything.
extension Node {
    /// What must hold between events; each line is a breach.
    package func checkInvariants() -> [String] {
        var broken = presence.checkInvariants() + watch.checkInvariants()
        for partition in sortedPartitions {
            let found = partition.onCore { partition in
                partition.raft.checkInvariants() + partition.state.checkInvariants()
            }
            broken += found.map { "partition \(partition.id): \($0)" }
        }
        var digest: UInt64 = 0
        for slot in sessions.keys.sorted() {
            guard let device = sessions[slot]?.device else { continue }
            digest ^= device.subscription.digest
            broken += device.onCore { $0.window.checkInvariants() }.map { "session \(device.session): \($0)" }
            let isKnown = users[device.request.user]?.onCore { $0.devices.contains { $0 === device } } ?? false
            if !isKnown { broken.append("session \(device.session): not among those of its user") }
        }
        if digest != sessionDigests.current { broken.append("the digest is not of the sessions that are here") }
        return broken.map { "\(me): \($0)" }
    }

    /// The state of each replica here, as far as it is applied.
    package func snapshots() -> [PartitionID: StateSnapshot] {
        partitions.mapValues { partition in partition.onCore { $0.state.snapshot() } }
    }

    package func ledPartitions() -> [PartitionID] {
        sortedPartitions.filter { partition in partition.onCore { $0.isLeader } }.map(\.id)
    }

    /// Those that are here and those that should be.
    package var replicasHere: Int {
        layout.indices.count { layout[$0].contains(me) || partitions[PartitionID(UInt16($0))] != nil }
    }
    package var replicasWithVote: Int { partitions.values.count { partition in partition.onCore { $0.isVoter } } }

    /// Where replicas are not where the ring wants them, as far as this node holds or leads them.
    package func unsettled() -> [String] {
        var found: [String] = []
        if !loading.isEmpty { found.append("loads \(loading.sorted())") }
        let deleting = facts.givenBack.filter(\.isBeingDeleted).map(\.partition)
        if !deleting.isEmpty { found.append("deletes \(deleting)") }
        for index in layout.indices {
            let id = PartitionID(UInt16(index))
            let wanted = layout[index]
            let configuration = partitions[id]?.onCore { $0.raft.configuration }
            if wanted.contains(me) != (configuration != nil) {
                found.append("partition \(id) is \(configuration == nil ? "missing" : "too many") at \(phase)")
            }
            let leads = partitions[id]?.onCore { $0.isLeader } ?? false
            guard leads, let configuration, !ReplicaPlan.isDone(configuration, wanted: wanted) else { continue }
            let peers = (configuration.voters.map { "\($0)" } + configuration.learners.map { "learner \($0)" })
            found.append("partition \(id) is at \(peers), wanted at \(wanted)")
        }
        return found.map { "\(me), ring \(ring?.version ?? 0): \($0)" }
    }

    package var ringVersion: UInt64 { ring?.version ?? 0 }

    /// A message of the log, and who may read it.
    package struct LoggedMessage: Sendable {
        package var seq: UInt64
        /// Nil where it is below the retention floor.
        package var message: Message?
        package var readers: [UserID]
    }

    /// Everything sent to the conversations of the replicas that lead here, as it stands in the tables.
    package func ledMessages() -> [ConversationID: [LoggedMessage]] {
        var found: [ConversationID: [LoggedMessage]] = [:]
        let store = context.storage.store
        for partition in sortedPartitions {
            partition.onCore { partition in
                guard partition.isLeader else { return }
                for row in partition.state.snapshot().conversations {
                    let messages = try? store.messages(
                        partition: partition.id, conversation: row.id, after: 0, before: row.lastSeq + 1,
                        descending: false,
                        skip: 0, limit: 1 << 20, maxBytes: 1 << 30)
                    let stored = (messages ?? []).filter { $0.message.seq > row.retention.floor }.map(\.message)
                    let removed = (0..<row.retention.floor).map { (seq: $0 + 1, message: Message?.none) }
                    found[row.id] = (removed + stored.map { (seq: $0.seq, message: $0) }).map { seq, message in
                        LoggedMessage(
                            seq: seq, message: message, readers: partition.state.readers(of: row.id, seq))
                    }
                }
            }
        }
        return found
    }

    /// What a session waits for, for a failure's report.
    package func describe(session: SessionID) -> String {
        guard let entry = sessions.values.first(where: { $0.device.session == session }) else { return "not here" }
        let streams = receivers.map { "\($0.phase) by \($0.leader?.name ?? "nobody") in \($0.term)" }
        return "unanswered \(entry.unanswered.sorted()), \(entry.device.onCore { $0.window.summary }); \(streams)"
    }

    /// Sessions that live here.
    package var sessionCount: Int { sessions.count }
}

extension Node {
    /// A replica's place in Raft, and the term of its entry at an index.
    package struct RaftView: Sendable {
        package var leads: Bool
        package var term: UInt64
        package var entryTerm: UInt64?
    }

    /// What a replica here knows of its group's disks.
    package struct ReplicaView: Sendable {
        /// Nodes that should hold a replica.
        package var wanted: [NodeID]
        /// Of the configuration in force; nil while that is not committed.
        package var voters: [RaftPeer]?
        package var configurationIndex: UInt64
        package var commitIndex: UInt64
    }

    package func replicaViews() -> [PartitionID: ReplicaView] {
        var found: [PartitionID: ReplicaView] = [:]
        for partition in sortedPartitions {
            let wanted = layout[Int(partition.id.value)]
            found[partition.id] = partition.onCore { partition in
                let raft = partition.raft
                return ReplicaView(
                    wanted: wanted,
                    voters: raft.configurationIndex <= raft.commitIndex ? raft.configuration.voters : nil,
                    configurationIndex: raft.configurationIndex, commitIndex: raft.commitIndex)
            }
        }
        return found
    }

    package func raftView(of partition: PartitionID, at index: UInt64) -> RaftView? {
        partitions[partition]?.onCore { partition in
            RaftView(
                leads: partition.isLeader, term: partition.raft.term, entryTerm: partition.raft.term(at: index))
        }
    }

    /// What waits in this node; each line is something that is not done. Empty once a cluster is at rest.
    package func unfinished() -> [String] {
        var found: [String] = []
        if calls.count > 0 { found.append("\(calls.count) calls not answered") }
        if !writes.isEmpty || !stalledWrites.isEmpty { found.append("writes not submitted") }
        let flying = writesInFlight.values.reduce(0, +)
        if flying > 0 { found.append("\(flying) writes not synced") }
        for partition in sortedPartitions {
            partition.onCore { partition in
                if !partition.waiting.isEmpty || !partition.proposing.isEmpty || !partition.reads.isEmpty {
                    found.append("partition \(partition.id): proposals or reads not answered")
                }
                if partition.raft.commitIndex < partition.raft.lastIndex {
                    found.append("partition \(partition.id): entries not committed")
                }
            }
        }
        return found.map { "\(me): \($0)" }
    }

    /// Who is connected, by this node's presence table: user, device, node and session.
    package func presenceView() -> [String] {
        peers.keys.sorted().flatMap { node in
            presence.devices(on: node).map { "\($0.user) \($0.device) \(node) \($0.session)" }
        }
    }

    /// Who is connected here.
    package func ownSessions() -> [String] {
        sessions.values.map { entry in
            let request = entry.device.request
            return "\(request.user) \(request.device) \(me) \(entry.device.session)"
        }.sorted()
    }
}
