import RoostProtocol

/// What to do with committed entries of others for a replica that does not run, since rows of its log are damaged.
///
/// An entry of a term stands only behind the entry that it stands behind everywhere (log matching, Ongaro 2014, 3.5). The
/// rows before a damaged one that are not known to be committed may be of a history that was given up; one with a lower
/// term than the entry that is to be written may be so without a sign. Then it is compared with the others' first, and the
/// one before it, down to where both histories agree.
struct RepairPlan: Sendable, Equatable {
    struct Row: Sendable {
        /// Committed, by another replica.
        var entry: RaftEntry
        /// Terms of the own rows at its index and before it; nil where there is none that is whole.
        var own: UInt64?
        var before: UInt64?
    }

    /// To be written, ascending.
    private(set) var write: [RaftEntry] = []
    /// Own rows that are the others' as well.
    private(set) var agreed: [UInt64] = []
    /// To be compared first, and what waits for that.
    private(set) var ask: Set<UInt64> = []
    /// Rows looked at together on the way down.
    private static let block: UInt64 = 64

    /// `rows` ascending by index; what is at or below `applied` is known to be committed.
    init(_ rows: [Row], applied: UInt64) {
        var settled: UInt64?
        var waiting: UInt64?
        for row in rows {
            let index = row.entry.index
            if row.own == row.entry.term {
                agreed.append(index)
                settled = index
                continue
            }
            let isCommittedBefore = index <= applied + 1 || settled == index - 1
            // A predecessor that is damaged itself is mended in its turn, and what it stands behind compared then.
            let standsByTerm = waiting != index - 1 && row.before.map { $0 >= row.entry.term } ?? true
            if isCommittedBefore || standsByTerm {
                write.append(row.entry)
                settled = index
            } else {
                ask.formUnion(max(applied + 1, index > Self.block ? index - Self.block : 1)...index)
                waiting = index
            }
        }
        // Those are needed again, beside what was not in the answer.
        agreed.removeAll { ask.contains($0) }
    }
}
