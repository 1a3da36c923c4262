import RoostModel
import RoostProtocol

/// What a Raft peer, a node and its store, owes to what it said before: it keeps what it confirmed, and once it was
/// removed it never comes back. Told of the disks and the frames by `LogWatch`.
struct PeerWatch {
    private struct Place: Hashable {
        var partition: PartitionID
        var index: UInt64
        var term: UInt64
    }
    /// How far each peer said that it has the log, less what it truncated since.
    private var confirmed: [RaftPeer: [PartitionID: UInt64]] = [:]
    private var configurations: [Place: RaftConfiguration] = [:]
    /// Who has a vote by the last configuration applied anywhere, and all that had one before.
    private var voters: [PartitionID: Set<RaftPeer>] = [:]
    private var removed: [PartitionID: Set<RaftPeer>] = [:]

    mutating func truncated(_ peer: RaftPeer, _ partition: PartitionID, from first: UInt64) {
        // Whichever replica of the store it is.
        for other in confirmed.keys
        where other.node == peer.node && peer.store.replicaNumber(of: other.store) != nil {
            guard let said = confirmed[other]?[partition], said >= first else { continue }
            confirmed[other]?[partition] = first - min(first, 1)
        }
    }

    mutating func appended(_ entry: RaftEntry, to partition: PartitionID) {
        guard entry.kind == .configuration else { return }
        var payload = entry.payload
        let place = Place(partition: partition, index: entry.index, term: entry.term)
        configurations[place] = RaftConfiguration(decoding: &payload)
    }

    /// The entry is applied for the first time, anywhere. Peers that were removed and are members again.
    mutating func applied(_ partition: PartitionID, _ index: UInt64, term: UInt64) -> [RaftPeer] {
        guard let now = configurations[Place(partition: partition, index: index, term: term)] else { return [] }
        let present = Set(now.voters + now.learners)
        let back = present.intersection(removed[partition] ?? []).sorted()
        removed[partition, default: []].formUnion((voters[partition] ?? []).subtracting(present))
        voters[partition] = Set(now.voters)
        return back
    }

    mutating func confirms(_ peer: RaftPeer, _ partition: PartitionID, through index: UInt64) {
        confirmed[peer, default: [:]][partition] = max(confirmed[peer]?[partition] ?? 0, index)
    }

    /// How far a peer that votes or confirms had confirmed, where it has less.
    func lacks(_ peer: RaftPeer, _ partition: PartitionID, has count: Int) -> UInt64? {
        guard let said = confirmed[peer]?[partition], UInt64(count) < said else { return nil }
        return said
    }
}
