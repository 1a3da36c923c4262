import RoostConsensus
import RoostModel
import RoostProtocol
import RoostStorage

/// Floors on their way up: the users' leaders are asked which devices there are before anything is proposed.
struct RetentionSweep: Sendable {
    var number: UInt64
    var raises: [FloorRaise]
    var devices: [DeviceRecord] = []
    /// Answers that are not here yet.
    var missing = 0
}

/// The leader's part of the retention: a few conversations at a time it looks for messages that are older than
/// `retention_seconds`, and raises the floor above what every known device of every reader has acknowledged. What all
/// replicas then remove, in the same entry, is `PartitionState.raiseFloors`.
extension Partition {
    /// Conversations looked at in one sweep.
    private static let conversationsASweep = 64
    /// Messages removed by one entry, which each replica does in the transaction that records it.
    private static let messagesAnEntry: UInt64 = 1_000
    /// Users asked about in one read.
    private static let usersARead = 256

    func sweepRetention() {
        let durability = context.configuration.durability
        guard durability.retentionSeconds > 0, isLeader, retentionSweep == nil else { return }
        if retentionPlace >= state.conversationCount { retentionPlace = 0 }
        let place = retentionPlace
        retentionPlace += Self.conversationsASweep
        guard let now = isPlanted(.floorByLocalClock) ? context.clock.wall() : removalTime else { return }
        let ids = state.forgettableIDs(
            from: place, count: Self.conversationsASweep,
            removedBefore: now - Int64(durability.idRetentionSeconds) * 1_000_000, limit: Self.messagesAnEntry)
        if !ids.isEmpty { propose(.raiseIDFloors(ids)) }
        let cutoff = now - Int64(durability.retentionSeconds) * 1_000_000
        let candidates = state.retentionCandidates(
            from: place, count: Self.conversationsASweep, olderThan: cutoff)
        guard !candidates.isEmpty else { return }
        retentionSweeps += 1
        let number = retentionSweeps
        retentionSweep = RetentionSweep(number: number, raises: [])
        let partition = id
        // Tables that lag only tell too little.
        context.storage.read({ (store: any NodeStore) throws(StoreError) -> [FloorRaise] in
            var found: [FloorRaise] = []
            for id in candidates {
                let seq = try store.lastSeq(partition: partition, conversation: id, sentBefore: cutoff)
                found.append(FloorRaise(conversation: id, seq: seq))
            }
            return found
        }) { [weak self] (result: Result<[FloorRaise], StoreError>) in
            self?.onCore { partition in
                guard partition.retentionSweep?.number == number else { return }
                switch result {
                case .success(let found): partition.askForDevices(found, number)
                case .failure: partition.retentionSweep = nil
                }
            }
        }
    }

    private func propose(_ command: Command) {
        let partition = id
        node.onCore { $0.proposeQuietly(command, partition: partition) }
    }

    private func askForDevices(_ found: [FloorRaise], _ number: UInt64) {
        var left = Self.messagesAnEntry
        var raises: [FloorRaise] = []
        var users: Set<UserID> = []
        for item in found where left > 0 {
            let floor = state.retention(of: item.conversation).floor
            let seq = min(item.seq, floor + left)
            guard seq > floor else { continue }
            left -= seq - floor
            raises.append(FloorRaise(conversation: item.conversation, seq: seq))
            users.formUnion(state.readers(of: item.conversation, aboveFloorThrough: seq))
        }
        guard !raises.isEmpty else {
            retentionSweep = nil
            return
        }
        let count = context.configuration.partitions
        var byPartition: [PartitionID: [UserID]] = [:]
        for user in users.sorted() { byPartition[PartitionID(of: user.uuid, count: count), default: []].append(user) }
        var reads: [(PartitionID, [UserID])] = []
        for (partition, users) in byPartition.sorted(by: { $0.key < $1.key }) {
            var rest = users[...]
            while !rest.isEmpty {
                reads.append((partition, Array(rest.prefix(Self.usersARead))))
                rest = rest.dropFirst(Self.usersARead)
            }
        }
        retentionSweep?.raises = raises
        retentionSweep?.missing = reads.count
        guard !reads.isEmpty else { return raiseFloors() }
        for (partition, users) in reads {
            node.onCore { node in
                _ = node.call(.read(.knownDevices(users)), partition: partition) { [weak self] outcome in
                    self?.onCore { $0.heardOfDevices(outcome, number) }
                }
            }
        }
    }

    private func heardOfDevices(_ outcome: CallOutcome, _ number: UInt64) {
        guard retentionSweep?.number == number else { return }
        guard case .read(.devices(let devices)) = outcome else {
            // Without its leader nobody knows who may still come: another time.
            retentionSweep = nil
            return
        }
        retentionSweep?.devices += devices
        retentionSweep?.missing -= 1
        if retentionSweep?.missing == 0 { raiseFloors() }
    }

    private func raiseFloors() {
        guard let sweep = retentionSweep else { return }
        retentionSweep = nil
        guard isLeader else { return }
        let raises = sweep.raises.compactMap { raise -> FloorRaise? in
            let floor = state.retention(of: raise.conversation).floor
            let seq = state.clearedFloor(of: raise.conversation, towards: raise.seq, devices: sweep.devices) { device in
                // By memory alone: in doubt everything is kept.
                state.lastSeq(of: raise.conversation, sentBefore: device.startAt) { 0 }
            }
            return seq > floor ? FloorRaise(conversation: raise.conversation, seq: seq) : nil
        }
        if !raises.isEmpty { propose(.raiseFloors(raises)) }
    }
}

extension Node {
    func retentionFamilies(
        _ one: (String, String, MetricsView.Kind, Double) -> MetricsView.Family
    ) -> [MetricsView.Family] {
        func counter(_ name: String, _ help: String, _ value: UInt64) -> MetricsView.Family {
            one(name, help, .counter, Double(value))
        }
        let counters = context.counters
        return [
            counter(
                "roost_retention_floors_raised_total", "Times that the floor of a conversation here was raised.",
                counters.floorsRaised.value),
            counter(
                "roost_retention_messages_removed_total", "Messages here whose content was removed.",
                counters.messagesRemoved.value),
            counter(
                "roost_retention_ids_forgotten_total", "Removed messages here whose ids are no longer known.",
                counters.idsForgotten.value),
            counter(
                "roost_storage_given_back_bytes_total", "Bytes of the database given back to the file system.",
                context.storage.store.bytesGivenBack),
            one(
                "roost_storage_size_bytes", "Of the database, as the scrub saw it last.", .gauge, Double(databaseBytes)),
        ]
    }
}
