import GRDB
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
                    PRAGMA wal_autocheckpoint = \(options.checkpointPages);
                    PRAGMA journal_size_limit = \(64 << 20);
                    """)
            // Beneath the size that the database has, SQLite takes that size as the bound.
            if let pages = options.maxPages { try db.execute(sql: "PRAGMA max_page_count = \(pages)") }
        }
        return writer
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
