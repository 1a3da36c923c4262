import Logging
import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage

/// What this node should not lead, and what others say of themselves. Leadership goes where it can be used.
extension Node {
    /// A hole is usually mended within a round trip: nobody moves for that.
    private static let patience: UInt64 = 2_000_000_000

    /// Tells Raft and the other nodes what has changed.
    func tellFitness() {
        let now = context.clock.now()
        var rebuilt: [PartitionID] = []
        for (id, target) in rebuilding {
            let isDone = partitions[id]?.onCore { $0.state.appliedIndex >= min(target, $0.raft.lastIndex) } ?? false
            if isDone { rebuilt.append(id) }
        }
        for id in rebuilt { rebuilding[id] = nil }
        let holed = repairs.partitions.filter { id in
            repairs.oldest(of: id).map { now >= $0 + Self.patience } ?? false
        }
        let unfit = Set(holed).union(rebuilding.keys).sorted()
        // Its group was told when it started, the others perhaps never: it may have taken less than a tick.
        for id in rebuilt.sorted() where !unfit.contains(id) { partitions[id]?.onCore { $0.receive(.fitness(true)) } }
        guard unfit != ownUnfit.partitions || isFull != ownUnfit.isFull else { return }
        let before = Set(ownUnfit.partitions)
        ownUnfit = Unfitness(isFull: isFull, partitions: unfit)
        for partition in sortedPartitions where before.contains(partition.id) != unfit.contains(partition.id) {
            let isFit = !unfit.contains(partition.id)
            partition.onCore { $0.receive(.fitness(isFit)) }
        }
        for node in peers.keys.sorted() where node != me && isUp(node) { tellFitness(to: node) }
    }

    /// Also when a link comes up.
    func tellFitness(to node: NodeID) {
        send(control: .repair(.unfit(isFull: ownUnfit.isFull, partitions: ownUnfit.partitions)), to: node)
    }

    func unfit(_ node: NodeID, isFull: Bool, _ list: [PartitionID]) {
        let before = othersUnfit[node]
        othersUnfit[node] = Unfitness(isFull: isFull, partitions: list)
        if isFull != before?.isFull ?? false {
            context.logger.notice("\(node): \(isFull ? "its disk is full, it leads nothing" : "it can write again")")
        }
        for partition in sortedPartitions { tellUnfit(partition) }
    }

    /// What others have said, for a group that starts.
    func tellUnfit(_ partition: Partition) {
        let nodes = othersUnfit.keys.sorted().filter { !mayLead($0, partition.id) }
        partition.onCore { if $0.raft.unfitNodes != nodes { $0.receive(.peersUnfit(nodes)) } }
    }

    func mayLead(_ node: NodeID, _ partition: PartitionID) -> Bool {
        guard let unfit = othersUnfit[node] else { return true }
        return !unfit.isFull && !unfit.partitions.contains(partition)
    }

    // MARK: A store that went back in time

    /// The leader remembers what this store confirmed, and it is not there: an old copy of the disk was put back. Its
    /// votes may be gone as well, so it must not go on.
    func regressed(_ id: PartitionID, term: UInt64, store: StoreID, confirmed: UInt64, says node: NodeID) {
        guard let partition = partitions[id], store == partition.me.store else { return }
        // What another term confirmed may have been truncated since; within a term that cannot be.
        let has = partition.onCore { partition in
            partition.raft.term == term && partition.raft.leader?.node == node ? partition.raft.lastIndex : nil
        }
        guard let has, has < confirmed else { return }
        condemn("partition \(id): it has only \(has) of \(confirmed) entries that it had confirmed to \(node)")
    }

    /// The database is set aside at the next start, and this life ends.
    func condemn(_ reason: String) {
        context.storage.store.condemn(reason)
        fail(
            "the database is damaged: \(reason); the next start sets it aside and fills a new one from the other "
                + "replicas")
    }
}

/// What a node should not be made to lead.
struct Unfitness: Sendable, Equatable {
    var isFull = false
    /// Ascending.
    var partitions: [PartitionID] = []
}
