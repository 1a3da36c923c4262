import Foundation
import GRDB
import GRDBSQLite
import Synchronization

/// How connections to a database file are opened.
enum Connections {
    static func configuration(_ options: SQLiteStore.Options) -> Configuration {
        var configuration = Configuration()
        configuration.foreignKeysEnabled = false
        configuration.busyMode = .timeout(options.busySeconds)
        return configuration
    }

    static func openWriter(path: String, options: SQLiteStore.Options) throws -> DatabaseQueue {
        let writer = try DatabaseQueue(path: path, configuration: configuration(options))
        try writer.inDatabase { db in
            // Counts only in a database that has nothing in it yet.
            try db.execute(sql: "PRAGMA auto_vacuum = INCREMENTAL")
            guard try String.fetchOne(db, sql: "PRAGMA journal_mode = WAL") == "wal" else {
                throw StoreError.failed("\(path): no write-ahead log on this file system")
            }
            try db.execute(
                sql: """
                    PRAGMA cache_size = -\(options.writerCacheKiB);
                    PRAGMA journal_size_limit = \(64 << 20);
                    """)
            checkpoint(db, from: options.checkpointPages)
            // Beneath the size that the database has, SQLite takes that size as the bound.
            if let pages = options.maxPages { try db.execute(sql: "PRAGMA max_page_count = \(pages)") }
        }
        return writer
    }

    /// Moves pages from the write-ahead log to the database after a commit that leaves so many there, as SQLite does by
    /// itself, which says nothing of an error, not even of the database's sync: the log would grow for ever. Here the
    /// commit, which is done, throws it. Without space the log grows, until it has none either and commits throw `.full`.
    private static func checkpoint(_ db: Database, from pages: Int) {
        sqlite3_wal_hook(
            db.sqliteConnection,
            { pages, connection, name, count in
                guard count >= Int(bitPattern: pages) else { return SQLITE_OK }
                let code = ResultCode(
                    rawValue: sqlite3_wal_checkpoint_v2(connection, name, SQLITE_CHECKPOINT_PASSIVE, nil, nil))
                switch code.primaryResultCode {
                // The first two: another connection is at it, or reads what would be moved.
                case .SQLITE_BUSY, .SQLITE_LOCKED, .SQLITE_FULL, .SQLITE_READONLY: return SQLITE_OK
                case .SQLITE_IOERR where StoreError.isOfRead(code): return code.rawValue
                case .SQLITE_IOERR
                where !StoreError.isOfSync(code) && StoreError.isSpace(sqlite3_system_errno(connection)):
                    return SQLITE_OK
                // As a sync that failed: what is done must not be taken for what may be tried again.
                case .SQLITE_IOERR: return ResultCode.SQLITE_IOERR_FSYNC.rawValue
                default: return code.rawValue
                }
            }, UnsafeMutableRawPointer(bitPattern: pages))
    }

    static func openReader(path: String, options: SQLiteStore.Options) throws -> DatabaseQueue {
        var configuration = configuration(options)
        configuration.readonly = true
        let reader = try DatabaseQueue(path: path, configuration: configuration)
        try reader.inDatabase { try $0.execute(sql: "PRAGMA cache_size = -\(options.readerCacheKiB)") }
        return reader
    }

    /// A commit returns only when it is synced. Set last and read back: in WAL mode anything less than FULL syncs only
    /// at checkpoints, and a library that opens connections may choose that.
    static func assertDurable(_ writer: DatabaseQueue) throws {
        try writer.inDatabase { db in
            try db.execute(sql: "PRAGMA synchronous = FULL")
            let full: Int64 = 2
            guard try Int64.fetchOne(db, sql: "PRAGMA synchronous") == full else {
                throw StoreError.failed("the database does not sync its commits")
            }
        }
    }
}

/// Connections for reads: a caller gets the one that fewest others use or wait for.
final class ReaderPool: Sendable {
    private let connections: [DatabaseQueue]
    private let users: Mutex<[Int]>

    init(_ connections: [DatabaseQueue]) {
        self.connections = connections
        users = Mutex([Int](repeating: 0, count: connections.count))
    }

    func use<T>(_ body: (DatabaseQueue) throws(StoreError) -> T) throws(StoreError) -> T {
        let chosen = users.withLock { users in
            let chosen = users.indices.min { users[$0] < users[$1] } ?? 0
            users[chosen] += 1
            return chosen
        }
        defer { users.withLock { $0[chosen] -= 1 } }
        return try body(connections[chosen])
    }

    func close() throws {
        for connection in connections { try connection.close() }
    }
}
