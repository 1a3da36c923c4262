import GRDB
import NIOCore
import RoostConsensus
package import RoostModel
package import RoostProtocol
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
        if changes.isEmpty { changes = write.changes } else { changes.append(contentsOf: write.changes) }
        if let index = write.appliedIndex { appliedIndex = index }
        if let stamp = write.lastStamp { lastStamp = stamp }
    }
}

extension SQLiteStore {
    /// After an error other than `.full` nothing is known of the disk, and every later commit throws it again.
    package func commit(_ writes: [PartitionWrite]) throws(StoreError) {
        guard !writes.isEmpty else { return }
        try writeTransaction { db in
            var order: [PartitionID] = []
            var gathered: [PartitionID: Gathered] = [:]
            try writeLog(writes, db)
            for write in writes {
                if gathered[write.partition] == nil { order.append(write.partition) }
                gathered[write.partition, default: Gathered()].add(write)
            }
            var rows = try StateRowWriter(db, keys: keys)
            for partition in order {
                guard let part = gathered[partition] else { continue }
                if let state = part.hardState { try writeHardState(state, partition, db) }
                try rows.write(part.changes, partition: partition)
                if part.appliedIndex != nil || part.lastStamp != nil {
                    try writeApplied(part.appliedIndex, part.lastStamp, partition, db)
                }
            }
            if rows.hasRemoved {
                try db.execute(sql: "PRAGMA incremental_vacuum(\(StateRowWriter.pagesACommit))")
            }
            return rows.fresh
        }
    }

    /// Writes an entry whose row is damaged again, from another replica's. Other rows stay as they are.
    package func repair(_ entry: RaftEntry, partition: PartitionID) throws(StoreError) {
        try writeTransaction { db in
            var statement = try BoundStatement(db, LogRow.replace)
            try LogRow.write(entry, partition: partition, with: &statement)
            return []
        }
    }

    package func saveFacts(_ facts: NodeFacts) throws(StoreError) {
        try writeTransaction { db in
            var statement = try BoundStatement(
                db, "INSERT OR REPLACE INTO facts (id, store, epoch, promised, founded) VALUES (1, ?, ?, ?, ?)")
            statement.reset()
            try statement.bind(bits: facts.store.value)
            try statement.bind(bits: facts.epoch)
            for record in [facts.promised, facts.founded] {
                var buffer = ByteBuffer()
                record?.encode(into: &buffer)
                try statement.bind(buffer)
            }
            try statement.run()
            return []
        }
    }

    /// Deletes what is derived from a partition's log. The log stays, and replaying it makes the same rows again.
    package func clearState(_ partition: PartitionID) throws(StoreError) {
        try writeTransaction { db in
            for table in Schema.conversationTables {
                try db.execute(
                    sql: """
                        DELETE FROM \(table)
                        WHERE conversation IN (SELECT key FROM conversation_keys WHERE partition = ?)
                        """, arguments: [Int64(partition.value)])
            }
            for table in Schema.partitionedStateTables + ["conversation_keys"] {
                try db.execute(sql: "DELETE FROM \(table) WHERE partition = ?", arguments: [Int64(partition.value)])
            }
            keys.removeAll()
            return []
        }
    }

    /// `body` returns the conversation keys it made or found, which are remembered once they are committed.
    private func writeTransaction(
        _ body: (Database) throws -> [(ConversationKey, ConversationKeys.Known)]
    ) throws(StoreError) {
        if let error = poison.withLock({ $0 }) { throw error }
        do {
            var fresh: [(ConversationKey, ConversationKeys.Known)] = []
            try mappingErrors(directory: directory) {
                try writer.inTransaction(.immediate) { db in
                    fresh = try body(db)
                    return .commit
                }
            }
            for (conversation, known) in fresh { keys.insert(known, for: conversation) }
        } catch {
            if case .full = error { throw error }
            poison.withLock { $0 = $0 ?? error }
            throw error
        }
    }

    private func writeLog(_ writes: [PartitionWrite], _ db: Database) throws {
        var insert = try BoundStatement(db, LogRow.insert)
        for write in writes {
            if let first = write.truncateFrom {
                var delete = try BoundStatement(db, "DELETE FROM log WHERE position BETWEEN ? AND ?")
                delete.reset()
                try delete.bind(LogPosition(write.partition, first).rowID)
                try delete.bind(LogPosition(write.partition, .max).rowID)
                try delete.run()
            }
            for entry in write.entries { try LogRow.write(entry, partition: write.partition, with: &insert) }
        }
    }

    private func writeHardState(_ state: RaftHardState, _ partition: PartitionID, _ db: Database) throws {
        var statement = try BoundStatement(
            db, "INSERT OR REPLACE INTO hard_state (partition, term, vote_node, vote_store) VALUES (?, ?, ?, ?)")
        statement.reset()
        try statement.bind(Int64(partition.value))
        try statement.bind(bits: state.term)
        try statement.bind(state.vote?.node.name)
        if let vote = state.vote { try statement.bind(bits: vote.store.value) }
        try statement.run()
    }

    private func writeApplied(_ index: UInt64?, _ stamp: Int64?, _ partition: PartitionID, _ db: Database) throws {
        var statement = try BoundStatement(
            db,
            """
            INSERT INTO applied (partition, idx, last_stamp) VALUES (?1, coalesce(?2, 0), coalesce(?3, 0))
            ON CONFLICT (partition) DO UPDATE SET
                idx = coalesce(?2, idx), last_stamp = coalesce(?3, last_stamp)
            """)
        statement.reset()
        try statement.bind(Int64(partition.value))
        try statement.bind(optional: index.map { Int64(bitPattern: $0) })
        try statement.bind(optional: stamp)
        try statement.run()
    }
}
