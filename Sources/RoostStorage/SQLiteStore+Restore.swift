import GRDB
import NIOCore
import RoostConsensus
package import RoostModel
import RoostProtocol

extension SQLiteStore {
    package func loadFacts() throws(StoreError) -> NodeFacts? {
        try read { db in
            let statement = try BoundStatement(db, "SELECT store, epoch, promised, founded FROM facts WHERE id = 1")
            let rows = try statement.rows()
            guard let row = try rows.next() else { return nil }
            return NodeFacts(
                store: StoreID(try row.bits(0)), epoch: try row.bits(1),
                promised: try FoundingRecord(column: 2, of: row), founded: try FoundingRecord(column: 3, of: row))
        }
    }

    /// Of a partition that was never written: everything empty.
    package func loadPartition(_ partition: PartitionID) throws(StoreError) -> RestoredPartition {
        try readSnapshot { db in
            let log = LogSurvey(db, partition)
            let lastIndex = try log.lastIndex()
            return RestoredPartition(
                hardState: try Self.hardState(of: partition, db), lastIndex: lastIndex,
                termRuns: try log.termRuns(lastIndex: lastIndex), configurations: try log.configurations(),
                state: try StateReader(db, partition).snapshot())
        }
    }

    private static func hardState(of partition: PartitionID, _ db: Database) throws -> RaftHardState {
        var statement = try BoundStatement(
            db, "SELECT term, vote_node, vote_store FROM hard_state WHERE partition = ?")
        statement.reset()
        try statement.bind(Int64(partition.value))
        let rows = try statement.rows()
        guard let row = try rows.next() else { return RaftHardState() }
        guard let node = try row.optionalText(1) else { return RaftHardState(term: try row.bits(0)) }
        let vote = RaftPeer(node: NodeID(node), store: StoreID(try row.bits(2)))
        return RaftHardState(term: try row.bits(0), vote: vote)
    }
}

extension FoundingRecord {
    fileprivate init?(column: Int, of row: Row) throws(StoreError) {
        var buffer = try row.buffer(column)
        guard buffer.readableBytes > 0 else { return nil }
        do { try self.init(decoding: &buffer) } catch { throw .corrupt("founding record: \(error)") }
    }
}
