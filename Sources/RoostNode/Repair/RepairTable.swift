import RoostModel
import RoostStorage

/// The damaged rows of this node's logs that are not mended yet, and whom they were asked of.
struct RepairTable: Sendable {
    /// Of all partitions; beyond it a row is not remembered until it is met again.
    static let maxHoles = 20_000
    /// Indices in one question.
    static let batch = 256
    /// How long an answer is waited for, in nanoseconds.
    static let patience: UInt64 = 1_000_000_000

    struct Hole: Sendable, Equatable {
        var foundAt: UInt64
        /// The partition's group cannot start without it.
        var isBlocking: Bool
        /// False where the row is whole, and to be compared with the others'.
        var isDamaged = true
    }

    private struct Question: Sendable {
        var node: NodeID
        var at: UInt64
        /// It had something: it is asked for the rest.
        var isAnswered = false
    }

    private var holes: [PartitionID: [UInt64: Hole]] = [:]
    private var questions: [PartitionID: Question] = [:]
    private(set) var count = 0

    /// Ascending.
    var partitions: [PartitionID] { holes.keys.sorted() }

    /// Whether the row was not known to be damaged.
    mutating func note(_ damage: LogDamage, isBlocking: Bool = false, now: UInt64) -> Bool {
        if let known = holes[damage.partition]?[damage.index] {
            if isBlocking && !known.isBlocking { holes[damage.partition]?[damage.index]?.isBlocking = true }
            return false
        }
        guard count < Self.maxHoles else { return false }
        holes[damage.partition, default: [:]][damage.index] = Hole(foundAt: now, isBlocking: isBlocking)
        count += 1
        return true
    }

    /// A whole row that is perhaps of a history which was given up. Whether it was not known.
    mutating func noteDoubtful(_ partition: PartitionID, _ index: UInt64, now: UInt64) -> Bool {
        guard holes[partition]?[index] == nil, count < Self.maxHoles else { return false }
        holes[partition, default: [:]][index] = Hole(foundAt: now, isBlocking: true, isDamaged: false)
        count += 1
        return true
    }

    func contains(_ partition: PartitionID, _ index: UInt64) -> Bool { holes[partition]?[index] != nil }

    func isDamaged(_ partition: PartitionID, _ index: UInt64) -> Bool { holes[partition]?[index]?.isDamaged ?? false }

    /// Mended, or no longer in the log. Whether it was known.
    @discardableResult
    mutating func remove(_ partition: PartitionID, _ index: UInt64) -> Bool {
        guard holes[partition]?.removeValue(forKey: index) != nil else { return false }
        count -= 1
        if holes[partition]?.isEmpty == true { holes[partition] = nil }
        return true
    }

    func indices(of partition: PartitionID) -> [UInt64] { holes[partition]?.keys.sorted() ?? [] }

    /// Since when the oldest of the partition's is known; nil where there is none.
    func oldest(of partition: PartitionID) -> UInt64? { holes[partition]?.values.map(\.foundAt).min() }

    /// What to ask of whom now: the nodes take turns. Nil where nothing is due.
    mutating func nextQuestion(
        _ partition: PartitionID, candidates: [NodeID], now: UInt64
    ) -> (node: NodeID, indices: [UInt64])? {
        guard let own = holes[partition], !candidates.isEmpty else { return nil }
        let former = questions[partition]
        var next = former.flatMap { former in candidates.first { $0 > former.node } } ?? candidates[0]
        if let former, candidates.contains(former.node) {
            if !former.isAnswered && now < former.at + Self.patience { return nil }
            if former.isAnswered { next = former.node }
        }
        questions[partition] = Question(node: next, at: now)
        // Those the group waits for come first.
        let ordered = own.sorted { ($0.value.isBlocking ? 0 : 1, $0.key) < ($1.value.isBlocking ? 0 : 1, $1.key) }
        return (next, ordered.prefix(Self.batch).map(\.key).sorted())
    }

    /// The node had something: what is left is asked of it at once.
    mutating func answered(_ partition: PartitionID, by node: NodeID) {
        if questions[partition]?.node == node { questions[partition]?.isAnswered = true }
    }
}
