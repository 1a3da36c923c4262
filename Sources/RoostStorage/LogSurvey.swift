import GRDB
import RoostModel
import RoostProtocol

/// What Raft wants to know of a log when the node starts, as far as damaged rows leave it known.
struct LogSurvey {
    private let db: Database
    private let partition: PartitionID
    /// 0 where the log is empty.
    private(set) var lastIndex: UInt64 = 0
    private(set) var termRuns: [(firstIndex: UInt64, term: UInt64)] = []
    private(set) var configurations: [RaftEntry] = []
    /// See `RestoredPartition`.
    private(set) var missing: Set<LogDamage> = []
    private(set) var holes: Set<LogDamage> = []

    /// Rows not known to be committed, which are all read; with a state that is to be made anew that may be all.
    private static let maxTail: UInt64 = 200_000
    /// How far the neighbours of a damaged row are looked at.
    private static let reach: UInt64 = 128

    init(_ db: Database, _ partition: PartitionID) {
        self.db = db
        self.partition = partition
    }

    mutating func survey(appliedIndex: UInt64) throws {
        lastIndex = try readLastIndex()
        try checkTail(after: appliedIndex)
        try readConfigurations()
        try readTermRuns()
    }

    private func readLastIndex() throws -> UInt64 {
        var statement = try BoundStatement(
            db, "SELECT position FROM log WHERE position BETWEEN ? AND ? ORDER BY position DESC LIMIT 1")
        statement.reset()
        try statement.bind(LogPosition(partition, 0).rowID)
        try statement.bind(LogPosition(partition, .max).rowID)
        return try statement.firstInteger().map { LogPosition(rowID: $0).index } ?? 0
    }

    /// What is not committed stands perhaps nowhere else, and Raft counts on it.
    private mutating func checkTail(after appliedIndex: UInt64) throws {
        let first = max(appliedIndex, lastIndex > Self.maxTail ? lastIndex - Self.maxTail : 0) + 1
        guard first <= lastIndex else { return }
        for (_, result) in try rows(first...lastIndex) {
            if case .failure(let damage) = result { missing.insert(damage) }
        }
    }

    private mutating func readConfigurations() throws {
        var statement = try BoundStatement(
            db, "SELECT \(LogRow.columns) FROM log WHERE kind = 2 AND position BETWEEN ? AND ? ORDER BY position")
        statement.reset()
        try statement.bind(LogPosition(partition, 0).rowID)
        try statement.bind(LogPosition(partition, .max).rowID)
        let rows = try statement.rows()
        while let row = try rows.next() {
            do throws(StoreError) {
                configurations.append(try LogRow.read(row, position: LogPosition(rowID: try row.integer(0))))
            } catch {
                guard case .damagedEntry(let damage) = error else { throw error }
                missing.insert(damage)
            }
        }
    }

    /// Terms never go down along a log, so that the end of a run is found by bisection: a start reads a few rows of
    /// each term and not the whole log. Ends before an entry whose term is not known.
    private mutating func readTermRuns() throws {
        var first: UInt64 = 1
        var last = lastIndex
        while first <= last {
            guard let term = try term(at: first) else { return }
            if let before = termRuns.last?.term, before >= term {
                throw StoreError.corrupt("partition \(partition), index \(first): term \(term) after \(before)")
            }
            termRuns.append((first, term))
            var within = first
            var beyond = last + 1
            while within + 1 < beyond {
                let middle = within + (beyond - within) / 2
                guard let reached = try self.term(at: middle) else {
                    last = middle - 1
                    beyond = middle
                    continue
                }
                if reached == term { within = middle } else { beyond = middle }
            }
            first = beyond
        }
    }

    /// Of a damaged row: that of its neighbours, where they agree. Nil where they do not.
    private mutating func term(at index: UInt64) throws -> UInt64? {
        if case .success(let term)? = try rows(index...index).first?.result { return term }
        let low = index > Self.reach ? index - Self.reach : 1
        let around = try rows(low...min(lastIndex, index + Self.reach))
        func whole(_ rows: [SurveyedRow]) -> (index: UInt64, term: UInt64)? {
            for row in rows { if case .success(let term) = row.result { return (row.index, term) } }
            return nil
        }
        let before = whole(around.filter { $0.index < index }.reversed())
        let after = whole(around.filter { $0.index > index })
        let term = before.flatMap { $0.term == after?.term ? $0.term : nil }
        let range = (before?.index ?? low)...(after?.index ?? min(lastIndex, index + Self.reach))
        for row in around where range.contains(row.index) {
            guard case .failure(let damage) = row.result else { continue }
            if term == nil { missing.insert(damage) } else { holes.insert(damage) }
        }
        return term
    }

    /// An index with its term or what is wrong with it.
    private typealias SurveyedRow = (index: UInt64, result: Result<UInt64, LogDamage>)

    private func rows(_ range: ClosedRange<UInt64>) throws -> [SurveyedRow] {
        var statement = try BoundStatement(
            db, "SELECT \(LogRow.columns) FROM log WHERE position BETWEEN ? AND ? ORDER BY position")
        statement.reset()
        try statement.bind(LogPosition(partition, range.lowerBound).rowID)
        try statement.bind(LogPosition(partition, range.upperBound).rowID)
        let cursor = try statement.rows()
        var found: [SurveyedRow] = []
        var next = range.lowerBound
        func skip(to index: UInt64) {
            while next < index {
                found.append((next, .failure(LogDamage(partition, next, .missing))))
                next += 1
            }
        }
        while let row = try cursor.next() {
            let position = LogPosition(rowID: try row.integer(0))
            skip(to: position.index)
            do throws(StoreError) {
                found.append((next, .success(try LogRow.read(row, position: position).term)))
            } catch {
                guard case .damagedEntry(let damage) = error else { throw error }
                found.append((next, .failure(damage)))
            }
            next += 1
        }
        skip(to: range.upperBound + 1)
        return found
    }
}

extension LogDamage: Error {}
