import NIOCore
import RoostConsensus
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
        /// Ascending; those of the log, without the founding's.
        var configurations: [(index: UInt64, voters: [RaftPeer])] = []

        mutating func truncate(to count: Int) {
            guard count < log.count else { return }
            log.removeLast(log.count - count)
            while let last = configurations.last, last.index > UInt64(count) { configurations.removeLast() }
        }
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
    struct Quorum: Equatable {
        var voters: [RaftPeer]
        var size: Int
    }
    private struct Creation: Hashable {
        var user: UserID
        var passwordHash: String
    }
    private struct Identity: Hashable {
        var conversation: ConversationID
        var sender: UserID
        var id: MessageID
    }

    private let cluster: SimulationCluster
    private(set) var stores: [NodeID: StoreID] = [:]
    private(set) var replicas: [NodeID: [PartitionID: Replica]] = [:]
    /// What was ever synced at a place, and after which term it stood.
    private var known: [Place: (item: Item, previous: UInt64)] = [:]
    /// Where a message was ever synced.
    private var messages: [Identity: [(place: Place, item: Item)]] = [:]
    /// Where an account was.
    private var creations: [Creation: [(place: Place, item: Item)]] = [:]
    /// By index - 1: what was first applied there.
    private var applied: [PartitionID: [Item?]] = [:]
    private var leaders: [Term: RaftPeer] = [:]
    private var commits: [PartitionID: UInt64] = [:]
    private var peers = PeerWatch()
    /// Disks that are not in their machines, or gone with them.
    private(set) var shelf: [StoreID: [PartitionID: Replica]] = [:]
    /// By index - 1: what once stood on a majority of the disks that counted then. One of them may be lost since.
    var established: [PartitionID: [Item?]] = [:]
    /// Disks that count, by the newest configuration of each replica; made anew when one changes.
    var quorums: [PartitionID: [Quorum]] = [:]
    let majority: Int
    package private(set) var breaches: [Breach] = []

    package init(cluster: SimulationCluster) {
        self.cluster = cluster
        majority = cluster.configuration.replication / 2 + 1
        cluster.onStart = { [unowned self] in started($0, $1, isBlank: $2) }
        cluster.onGone = { [unowned self] in gone($0) }
        cluster.onSynced = { [unowned self] node, writes in
            for write in writes { synced(write, at: node) }
            for write in writes where !write.repairs.isEmpty { repaired(write, at: node) }
        }
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
        if let former = stores[node], former != store {
            shelf[former] = replicas[node]
            replicas[node] = shelf.removeValue(forKey: store)
        }
        stores[node] = store
        if isBlank { replicas[node] = [:] }
        quorums.removeAll()
    }

    /// The node is gone with its disk.
    private func gone(_ node: NodeID) {
        if let store = stores.removeValue(forKey: node) { shelf[store] = replicas[node] }
        replicas[node] = nil
    }

    private func synced(_ write: PartitionWrite, at node: NodeID) {
        // Out of its place while it changes, so that its arrays are not copied.
        var replica = replicas[node]?.removeValue(forKey: write.partition) ?? Replica()
        defer { replicas[node, default: [:]][write.partition] = replica }
        if let state = write.hardState { replica.hardState = state }
        if write.clearsState { replica.applied = 0 }
        if let first = write.truncateFrom, first >= 1, first <= replica.log.count {
            replica.truncate(to: Int(first) - 1)
            quorums[write.partition] = nil
        }
        if let first = write.truncateFrom, let store = stores[node] {
            peers.truncated(RaftPeer(node: node, store: store), write.partition, from: first)
        }
        for entry in write.entries { append(entry, to: &replica, write.partition, node) }
        if let index = write.appliedIndex { applied(through: index, &replica, write.partition, node) }
        guard !write.entries.isEmpty else { return }
        replicas[node, default: [:]][write.partition] = replica
        for entry in write.entries { establish(Int(entry.index), replica.log[Int(entry.index) - 1], write.partition) }
    }

    /// With a row that comes from another replica go those that cannot stand beside it: what is left is on the disk.
    private func repaired(_ write: PartitionWrite, at node: NodeID) {
        guard let stored = try? cluster.disk(of: node)?.loadPartition(write.partition) else { return }
        replicas[node]?[write.partition]?.truncate(to: Int(stored.lastIndex))
        if let store = stores[node] {
            peers.truncated(RaftPeer(node: node, store: store), write.partition, from: stored.lastIndex + 1)
        }
        replicas[node]?[write.partition]?.hardState = stored.hardState
        quorums[write.partition] = nil
    }

    private func append(_ entry: RaftEntry, to replica: inout Replica, _ partition: PartitionID, _ node: NodeID) {
        let (item, command) = Self.item(entry)
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
        peers.appended(entry, to: partition)
        if entry.kind == .configuration { changed(entry, &replica, partition) }
        if let send = command?.sending {
            let identity = Identity(conversation: send.conversation, sender: send.sender, id: send.id)
            note(item, at: place, in: &messages[identity, default: []])
        } else if let account = command?.creating {
            let creation = Creation(user: account.user, passwordHash: account.passwordHash)
            note(item, at: place, in: &creations[creation, default: []])
        }
    }

    private func note(_ item: Item, at place: Place, in places: inout [(place: Place, item: Item)]) {
        if !places.contains(where: { $0.place == place }) { places.append((place, item)) }
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
            if list[place] == nil {
                for peer in peers.applied(partition, UInt64(place) + 1, term: item.term) {
                    broke(
                        .electionSafety, "\(peer.node) is back in partition \(partition) with the store \(peer.store)")
                }
            }
            list[place] = item
        }
        commits[partition] = max(commits[partition] ?? 0, index)
    }

    /// The same for an entry whose content the retention removed: it is compared without, by the hash that stands for it.
    private static func item(_ entry: RaftEntry) -> (Item, Command?) {
        var payload = entry.payload
        let stamped = entry.kind == .command ? try? StampedCommand(decoding: &payload) : nil
        if let stamped, let sending = stamped.command.sending {
            let hash = ContentHash.of(type: sending.type, content: sending.content)
            payload = entry.payload
            if let stripped = stamped.command.stripped(hash: hash) {
                payload = ByteBuffer()
                StampedCommand(stamp: stamped.stamp, command: stripped).encode(into: &payload)
            }
        } else {
            payload = entry.payload
        }
        let hash = StableHash.of(payload.readableBytesView) ^ UInt64(entry.kind.rawValue)
        return (Item(term: entry.term, hash: hash), stamped?.command)
    }

    private func changed(_ entry: RaftEntry, _ replica: inout Replica, _ partition: PartitionID) {
        var payload = entry.payload
        guard let configuration = RaftConfiguration(decoding: &payload) else { return }
        replica.configurations.append((entry.index, configuration.voters))
        quorums[partition] = nil
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
        case .vote, .voteReply(_, true), .appendReply(_, true, _, _):
            if let said = peers.lacks(sender, partition, has: replica.log.count) {
                broke(.syncedFirst, "\(sender.node) votes with \(replica.log.count) entries, and had confirmed \(said)")
            }
        default: break
        }
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
            if state.term == term { peers.confirms(sender, partition, through: index) }
        case .append(let term, _, _, let commit, _):
            leads(sender, Term(partition: partition, term: term))
            committed(commit, partition, by: sender, countedIn: term)
        case .heartbeat(let term, let commit, _, _):
            leads(sender, Term(partition: partition, term: term))
            committed(commit, partition, by: sender, countedIn: nil)
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

    /// `term`: that of the leader where it told all it has committed, not what a follower may know of it.
    private func committed(_ index: UInt64, _ partition: PartitionID, by sender: RaftPeer, countedIn term: UInt64?) {
        guard index > commits[partition] ?? 0 else { return }
        commits[partition] = index
        // The leader may not have synced it itself, so whatever stands on a majority counts.
        var items: [Item] = []
        for node in replicas.keys.sorted() {
            guard let log = replicas[node]?[partition]?.log, log.count >= index, let item = log[Int(index) - 1] else {
                continue
            }
            if !items.contains(item) { items.append(item) }
        }
        guard let item = items.first(where: { standsOnMajority(Int(index), $0, partition) }) else {
            let standing = items.map { holders(of: Int(index), $0, partition) }
            return broke(
                .durable, "\(sender.node) commits \(index) of partition \(partition), synced on \(standing)")
        }
        // What nobody knew of before it has counted itself: that is only right for entries of its own term.
        if let term, item.term < term {
            broke(.leaderCompleteness, "\(sender.node) commits \(index) of term \(item.term) by counting in \(term)")
        }
    }

    // MARK: What clients are told

    /// The message is accepted now: it must stand on a majority.
    package func accepted(_ id: MessageID, in conversation: ConversationID, from sender: UserID) {
        let identity = Identity(conversation: conversation, sender: sender, id: id)
        mustStand("\(id) is accepted", messages[identity] ?? [])
    }

    /// Somebody is told now that his account is made.
    func made(_ account: AccountRecord) {
        let creation = Creation(user: account.user, passwordHash: account.passwordHash)
        mustStand("\(account.username) is made", creations[creation] ?? [])
    }

    private func mustStand(_ what: String, _ places: [(place: Place, item: Item)]) {
        guard !places.contains(where: { standsOnMajority(Int($0.place.index), $0.item, $0.place.partition) }) else {
            return
        }
        let standing = places.map { holders(of: Int($0.place.index), $0.item, $0.place.partition) }
        broke(.durable, "\(what), synced on \(standing)")
    }
}

extension Command {
    fileprivate var creating: AccountRecord? {
        switch self {
        case .createAccount(let account): account
        case .limited(_, let command), .called(_, let command): command.creating
        default: nil
        }
    }
}
