package import RoostModel

/// Which message ids may be in the tables: a Bloom filter (Bloom, "Space/time trade-offs in hash coding", 1970) of 12
/// bits and 4 probes an id, about one false "may be" in 200. Most ids are new, and for those it spares the lookup.
///
/// A class, so that one partition's lookups see what it has just inserted; it belongs to that partition alone.
package final class MessageFilter: KnownMessages {
    private var words: [UInt64]
    private let mask: UInt64
    private var count = 0
    /// More ids than this and it no longer spares much: make one of twice the size.
    private let capacity: Int
    /// False until every id in the tables has been inserted: till then everything may be known.
    package private(set) var isComplete = false
    private let known: any KnownMessages

    /// - Parameter capacity: ids, rounded up so that the bits are a power of two.
    package init(capacity: Int, known: any KnownMessages) {
        var bits = 1 << 16
        while bits < capacity * 12 && bits < 1 << 36 { bits <<= 1 }
        words = Array(repeating: 0, count: bits / 64)
        mask = UInt64(bits - 1)
        self.capacity = bits / 12
        self.known = known
    }

    package var isFull: Bool { count > capacity }
    package var idCount: Int { count }

    package func insert(_ id: MessageID) { insert(hash: StableHash.of(id.uuid)) }

    package func insert(hash: UInt64) {
        count += 1
        forEachProbe(hash) { word, bit in
            words[word] |= bit
            return true
        }
    }

    /// All ids that the tables held when it was made are in.
    package func complete() { isComplete = true }

    package func mayContain(_ id: MessageID) -> Bool {
        guard isComplete else { return true }
        return forEachProbe(StableHash.of(id.uuid)) { word, bit in words[word] & bit != 0 }
    }

    package func knownMessage(
        partition: PartitionID, conversation: ConversationID, sender: UserID, id: MessageID
    ) -> MessageRow? {
        guard mayContain(id) else { return nil }
        return known.knownMessage(partition: partition, conversation: conversation, sender: sender, id: id)
    }

    /// Double hashing (Kirsch, Mitzenmacher, 2006); stops where `body` says false, and says whether it did not.
    @discardableResult
    private func forEachProbe(_ hash: UInt64, _ body: (Int, UInt64) -> Bool) -> Bool {
        let step = StableHash.mix(hash) | 1
        for probe in 0..<UInt64(4) {
            let position = (hash &+ probe &* step) & mask
            guard body(Int(position >> 6), 1 << (position & 63)) else { return false }
        }
        return true
    }
}
