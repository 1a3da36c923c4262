import Foundation
import GRDB
import RoostModel
import Synchronization

/// A node's database: one SQLite file for all partitions, `roost.db` in the data directory.
///
/// Writes go by one connection and are synced when they return; reads by a few read-only ones, and `knownMessage` by
/// one of its own, so that it never waits for a long read. In WAL mode none of them waits for another. A connection
/// serialises its callers on their own threads: there is no thread here.
package final class SQLiteStore: NodeStore {
    package struct Options: Sendable {
        /// Connections for reads beside the writer's and that of `knownMessage`.
        package var readers = 2
        /// Page cache of the writer, and of each other connection, in KiB.
        package var writerCacheKiB = 64 << 10
        package var readerCacheKiB = 16 << 10
        /// Pages of 4 KiB in the write-ahead log from which a commit moves them to the database: 16 MiB.
        package var checkpointPages = 4096
        /// Longest wait for another connection's lock, in seconds. Only opening and checkpoints take one.
        package var busySeconds = 5.0
        /// Conversations whose integer key is held in memory, about 100 bytes each.
        package var cachedKeys = 65_536
        /// Bound of the database file in pages of 4 KiB, above which commits throw `.full`; nil for none.
        package var maxPages: Int?
        /// Microseconds since 1970.
        package var wall: @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970 * 1e6) }
        package init() {}
    }

    /// Nil in memory.
    let directory: String?
    let writer: DatabaseQueue
    let lookups: DatabaseQueue
    let readers: ReaderPool
    let keys: ConversationKeys
    /// Set when a lookup failed whose answer decided something: see `knownMessage`.
    let poison = Mutex<StoreError?>(nil)
    let wall: @Sendable () -> Int64
    let syncTimes = Mutex(SyncTimes())
    let distrusted: Distrusted
    /// Nil in memory.
    let mark: CommitMark?
    /// The number of the newest commit.
    let commits: Mutex<UInt64>
    let givenBack = Atomic<UInt64>(0)
    private let isClosed = Atomic(false)
    private let condemnation = Mutex<String?>(nil)
    private let lookupFailed: @Sendable (StoreError) -> Void
    private let lock: DirectoryLock?

    /// Opens or makes the database in `directory`, which is made where it is missing. Throws `.failed` where another
    /// node has it open, `.corrupt` where it is no database, `.full` where the disk is full or read-only.
    ///
    /// `lookupFailed` is called when `knownMessage` could not read, for another reason than damaged rows of a table: its
    /// caller can't be told, so the process should end before it goes on. Whatever it does, nothing is written any more.
    package convenience init(
        directory: String, options: Options = Options(),
        lookupFailed: @escaping @Sendable (StoreError) -> Void = { _ in }
    ) throws(StoreError) {
        try self.init(
            directory: directory, lock: try DirectoryLock(directory: directory), options: options,
            lookupFailed: lookupFailed)
    }

    init(
        directory: String, lock: DirectoryLock, options: Options,
        lookupFailed: @escaping @Sendable (StoreError) -> Void
    ) throws(StoreError) {
        self.lock = lock
        self.directory = directory
        self.lookupFailed = lookupFailed
        wall = options.wall
        keys = ConversationKeys(capacity: options.cachedKeys)
        distrusted = Distrusted(directory: directory)
        let mark = CommitMark(directory: directory)
        self.mark = mark
        let path = directory + "/" + DataDirectory.database
        let opened = try mappingErrors(directory: directory) {
            let writer = try Connections.openWriter(path: path, options: options)
            try Schema.migrator.migrate(writer)
            try Connections.assertDurable(writer)
            let readers = try (0..<max(1, options.readers) + 1).map { _ in
                try Connections.openReader(path: path, options: options)
            }
            // A damaged number is made anew by the next commit.
            let number = try writer.inDatabase { try Self.commitNumber($0) } ?? mark.read()?.commit ?? 0
            return (writer, readers, number)
        }
        writer = opened.0
        lookups = opened.1[0]
        readers = ReaderPool(Array(opened.1.dropFirst()))
        commits = Mutex(opened.2)
        try DirectoryLock.syncNames(directory)
    }

    /// A database in memory, on one connection, for simulations: nothing outlives it.
    package init(inMemory options: Options = Options()) throws(StoreError) {
        lock = nil
        directory = nil
        lookupFailed = { _ in }
        wall = options.wall
        keys = ConversationKeys(capacity: options.cachedKeys)
        let queue = try mappingErrors(directory: nil) {
            let queue = try DatabaseQueue(configuration: Connections.configuration(options))
            try Schema.migrator.migrate(queue)
            return queue
        }
        writer = queue
        lookups = queue
        distrusted = Distrusted(directory: nil)
        mark = nil
        commits = Mutex(0)
        readers = ReaderPool([queue])
    }

    /// Closes all connections; waits for calls under way. Calls after it fail.
    package func close() throws(StoreError) {
        isClosed.store(true, ordering: .releasing)
        try mappingErrors(directory: directory) {
            try readers.close()
            try lookups.close()
            try writer.close()
            mark?.close()
        }
    }

    /// One read on a connection of the pool. Each statement in it sees the database as of its own start.
    func read<T>(_ body: (Database) throws -> T) throws(StoreError) -> T {
        try readers.use { connection throws(StoreError) in
            try mappingErrors(directory: directory, connection) { try connection.inDatabase(body) }
        }
    }

    /// One read in which all statements see the same state of the database.
    func readSnapshot<T>(_ body: (Database) throws -> T) throws(StoreError) -> T {
        try readers.use { connection throws(StoreError) in
            try mappingErrors(directory: directory, connection) { try connection.read(body) }
        }
    }

    package func condemn(_ reason: String) {
        poison.withLock { $0 = $0 ?? .corrupt(reason) }
        let isFirst = condemnation.withLock { former in
            defer { former = former ?? reason }
            return former == nil
        }
        if isFirst, let directory { DataDirectory.condemn(directory, reason: reason) }
    }

    package var bytesGivenBack: UInt64 { givenBack.load(ordering: .relaxed) }

    /// Why it is to be set aside, if it is.
    package var condemned: String? { condemnation.withLock { $0 } }

    func poisoned(by error: StoreError) {
        guard !isClosed.load(ordering: .acquiring) else { return }
        poison.withLock { $0 = $0 ?? error }
        if case .corrupt(let reason) = error { condemn(reason) }
        lookupFailed(error)
    }
}
