import NIOCore
import RoostConsensus
import RoostModel
import RoostProtocol

/// A disk that keeps what is synced, and forgets the rest in a crash.
struct LabDisk {
    struct Write {
        var ticket: UInt64
        var hardState: RaftHardState?
        var truncateFrom: UInt64?
        var entries: [RaftEntry]
    }

    var hardState = RaftHardState()
    var entries: [RaftEntry] = []
    var founding: RaftConfiguration?
    /// What the state tables would say.
    var appliedIndex: UInt64 = 0
    var unsynced: [Write] = []

    /// Syncs the oldest `count` writes and returns the last one's ticket.
    mutating func sync(_ count: Int = .max) -> UInt64? {
        let done = unsynced.prefix(count)
        for write in done {
            if let hardState = write.hardState { self.hardState = hardState }
            if let from = write.truncateFrom { entries.removeLast(max(0, entries.count + 1 - Int(from))) }
            for entry in write.entries {
                // A gap would be the group's fault; `checkInvariants` of the lab finds it.
                entries.append(entry)
            }
        }
        unsynced.removeFirst(done.count)
        return done.last?.ticket
    }

    /// The log as the group has it.
    var withUnsynced: [RaftEntry] {
        var copy = self
        _ = copy.sync()
        return copy.entries
    }

    func restored() -> RaftRestored {
        var runs: [RaftTermRun] = []
        var configurations: [RaftConfigurationRecord] = []
        if let founding { configurations.append(RaftConfigurationRecord(index: 0, configuration: founding)) }
        for entry in entries {
            if runs.last?.term != entry.term { runs.append(RaftTermRun(firstIndex: entry.index, term: entry.term)) }
            var payload = entry.payload
            if entry.kind == .configuration, let configuration = RaftConfiguration(decoding: &payload) {
                configurations.append(RaftConfigurationRecord(index: entry.index, configuration: configuration))
            }
        }
        return RaftRestored(
            hardState: hardState, configurations: Array(configurations.suffix(2)), lastIndex: UInt64(entries.count),
            termRuns: runs, appliedIndex: appliedIndex)
    }
}

/// A group with its disk, and a record of what it asked for.
struct LabNode {
    struct Load {
        var id: UInt64
        var from: UInt64
        var through: UInt64
        var maxBytes: Int
    }

    let peer: RaftPeer
    var group: RaftGroup
    var disk: LabDisk
    var loads: [Load] = []
    var outgoing: [(to: RaftPeer, message: RaftMessage)] = []
    /// Handed out since the start, in order.
    var applied: [RaftEntry] = []
    var ready: [(id: UInt64, index: UInt64)] = []
    var failed: [UInt64] = []
    var regressed: [RaftPeer] = []
    /// All actions since last cleared, for transcripts.
    var actions: [RaftGroup.Action] = []
    var isRecording = false

    init(_ peer: RaftPeer, disk: LabDisk, options: RaftOptions, now: UInt64, seed: UInt64) {
        self.peer = peer
        self.disk = disk
        group = RaftGroup(
            id: 7, me: peer, restored: disk.restored(), options: options, now: now, seed: seed)
    }

    mutating func receive(_ event: RaftGroup.Event, now: UInt64) {
        var actions: [RaftGroup.Action] = []
        group.receive(event, now: now, into: &actions)
        perform(actions)
    }

    mutating func propose(_ texts: [String], now: UInt64) -> [UInt64]? {
        var actions: [RaftGroup.Action] = []
        let indices = group.propose(texts.map { ByteBuffer(string: $0) }, now: now, into: &actions)
        perform(actions)
        return indices
    }

    mutating func change(
        _ change: RaftGroup.MembershipChange, now: UInt64
    ) -> Result<UInt64, RaftGroup.MembershipRefusal> {
        var actions: [RaftGroup.Action] = []
        let result = group.changeMembership(change, now: now, into: &actions)
        perform(actions)
        return result
    }

    mutating func syncAll(now: UInt64) {
        if let ticket = disk.sync() { receive(.persisted(ticket: ticket), now: now) }
    }

    mutating func answerLoads(now: UInt64) {
        let asked = loads
        loads = []
        for load in asked { answer(load, now: now) }
    }

    mutating func answer(_ load: Load, now: UInt64) {
        var found: [RaftEntry] = []
        var bytes = 0
        for index in load.from...load.through where index <= disk.entries.count {
            let entry = disk.entries[Int(index) - 1]
            bytes += entry.payload.readableBytes
            if !found.isEmpty, bytes > load.maxBytes { break }
            found.append(entry)
        }
        receive(.entriesLoaded(id: load.id, entries: found), now: now)
    }

    private mutating func perform(_ actions: [RaftGroup.Action]) {
        if isRecording { self.actions += actions }
        for action in actions {
            switch action {
            case .persist(let ticket, let hardState, let truncateFrom, let entries):
                disk.unsynced.append(
                    LabDisk.Write(
                        ticket: ticket, hardState: hardState, truncateFrom: truncateFrom, entries: entries))
            case .send(let message, let to): outgoing.append((to, message))
            case .committed(let entries): applied += entries
            case .load(let id, let from, let through, let maxBytes, _):
                loads.append(Load(id: id, from: from, through: through, maxBytes: maxBytes))
            case .readReady(let id, let index): ready.append((id, index))
            case .readFailed(let id): failed.append(id)
            case .peerRegressed(let peer, _, _): regressed.append(peer)
            case .roleChanged, .membershipChanged: break
            }
        }
    }

    /// What the group says of itself, and what it asked the disk for.
    func checkInvariants() -> [String] {
        var found = group.checkInvariants()
        for (offset, entry) in disk.entries.enumerated() where entry.index != UInt64(offset) + 1 {
            found.append("disk has \(entry.index) at \(offset + 1)")
        }
        var expected = disk.appliedIndex + 1
        for entry in applied {
            if entry.index < expected, expected == disk.appliedIndex + 1 { expected = entry.index }
            if entry.index != expected { found.append("handed out \(entry.index) after \(expected - 1)") }
            expected = entry.index + 1
        }
        return found.map { "\(peer.node): \($0)" }
    }
}

extension RaftPeer {
    /// Node `n1`, `n2` … with store 1 unless said otherwise.
    init(_ number: Int, store: UInt64 = 1) { self.init(node: NodeID("n\(number)"), store: StoreID(store)) }
}
