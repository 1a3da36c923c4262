import Logging
import RoostCluster
import RoostConsensus
package import RoostModel
import RoostProtocol
import RoostStorage

extension Node {
    package func view() async -> NodeView {
        let now = sortedPartitions.map { partition in partition.onCore { $0.view() } }
        let members = swim.allMembers.map { state in
            let listed = ring?[state.node]
            // What a node that moved has said of itself is newer than the file.
            let node = listed.map { $0.moved > 0 } == true ? nil : configuration.node(state.node)
            return NodeView.Member(
                id: state.node, status: state.isHeard ? state.status : .suspect, epoch: state.epoch,
                incarnation: state.incarnation, host: node?.host ?? listed?.host ?? state.address,
                clientPort: node?.clientPort ?? listed?.knownClientPort,
                adminPort: node?.adminPort ?? listed?.knownAdminPort)
        }
        var view = NodeView(
            cluster: configuration.cluster, clusterID: record?.clusterID ?? .zero, node: me, phase: phase,
            waitingFor: waitingFor, members: members, ringVersion: ring?.version ?? 0,
            replication: Int(record?.replication ?? UInt16(configuration.replication)), partitions: now,
            links: context.transport.linkInfo(), presenceVersions: presence.versions,
            onlineDevices: presence.onlineDevices, localSessions: sessions.count, unfilled: unfilledReplicas,
            filling: fillingView)
        view.storage = storageView
        view.ring = ring?.members ?? []
        view.unsettled = unsettledPartitions
        return view
    }

    /// A start that takes long says why, once for each reason.
    func tellWaiting() {
        guard phase == .founding || phase == .starting, let reason = waitingFor, reason != saidWaiting else { return }
        saidWaiting = reason
        context.logger.notice("not serving yet: \(reason)")
    }

    private var waitingFor: String? {
        switch phase {
        case .founding: return founding.waitingFor
        case .starting:
            let leaderless = receivers.filter { $0.leader == nil }.count
            return leaderless > 0 ? "\(leaderless) partitions have no leader yet" : "the first signing key"
        case .draining: return "this node is draining"
        case .serving: return nil
        }
    }

    package func presence(of users: [UserID]) async -> [PresenceView] {
        users.flatMap { user in
            presence.sessions(of: user).map {
                PresenceView(
                    user: user, device: $0.entry.device, node: $0.node, session: $0.entry.session, online: true,
                    since: $0.entry.since)
            }
        }
    }

    package func onlineUsers(after user: UserID?, limit: Int) async -> [UserID] {
        presence.users(after: user, limit: limit)
    }

    /// When a device that is not connected was so last, microseconds since 1970, where it is remembered.
    package func lastOnline(user: UserID, device: DeviceID) async -> Int64? {
        presence.lastOnline(user: user, device: device)
    }

    package func metrics() async -> MetricsView {
        typealias Family = MetricsView.Family
        typealias Sample = MetricsView.Sample
        let counters = context.counters
        func counter(_ name: String, _ help: String, _ value: UInt64) -> Family {
            Family(name: name, help: help, kind: .counter, samples: [Sample(value: Double(value))])
        }
        func gauge(_ name: String, _ help: String, _ samples: [Sample]) -> Family {
            Family(name: name, help: help, kind: .gauge, samples: samples)
        }
        var families: [Family] = [
            gauge("roost_sessions", "Sessions on this node.", [Sample(value: Double(sessions.count))]),
            counter("roost_sessions_opened_total", "Sessions opened.", counters.sessionsOpened.value),
            counter(
                "roost_sessions_put_off_total", "Sessions told to come back, since too many came at once.",
                counters.sessionsPutOff.value),
            counter(
                "roost_sessions_revoked_total", "Sessions ended since their token was revoked.",
                counters.sessionsRevoked.value),
            counter(
                "roost_sends_limited_total", "Sends refused since a device or user was too fast.",
                counters.sendsLimited.value),
            counter(
                "roost_sessions_replaced_total", "Sessions ended by a newer one of their device.",
                counters.sessionsReplaced.value),
            counter("roost_frames_received_total", "Client frames received.", counters.framesReceived.value),
            counter("roost_frames_rejected_total", "Client frames that broke a rule.", counters.framesRejected.value),
            counter(
                "roost_messages_accepted_total", "Sends of this node's sessions that were committed.",
                counters.accepted.value),
            counter("roost_messages_delivered_total", "Messages written to sessions.", counters.delivered.value),
            counter(
                "roost_messages_redelivered_total", "Of these, read from the log rather than streamed.",
                counters.redelivered.value),
            counter("roost_messages_acknowledged_total", "Deliveries acknowledged.", counters.acknowledged.value),
            counter("roost_presence_told_total", "Presence frames written to sessions.", counters.presenceTold.value),
            gauge(
                "roost_presence_subscriptions", "Pairs of a session here and a user it watches.",
                [Sample(value: Double(watch.subscriptions))]),
            counter("roost_sends_unavailable_total", "Sends whose outcome is unknown.", counters.unavailable.value),
            counter("roost_elections_total", "Elections this node stood in.", counters.elections.value),
            counter(
                "roost_proposals_resent_total", "Proposals and reads sent again.", counters.proposalsResent.value),
            counter("roost_streams_reopened_total", "Streams opened anew.", counters.streamsReopened.value),
            counter("roost_stream_gaps_total", "Gaps noticed in streams.", counters.streamGaps.value),
            counter(
                "roost_catch_up_bytes_total", "Sent to replicas that were far behind.", counters.catchUpBytes.value),
            gauge(
                "roost_replicas_unfilled", "Replicas here that are being filled and have no vote.",
                [Sample(value: Double(unfilledReplicas))]),
            gauge("roost_calls_pending", "Proposals and reads not yet answered.", [Sample(value: Double(calls.count))]),
        ]
        let views = sortedPartitions.map { partition in partition.onCore { $0.view() } }
        func perPartition(_ value: (NodeView.PartitionView) -> Double) -> [Sample] {
            views.map { Sample(labels: [("partition", $0.id.description)], value: value($0)) }
        }
        families += [
            gauge("roost_raft_term", "Term of the partition's group.", perPartition { Double($0.term) }),
            gauge("roost_raft_leader", "1 where this node leads.", perPartition { $0.leader == me ? 1 : 0 }),
            gauge(
                "roost_raft_lag_entries", "Committed entries not yet applied here.",
                perPartition { Double($0.commitIndex - min($0.commitIndex, $0.appliedIndex)) }),
            gauge(
                "roost_raft_follower_lag_entries", "Entries the slowest replica lacks, as its leader sees it.",
                views.filter { $0.leader == me }.map { view in
                    let slowest = view.replicas.compactMap(\.matchIndex).min() ?? view.lastIndex
                    return Sample(
                        labels: [("partition", view.id.description)],
                        value: Double(view.lastIndex - min(view.lastIndex, slowest)))
                }),
            gauge("roost_raft_hibernating", "1 where the group sleeps.", perPartition { $0.hibernating ? 1 : 0 }),
        ]
        let links = context.transport.linkInfo()
        func perLink(_ value: (LinkInfo) -> Double) -> [Sample] {
            links.map { Sample(labels: [("peer", $0.node.name)], value: value($0)) }
        }
        families += [
            gauge("roost_link_up", "1 where the link to the peer is up.", perLink { $0.connected ? 1 : 0 }),
            gauge("roost_link_queue_bytes", "Bytes waiting for the peer.", perLink { Double($0.queuedBytes) }),
            gauge(
                "roost_link_round_trip_seconds", "Last round trip.",
                perLink { Double($0.roundTripMicroseconds ?? 0) / 1e6 }),
            gauge("roost_link_bytes_in", "Bytes received on the link.", perLink { Double($0.bytesIn) }),
            gauge("roost_link_bytes_out", "Bytes sent on the link.", perLink { Double($0.bytesOut) }),
            gauge(
                "roost_clock_skew_seconds",
                "How far this machine's clock is ahead of what the other nodes' allow; 0 where they agree.",
                [Sample(value: Double(clockSkew) / 1e6)]),
            gauge(
                "roost_clock_difference_seconds", "How far the peer's clock is ahead of this one.",
                clocks.differences(own: context.clock.wall(), now: context.clock.now()).map {
                    Sample(labels: [("peer", $0.node.name)], value: Double($0.ahead) / 1e6)
                }),
            gauge(
                "roost_swim_local_health",
                "How little this node trusts its own verdicts on others: 0 is well, each point stretches its timeouts.",
                [Sample(value: Double(swim.healthScore))]),
            gauge(
                "roost_presence_version", "Version of each node's part of the presence table.",
                presence.versions.map { Sample(labels: [("node", $0.node.name)], value: Double($0.version)) }),
            gauge(
                "roost_presence_devices", "Devices online in the cluster.",
                [Sample(value: Double(presence.onlineDevices))]),
        ]
        families += storageFamilies(context.storage.metrics())
        return MetricsView(families: families)
    }
}

extension Partition {
    func view() -> NodeView.PartitionView {
        let status = raft.peerStatus
        let configuration = raft.configuration
        let replicas =
            (configuration.voters.map { ($0, true) } + configuration.learners.map { ($0, false) })
            .sorted { $0.0 < $1.0 }
            .map { peer, isVoter in
                NodeView.Replica(
                    node: peer.node, isVoter: isVoter,
                    matchIndex: peer == me
                        ? (isLeader ? raft.persistedIndex : nil) : status.first { $0.peer == peer }?.matchIndex)
            }
        return NodeView.PartitionView(
            id: id, leader: raft.leader?.node, term: raft.term, replicas: replicas, lastIndex: raft.lastIndex,
            commitIndex: raft.commitIndex, appliedIndex: state.appliedIndex,
            conversations: state.conversationCount, accounts: state.accountCount, hibernating: raft.isHibernating)
    }
}

extension Node {
    package var isServing: Bool { phase == .serving }
    package func leads(_ partition: PartitionID) -> Bool { partitions[partition]?.onCore { $0.isLeader } ?? false }
}
