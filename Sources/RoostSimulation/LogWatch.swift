import NIOCore
package import RoostModel
import RoostNode
import RoostProtocol
import RoostStorage

/// Knows what is synced on every disk of the cluster, by watching the commits, and holds what the nodes say against it:
/// Raft's invariants, "synced before said", and that what is accepted stands on a majority.
///
/// It is told before anybody else can know, asks no node but for the log of a new leader, and shares no code with them
/// but the types and codecs.
package final class LogWatch: @unchecked Sendable {
    // Unchecked: touched by the simulation's one thread only.
    struct Item: Equatable {
        var term: UInt64
        var hash: UInt64
    }
    /// One partition on one disk.
    struct Replica {
        /// By index - 1; nil where it came before this watch.
        var log: [Item?] = []
        var hardState = RaftHardState()
        var applied: UInt64 = 0
    }
    private struct Place: Hashable {
        var partition: PartitionID
        var index: UInt64
        var term: UInt64
    }
    private struct Term: Hashable, Comparable {
        var partition: PartitionID
        var term: UInt64
        static func < (a: Term, b: Term) -> Bool { (a.partition, a.term) < (b.partition, b.term) }
    }
    private struct Identity: Hashable {
        var conversation: ConversationID
        var sender: UserID
        var id: MessageID
    }

    private let cluster: SimulationCluster
    private var stores: [NodeID: StoreID] = [:]
    private var replicas: [NodeID: [PartitionID: Replica]] = [:]
    /// What was ever synced at a place, and after which term it stood.
    private var known: [Place: (item: Item, previous: UInt64)] = [:]
    /// Where a message was ever synced.
    private var messages: [Identity: [(place: Place, item: Item)]] = [:]
    /// By index - 1: what was first applied there.
    private var applied: [PartitionID: [Item?]] = [:]
    private var leaders: [Term: RaftPeer] = [:]
    private var commits: [PartitionID: UInt64] = [:]
    private let majority: Int
    package private(set) var breaches: [Breach] = []

    package init(cluster: SimulationCluster) {
        self.cluster = cluster
        majority = cluster.configuration.replication / 2 + 1
        cluster.onStart = { [unowned self] in started($0, $1, isBlank: $2) }
        cluster.onGone = { [unowned self] in gone($0) }
        cluster.onSynced = { [unowned self] node, writes in for write in writes { synced(write, at: node) } }
        cluster.network.onSend = { [unowned self] in sent($2, from: $0, to: $1) }
    }

    /// How many terms had a leader.
    package var terms: Int { leaders.count }

    private func broke(_ promise: Promise, _ text: String) {
        guard breaches.count < 100 else { return }
        breaches.append(Breach(promise, "at \(cluster.executor.stamp): \(text)"))
        cluster.note("BREACH \(promise.rawValue): \(text)")
    }

    // MARK: What is on the disks

    private func started(_ node: NodeID, _ store: StoreID, isBlank: Bool) {
        stores[node] = store
        if isBlank { replicas[node] = [:] }
    }

    /// What was on its disk counts no more.
    private func gone(_ node: NodeID) {
        stores[node] = nil
        replicas[node] = nil
    }

    private func synced(_ write: PartitionWrite, at node: NodeID) {
        // Out of its place while it changes, so that its arrays are not copied.
        var replica = replicas[node]?.removeValue(forKey: write.partition) ?? Replica()
        defer { replicas[node, default: [:]][write.partition] = replica }
        if let state = write.hardState { replica.hardState = state }
        if write.clearsState { replica.applied = 0 }
        if let first = write.truncateFrom, first >= 1, first <= replica.log.count {
            replica.log.removeLast(replica.log.count - Int(first) + 1)
        }
        for entry in write.entries { append(entry, to: &replica, write.partition, node) }
        if let index = write.appliedIndex { applied(through: index, &replica, write.partition, node) }
    }

    private func append(_ entry: RaftEntry, to replica: inout Replica, _ partition: PartitionID, _ node: NodeID) {
        let item = Item(term: entry.term, hash: Self.hash(entry))
        let index = Int(entry.index)
        if index > replica.log.count + 1 {
            replica.log += [Item?](repeating: nil, count: index - 1 - replica.log.count)
        }
        let place = Place(partition: partition, index: entry.index, term: entry.term)
        let previous = index < 2 ? 0 : replica.log[index - 2]?.term
        if let other = known[place] {
            if other.item != item || previous.map({ $0 != other.previous }) ?? false {
                broke(.logMatching, "\(node), partition \(partition): another entry at \(entry.index) of \(entry.term)")
            }
        } else if let previous {
            known[place] = (item, previous)
        }
        if index <= replica.log.count { replica.log[index - 1] = item } else { replica.log.append(item) }
        guard entry.kind == .command else { return }
        var payload = entry.payload
        guard let send = (try? StampedCommand(decoding: &payload))?.command.sending else { return }
        let identity = Identity(conversation: send.conversation, sender: send.sender, id: send.id)
        if messages[identity]?.contains(where: { $0.place == place }) != true {
            messages[identity, default: []].append((place, item))
        }
    }

    private func applied(through index: UInt64, _ replica: inout Replica, _ partition: PartitionID, _ node: NodeID) {
        if index > UInt64(replica.log.count) {
            broke(.syncedFirst, "\(node), partition \(partition): applied \(index) of \(replica.log.count) synced")
            return
        }
        while replica.applied < index {
            let place = Int(replica.applied)
            replica.applied += 1
            let item = replica.log[place]
            var list = applied.removeValue(forKey: partition) ?? []
            defer { applied[partition] = list }
            if list.count <= place { list += [Item?](repeating: nil, count: place + 1 - list.count) }
            guard let item else { continue }
            if let first = list[place], first != item {
                broke(.stateMachineSafety, "\(node), partition \(partition): applied another entry at \(place + 1)")
            }
            list[place] = item
        }
    }

    private static func hash(_ entry: RaftEntry) -> UInt64 {
        StableHash.of(entry.payload.readableBytesView) ^ UInt64(entry.kind.rawValue)
    }

    // MARK: What is said

    private func sent(_ frames: [PeerFrame], from node: NodeID, to other: NodeID) {
        guard stores[node] != nil else { return }
        for frame in frames {
            guard case .raft(let envelopes) = frame else { continue }
            for envelope in envelopes {
                let sender = RaftPeer(node: node, store: envelope.fromStore)
                let receiver = RaftPeer(node: other, store: envelope.toStore)
                judge(envelope.message, envelope.partition, sender, receiver)
            }
        }
    }

    private func judge(
        _ message: RaftMessage, _ partition: PartitionID, _ sender: RaftPeer, _ receiver: RaftPeer
    ) {
        let replica = replicas[sender.node]?[partition] ?? Replica()
        let state = replica.hardState
        switch message {
        case .vote(let term, _, _, _):
            if state.term < term || state.term == term && state.vote != sender {
                broke(.syncedFirst, "\(sender.node) asks for votes in \(term), which is not on its disk")
            }
        case .voteReply(let term, true):
            if state.term < term || state.term == term && state.vote != receiver {
                broke(.syncedFirst, "\(sender.node) votes in \(term), which is not on its disk")
            }
        case .appendReply(let term, true, let index, _):
            if state.term <= term, UInt64(replica.log.count) < index {
                broke(.syncedFirst, "\(sender.node) confirms \(index), and has \(replica.log.count) on its disk")
            }
        case .append(let term, _, _, let commit, _), .heartbeat(let term, let commit, _, _):
            leads(sender, Term(partition: partition, term: term))
            committed(commit, partition, by: sender)
        default: break
        }
    }

    private func leads(_ sender: RaftPeer, _ term: Term) {
        if let other = leaders[term] {
            if other != sender {
                broke(.electionSafety, "\(other.node) and \(sender.node) lead \(term.partition) in \(term.term)")
            }
            return
        }
        leaders[term] = sender
        cluster.note("\(sender.node) leads partition \(term.partition) in term \(term.term)")
        // By log matching the last entry applied of a former term stands for all before it.
        guard let list = applied[term.partition],
            let place = list.lastIndex(where: { $0.map { $0.term < term.term } ?? false }), let item = list[place]
        else { return }
        cluster.executor.schedule(after: 0) { [weak self] in
            guard let self, self.stores[sender.node]?.replicaNumber(of: sender.store) != nil,
                let view = self.cluster.onNode(sender.node, { $0.raftView(of: term.partition, at: UInt64(place + 1)) }),
                let view, view.leads, view.term == term.term
            else { return }
            if view.entryTerm != item.term {
                self.broke(
                    .leaderCompleteness, "\(sender.node) leads \(term.term) without \(place + 1) of \(item.term)")
            }
        }
    }

    private func committed(_ index: UInt64, _ partition: PartitionID, by sender: RaftPeer) {
        guard index > commits[partition] ?? 0 else { return }
        commits[partition] = index
        // The leader may not have synced it itself, so what stands most often counts.
        var counts: [(item: Item, count: Int)] = []
        for node in replicas.keys.sorted() {
            guard let log = replicas[node]?[partition]?.log, log.count >= index, let item = log[Int(index) - 1] else {
                continue
            }
            if let place = counts.firstIndex(where: { $0.item == item }) {
                counts[place].count += 1
            } else {
                counts.append((item, 1))
            }
        }
        let most = counts.map(\.count).max() ?? 0
        if most < majority {
            broke(.durable, "\(sender.node) commits \(index) of partition \(partition), synced on \(most)")
        }
    }

    // MARK: What clients are told

    /// The message is accepted now: it must stand on a majority.
    package func accepted(_ id: MessageID, in conversation: ConversationID, from sender: UserID) {
        let identity = Identity(conversation: conversation, sender: sender, id: id)
        var best = 0
        for (place, item) in messages[identity] ?? [] {
            let holders = replicas.values.count { parts in
                guard let log = parts[place.partition]?.log, log.count >= place.index else { return false }
                return log[Int(place.index) - 1] == item
            }
            best = max(best, holders)
        }
        if best < majority { broke(.durable, "\(id) is accepted, synced on \(best)") }
    }
}
