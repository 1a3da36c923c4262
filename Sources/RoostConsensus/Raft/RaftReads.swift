/// Reads that wait for a proof of leadership (Ongaro 2014, 6.4).
struct RaftReads: Sendable {
    /// Asked since the newest round of heartbeats left.
    private(set) var waiting: [UInt64] = []
    /// Rounds that are out, ascending, with the index their reads need.
    private(set) var rounds: [(round: UInt64, index: UInt64, ids: [UInt64])] = []
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func add(_ id: UInt64) {
        waiting.append(id)
        count += 1
    }

    /// Reads that wait join `round`, if an entry of this term is committed: else the commit index may be behind that of
    /// leaders before.
    mutating func start(round: UInt64, commitIndex: UInt64, termStart: UInt64) {
        guard !waiting.isEmpty, commitIndex >= termStart else { return }
        rounds.append((round, commitIndex, waiting))
        waiting = []
    }

    mutating func proved(round: UInt64, _ actions: inout [RaftGroup.Action]) {
        while let first = rounds.first, first.round <= round {
            for id in first.ids { actions.append(.readReady(id: id, index: first.index)) }
            count -= first.ids.count
            rounds.removeFirst()
        }
    }

    mutating func failAll(_ actions: inout [RaftGroup.Action]) {
        for round in rounds { for id in round.ids { actions.append(.readFailed(id: id)) } }
        for id in waiting { actions.append(.readFailed(id: id)) }
        self = RaftReads()
    }
}
