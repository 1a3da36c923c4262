import GRDB
import NIOCore
import RoostConsensus
package import RoostModel
import RoostProtocol
import Synchronization

/// What a commit writes of one partition beside its log, gathered from all its writes in the batch: of rows that later
/// ones replace only the last is written.
private struct Gathered {
    var hardState: RaftHardState?
    var changes: [StateChange] = []
    var appliedIndex: UInt64?
    var lastStamp: Int64?

    mutating func add(_ write: PartitionWrite) {
        if let state = write.hardState { hardState = state }
        if write.clearsState {
            changes = []
            appliedIndex = nil
            lastStamp = nil
        }
        if changes.isEmpty { changes = write.changes } else { changes.append(contentsOf: write.changes) }
        if let index = write.appliedIndex { appliedIndex = index }
        if let stamp = write.lastStamp { lastStamp = stamp }
    }
}

extension SQLiteStore {
    /// After an error other than `.full` nothing is known of the disk, and every later commit throws it again.
    package func commit(_ writes: [PartitionWrite]) throws(StoreError) {
        if !writes.isEmpty { try commit(writes, facts: nil) }
    }

    /// Facts too, in the same transaction.
    package func commit(_ writes: [PartitionWrite], facts: NodeFacts?) throws(StoreError) {
        if let facts { mark?.begin(facts.store) }
        var times = syncTimes.withLock { $0 }
        times.now = wall()
        let cleared = writes.filter(\.clearsState).map(\.partition)
        // A reader may have looked up a key meanwhile, with what was known of its row.
        defer { if !cleared.isEmpty { keys.removeAll() } }
        var vacuumed: UInt64 = 0
        try writeTransaction { db in
            if let facts { try Self.write(facts, db) }
            var order: [PartitionID] = []
            var gathered: [PartitionID: Gathered] = [:]
            // Rows of what was cleared are not to be taken for written.
            for partition in cleared { try deleteState(of: partition, db) }
            if !cleared.isEmpty { keys.removeAll() }
            try writeLog(writes, db)
            for write in writes { try times.write(write, db) }
            for write in writes {
                if gathered[write.partition] == nil { order.append(write.partition) }
                gathered[write.partition, default: Gathered()].add(write)
            }
            var rows = try StateRowWriter(db, keys: keys)
            for partition in order {
                guard let part = gathered[partition] else { continue }
                if let state = part.hardState { try Self.writeHardState(state, partition, db) }
                try rows.write(part.changes, partition: partition)
                if part.appliedIndex != nil || part.lastStamp != nil {
                    try writeApplied(part.appliedIndex, part.lastStamp, partition, db)
                }
            }
            if rows.hasRemoved { vacuumed = try Self.giveBack(db) }
            return rows.fresh
        }
        givenBack.wrappingAdd(vacuumed, ordering: .relaxed)
        syncTimes.withLock { $0 = times }
        for partition in cleared { distrusted.trust(partition) }
    }

    package func saveFacts(_ facts: NodeFacts) throws(StoreError) { try commit([], facts: facts) }

    private static func write(_ facts: NodeFacts, _ db: Database) throws {
        var statement = try BoundStatement(db, CheckedTable.facts.insert)
        statement.reset(.facts)
        try statement.bind(1)
        try statement.bind(bits: facts.store.value)
        try statement.bind(bits: facts.epoch)
        for record in [facts.promised, facts.founded] {
            var buffer = ByteBuffer()
            record?.encode(into: &buffer)
            try statement.bind(buffer)
        }
        var ring = ByteBuffer()
        facts.ring?.encode(into: &ring)
        try statement.bind(ring)
        try statement.bind(GivenBack.encode(facts.givenBack))
        try statement.bind(facts.joinsOnly ? 1 : 0)
        try statement.bindChecksum()
        try statement.run()
    }

    /// Deletes what is derived from a partition's log. The log stays, and replaying it makes the same rows again.
    package func clearState(_ partition: PartitionID) throws(StoreError) {
        try commit([PartitionWrite(partition: partition, clearsState: true)])
    }

    /// The integer keys of conversations stay, or one that is remembered somewhere could become another's; but for
    /// those whose rows are damaged.
    private func deleteState(of partition: PartitionID, _ db: Database) throws {
        let own = [Int64(partition.value)] as StatementArguments
        var damaged: [Int64] = []
        let keys = CheckedTable.conversationKeys
        let rows = try Row.fetchCursor(
            db, sql: "SELECT \(keys.selected(as: "k")) FROM \(keys.name) k WHERE k.partition = ?", arguments: own)
        while let row = try rows.next() {
            if !row.isWhole(keys), let key = try? row.integer(0) { damaged.append(key) }
        }
        for table in Schema.conversationTables {
            try db.execute(
                sql:
                    "DELETE FROM \(table) WHERE conversation IN (SELECT key FROM conversation_keys WHERE partition = ?)",
                arguments: own)
            for key in damaged {
                try db.execute(sql: "DELETE FROM \(table) WHERE conversation = ?", arguments: [key])
            }
        }
        for key in damaged { try db.execute(sql: "DELETE FROM conversation_keys WHERE key = ?", arguments: [key]) }
        for table in Schema.partitionedStateTables {
            try db.execute(sql: "DELETE FROM \(table) WHERE partition = ?", arguments: own)
        }
    }

    /// `body` returns the conversation keys it made or found, which are remembered once they are committed.
    private func writeTransaction(
        _ body: (Database) throws -> [(ConversationKey, ConversationKeys.Known)]
    ) throws(StoreError) {
        if let error = poison.withLock({ $0 }) { throw error }
        do {
            var fresh: [(ConversationKey, ConversationKeys.Known)] = []
            let number = commits.withLock { $0 } + 1
            try mappingErrors(directory: directory, writer) {
                try writer.inTransaction(.immediate) { db in
                    fresh = try body(db)
                    try Self.writeCommitNumber(number, db)
                    return .commit
                }
            }
            commits.withLock { $0 = number }
            mark?.confirm(number)
            for (conversation, known) in fresh { keys.insert(known, for: conversation) }
        } catch {
            if case .full = error { throw error }
            poison.withLock { $0 = $0 ?? error }
            if case .damagedState(let partition?, let text) = error { distrusted.distrust(partition, because: text) }
            throw error
        }
    }

    private func writeLog(_ writes: [PartitionWrite], _ db: Database) throws {
        var insert = try BoundStatement(db, LogRow.insert)
        for write in writes {
            if let first = write.truncateFrom {
                try LogRepair.remove(from: first, write.partition, db)
            }
            for entry in write.repairs { try LogRepair.write(entry, write.partition, db) }
            for entry in write.entries { try LogRow.write(entry, partition: write.partition, with: &insert) }
        }
    }

    /// Bytes by which the database gets smaller.
    private static func giveBack(_ db: Database) throws -> UInt64 {
        func pages() throws -> Int64 { try Int64.fetchOne(db, sql: "PRAGMA page_count") ?? 0 }
        let before = try pages()
        try db.execute(sql: "PRAGMA incremental_vacuum(\(StateRowWriter.pagesACommit))")
        let size = try Int64.fetchOne(db, sql: "PRAGMA page_size") ?? 0
        return UInt64(max(0, before - (try pages())) * size)
    }

    private static func writeCommitNumber(_ number: UInt64, _ db: Database) throws {
        var statement = try BoundStatement(db, CheckedTable.commits.insert)
        statement.reset(.commits)
        try statement.bind(1)
        try statement.bind(bits: number)
        try statement.bindChecksum()
        try statement.run()
    }

    /// 0 before the first, nil where the row is damaged.
    static func commitNumber(_ db: Database) throws -> UInt64? {
        let table = CheckedTable.commits
        guard let row = try Row.fetchOne(db, sql: "SELECT \(table.selected(as: "t")) FROM \(table.name) t") else {
            return 0
        }
        return row.isWhole(table) ? try row.bits(1) : nil
    }

    static func writeHardState(_ state: RaftHardState, _ partition: PartitionID, _ db: Database) throws {
        var statement = try BoundStatement(db, CheckedTable.hardState.insert)
        statement.reset(.hardState)
        try statement.bind(Int64(partition.value))
        try statement.bind(bits: state.term)
        try statement.bind(state.vote?.node.name)
        try statement.bind(optional: state.vote.map { Int64(bitPattern: $0.store.value) })
        try statement.bindChecksum()
        try statement.run()
    }

    /// What is nil stays as it is.
    private func writeApplied(_ index: UInt64?, _ stamp: Int64?, _ partition: PartitionID, _ db: Database) throws {
        var index = index.map { Int64(bitPattern: $0) }
        var stamp = stamp
        if index == nil || stamp == nil {
            let former = try Self.applied(partition, db)
            index = index ?? former?.index
            stamp = stamp ?? former?.stamp
        }
        var statement = try BoundStatement(db, CheckedTable.applied.insert)
        statement.reset(.applied)
        try statement.bind(Int64(partition.value))
        try statement.bind(index ?? 0)
        try statement.bind(stamp ?? 0)
        try statement.bindChecksum()
        try statement.run()
    }

    static func applied(_ partition: PartitionID, _ db: Database) throws -> (index: Int64, stamp: Int64)? {
        let table = CheckedTable.applied
        var statement = try BoundStatement(
            db, "SELECT \(table.selected(as: "t")) FROM \(table.name) t WHERE t.partition = ?")
        statement.reset()
        try statement.bind(Int64(partition.value))
        let rows = try statement.rows()
        guard let row = try rows.next() else { return nil }
        try row.check(table, of: partition)
        return (try row.integer(1), try row.integer(2))
    }
}
