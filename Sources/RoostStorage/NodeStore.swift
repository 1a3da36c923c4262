package import RoostConsensus
package import RoostModel
package import RoostProtocol

/// What one partition writes in a batch. Parts are written in the order given here.
package struct PartitionWrite: Sendable {
    package var partition: PartitionID
    package var hardState: RaftHardState?
    /// Everything derived from the partition's log is deleted first: the log is replayed after it.
    package var clearsState: Bool
    /// Entries whose rows are damaged, from another replica.
    package var repairs: [RaftEntry]
    /// Entries from this index on are removed first.
    package var truncateFrom: UInt64?
    package var entries: [RaftEntry]
    package var changes: [StateChange]
    /// The state tables are as of this entry once the batch is written.
    package var appliedIndex: UInt64?
    /// The newest HLC stamp up to `appliedIndex`.
    package var lastStamp: Int64?
    package init(
        partition: PartitionID, hardState: RaftHardState? = nil, clearsState: Bool = false, repairs: [RaftEntry] = [],
        truncateFrom: UInt64? = nil, entries: [RaftEntry] = [], changes: [StateChange] = [],
        appliedIndex: UInt64? = nil, lastStamp: Int64? = nil
    ) {
        self.partition = partition
        self.hardState = hardState
        self.clearsState = clearsState
        self.repairs = repairs
        self.truncateFrom = truncateFrom
        self.entries = entries
        self.changes = changes
        self.appliedIndex = appliedIndex
        self.lastStamp = lastStamp
    }
}

/// Facts of the node itself, outside any partition.
package struct NodeFacts: Sendable, Equatable {
    package var store: StoreID
    package var epoch: Epoch
    /// Promised, but not known to hold.
    package var promised: FoundingRecord?
    package var founded: FoundingRecord?
    /// The newest one heard of; nil before there is one newer than the founding.
    package var ring: Ring?
    /// Ascending by partition.
    package var givenBack: [GivenBack]
    /// A database before this one was set aside: this node takes part in no founding, it joins what was founded.
    package var joinsOnly: Bool
    package init(
        store: StoreID, epoch: Epoch, promised: FoundingRecord? = nil, founded: FoundingRecord? = nil,
        ring: Ring? = nil, givenBack: [GivenBack] = [], joinsOnly: Bool = false
    ) {
        self.store = store
        self.epoch = epoch
        self.promised = promised
        self.founded = founded
        self.ring = ring
        self.givenBack = givenBack
        self.joinsOnly = joinsOnly
    }

    package mutating func set(_ item: GivenBack) {
        givenBack.removeAll { $0.partition == item.partition }
        givenBack.append(item)
        givenBack.sort { $0.partition < $1.partition }
    }
}

/// What is in the database of one partition when the node starts.
package struct RestoredPartition: Sendable {
    package var hardState: RaftHardState
    package var lastIndex: UInt64
    /// Runs of equal terms: (first index, term), ascending.
    package var termRuns: [(firstIndex: UInt64, term: UInt64)]
    /// Configuration entries in the log, ascending.
    package var configurations: [RaftEntry]
    package var state: StateSnapshot
    /// Why `state` is empty although there are tables: a row of them is damaged. They are to be cleared and made anew.
    package var stateDamage: String?
    /// Rows of the log without which a Raft group cannot begin: their term is not known, they hold a configuration, or
    /// they may not be committed. Where there are any, runs and configurations are not complete.
    package var missing: [LogDamage]
    /// Other rows met that are damaged.
    package var holes: [LogDamage]
    package init(
        hardState: RaftHardState, lastIndex: UInt64, termRuns: [(firstIndex: UInt64, term: UInt64)],
        configurations: [RaftEntry], state: StateSnapshot, stateDamage: String? = nil, missing: [LogDamage] = [],
        holes: [LogDamage] = []
    ) {
        self.stateDamage = stateDamage
        self.missing = missing
        self.holes = holes
        self.hardState = hardState
        self.lastIndex = lastIndex
        self.termRuns = termRuns
        self.configurations = configurations
        self.state = state
    }
}

/// A node's database, synchronous. Writes are called by one thread (the writer) at a time, reads by any.
/// Seam: `SQLiteStore` in production and in simulation, under a different executor.
package protocol NodeStore: KnownMessages, Sendable {
    // Writer.
    /// All writes of the batch in one transaction, synced (`synchronous=FULL`) when this returns.
    func commit(_ writes: [PartitionWrite]) throws(StoreError)
    func saveFacts(_ facts: NodeFacts) throws(StoreError)

    // Readers.
    func loadFacts() throws(StoreError) -> NodeFacts?
    func loadPartition(_ partition: PartitionID) throws(StoreError) -> RestoredPartition
    /// Entries `from ... through`, ascending, stopping before `maxBytes` is exceeded but at least one, or before one
    /// that is damaged.
    func entries(
        partition: PartitionID, from: UInt64, through: UInt64, maxBytes: Int
    ) throws(StoreError) -> [RaftEntry]
    /// When the entry was committed here, microseconds since 1970 by this machine's clock, or up to a second later. Nil
    /// where that was not recorded; means nothing for an index at which there is no entry.
    func syncedAt(partition: PartitionID, index: UInt64) throws(StoreError) -> Int64?
    /// Messages with `after` < seq < `before`, ascending or descending by seq, at most `limit` and about `maxBytes`.
    func messages(
        partition: PartitionID, conversation: ConversationID, after: UInt64, before: UInt64, descending: Bool,
        skip: Int, limit: Int, maxBytes: Int
    ) throws(StoreError) -> [StoredMessage]
    /// The highest seq whose message was sent before `stamp`; 0 where there is none.
    func lastSeq(partition: PartitionID, conversation: ConversationID, sentBefore stamp: Int64) throws(StoreError)
        -> UInt64
    /// The highest seq whose message has an index up to `index`; 0 where there is none.
    func lastSeq(partition: PartitionID, conversation: ConversationID, through index: UInt64) throws(StoreError)
        -> UInt64
    /// `StableHash` of the id of every message in the partition's tables, in no order.
    func messageHashes(partition: PartitionID) throws(StoreError) -> [UInt64]
    /// Rows of messages with this id (an id may be used by several senders).
    func messages(withID id: MessageID, partition: PartitionID) throws(StoreError) -> [MessageRow]

    /// How far the partition's tables are.
    func appliedIndex(_ partition: PartitionID) throws(StoreError) -> UInt64
    /// Checks the rows that follow `place`, about `limit` of them and `maxBytes` of bodies.
    func scrub(_ place: ScrubPlace, limit: Int, maxBytes: Int) throws(StoreError) -> ScrubStep
    /// Why the tables of a partition are not to be trusted, where a lookup or a write met a damaged row of them: what was
    /// decided by lookups since is void, and they are to be cleared.
    func distrust(of partition: PartitionID) -> String?
    /// The database can't be trusted any more: nothing is written from now on, and the next start sets it aside.
    func condemn(_ reason: String)
    /// Bytes of the database.
    func size() throws(StoreError) -> UInt64

    /// Given back to the file system since it was opened.
    var bytesGivenBack: UInt64 { get }

    /// Calls after it fail.
    func close() throws(StoreError)
}

extension NodeStore {
    package func close() throws(StoreError) {}
    package var bytesGivenBack: UInt64 { 0 }
}

package struct StoredMessage: Sendable, Equatable {
    package var index: UInt64
    package var message: Message
    package init(index: UInt64, message: Message) {
        self.index = index
        self.message = message
    }
}
