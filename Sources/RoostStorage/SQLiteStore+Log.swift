import GRDB
import NIOCore
import RoostConsensus
package import RoostModel
package import RoostProtocol

extension SQLiteStore {
    /// Throws `.corrupt` for a row that is damaged or missing where later ones stand.
    package func entries(
        partition: PartitionID, from: UInt64, through: UInt64, maxBytes: Int
    ) throws(StoreError) -> [RaftEntry] {
        let from = max(1, from)
        guard from <= through else { return [] }
        return try read { db in
            var statement = try BoundStatement(
                db, "SELECT \(LogRow.columns) FROM log WHERE position BETWEEN ? AND ? ORDER BY position")
            statement.reset()
            try statement.bind(LogPosition(partition, from).rowID)
            try statement.bind(LogPosition(partition, through).rowID)
            let rows = try statement.rows()
            var entries: [RaftEntry] = []
            var bytes = 0
            while let row = try rows.next() {
                let expected = LogPosition(partition, from + UInt64(entries.count))
                guard try row.integer(0) == expected.rowID else { throw LogRow.missing(expected) }
                let entry = try LogRow.read(row, position: expected)
                bytes += entry.payload.readableBytes
                if bytes > maxBytes && !entries.isEmpty { break }
                entries.append(entry)
            }
            return entries
        }
    }
}

/// What Raft wants to know of a log when the node starts.
struct LogSurvey {
    private let db: Database
    private let partition: PartitionID

    init(_ db: Database, _ partition: PartitionID) {
        self.db = db
        self.partition = partition
    }

    /// 0 where the log is empty.
    func lastIndex() throws -> UInt64 {
        var statement = try BoundStatement(
            db, "SELECT position FROM log WHERE position BETWEEN ? AND ? ORDER BY position DESC LIMIT 1")
        statement.reset()
        try statement.bind(LogPosition(partition, 0).rowID)
        try statement.bind(LogPosition(partition, .max).rowID)
        return try statement.firstInteger().map { LogPosition(rowID: $0).index } ?? 0
    }

    /// Terms never go down along a log, so that the end of a run is found by bisection: a start reads a few rows of
    /// each term and not the whole log.
    func termRuns(lastIndex: UInt64) throws -> [(firstIndex: UInt64, term: UInt64)] {
        var runs: [(firstIndex: UInt64, term: UInt64)] = []
        var first: UInt64 = 1
        while first <= lastIndex {
            let term = try term(at: first)
            if let before = runs.last?.term, before >= term {
                throw StoreError.corrupt("partition \(partition), index \(first): term \(term) after \(before)")
            }
            runs.append((first, term))
            var within = first
            var beyond = lastIndex + 1
            while within + 1 < beyond {
                let middle = within + (beyond - within) / 2
                if try self.term(at: middle) == term { within = middle } else { beyond = middle }
            }
            first = beyond
        }
        return runs
    }

    func configurations() throws -> [RaftEntry] {
        var statement = try BoundStatement(
            db, "SELECT \(LogRow.columns) FROM log WHERE kind = 2 AND position BETWEEN ? AND ? ORDER BY position")
        statement.reset()
        try statement.bind(LogPosition(partition, 0).rowID)
        try statement.bind(LogPosition(partition, .max).rowID)
        let rows = try statement.rows()
        var entries: [RaftEntry] = []
        while let row = try rows.next() {
            entries.append(try LogRow.read(row, position: LogPosition(rowID: try row.integer(0))))
        }
        return entries
    }

    private func term(at index: UInt64) throws -> UInt64 {
        let position = LogPosition(partition, index)
        var statement = try BoundStatement(db, "SELECT \(LogRow.columns) FROM log WHERE position = ?")
        statement.reset()
        try statement.bind(position.rowID)
        let rows = try statement.rows()
        guard let row = try rows.next() else { throw LogRow.missing(position) }
        return try LogRow.read(row, position: position).term
    }
}
