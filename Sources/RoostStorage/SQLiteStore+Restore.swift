import GRDB
import NIOCore
import RoostConsensus
package import RoostModel
import RoostProtocol

extension SQLiteStore {
    package func loadFacts() throws(StoreError) -> NodeFacts? {
        try read { db in
            let table = CheckedTable.facts
            let statement = try BoundStatement(
                db, "SELECT \(table.selected(as: "t")) FROM \(table.name) t WHERE id = 1")
            let rows = try statement.rows()
            guard let row = try rows.next() else { return nil }
            guard row.isWhole(table) else { throw StoreError.corrupt("the node's identity is damaged") }
            mark?.begin(StoreID(try row.bits(1)))
            return NodeFacts(
                store: StoreID(try row.bits(1)), epoch: try row.bits(2),
                promised: try FoundingRecord(column: 3, of: row), founded: try FoundingRecord(column: 4, of: row),
                ring: try Ring(column: 5, of: row), givenBack: try GivenBack.list(column: 6, of: row),
                joinsOnly: try row.integer(7) != 0)
        }
    }

    /// Of a partition that was never written: everything empty. Damage to what can be had again is told, not thrown.
    package func loadPartition(_ partition: PartitionID) throws(StoreError) -> RestoredPartition {
        try readSnapshot { db in
            let hardState = try Self.hardState(of: partition, db)
            var state = StateSnapshot()
            var stateDamage: String?
            do {
                if let reason = distrusted.reason(partition) {
                    stateDamage = reason
                } else {
                    state = try StateReader(db, partition).snapshot()
                }
            } catch StoreError.damagedState(_, let text) {
                stateDamage = text
            }
            var log = LogSurvey(db, partition)
            try log.survey(appliedIndex: state.appliedIndex)
            return RestoredPartition(
                hardState: hardState, lastIndex: log.lastIndex, termRuns: log.termRuns,
                configurations: log.configurations, state: state, stateDamage: stateDamage,
                missing: log.missing.sorted { $0.index < $1.index }, holes: log.holes.sorted { $0.index < $1.index })
        }
    }

    package func appliedIndex(_ partition: PartitionID) throws(StoreError) -> UInt64 {
        try read { db in try Self.applied(partition, db).map { UInt64(bitPattern: $0.index) } ?? 0 }
    }

    static func hardState(of partition: PartitionID, _ db: Database) throws -> RaftHardState {
        let table = CheckedTable.hardState
        var statement = try BoundStatement(
            db, "SELECT \(table.selected(as: "t")) FROM \(table.name) t WHERE partition = ?")
        statement.reset()
        try statement.bind(Int64(partition.value))
        let rows = try statement.rows()
        guard let row = try rows.next() else { return RaftHardState() }
        guard row.isWhole(table) else {
            throw StoreError.corrupt("partition \(partition): its term and vote are damaged")
        }
        guard let node = try row.optionalText(2) else { return RaftHardState(term: try row.bits(1)) }
        let vote = RaftPeer(node: NodeID(node), store: StoreID(try row.bits(3)))
        return RaftHardState(term: try row.bits(1), vote: vote)
    }
}

extension Ring {
    fileprivate init?(column: Int, of row: Row) throws(StoreError) {
        var buffer = try row.buffer(column)
        guard buffer.readableBytes > 0 else { return nil }
        do { try self.init(decoding: &buffer) } catch { throw .corrupt("ring: \(error)") }
    }
}

extension GivenBack {
    fileprivate static func list(column: Int, of row: Row) throws(StoreError) -> [GivenBack] {
        var buffer = try row.buffer(column)
        guard let list = decode(&buffer) else { throw .corrupt("the partitions given back") }
        return list
    }
}

extension FoundingRecord {
    fileprivate init?(column: Int, of row: Row) throws(StoreError) {
        var buffer = try row.buffer(column)
        guard buffer.readableBytes > 0 else { return nil }
        do { try self.init(decoding: &buffer) } catch { throw .corrupt("founding record: \(error)") }
    }
}
