import Foundation
import RoostModel
import Synchronization

/// How far a database has come by the word of a file beside it, `roost.mark`: whose it is, and the number of its newest
/// commit. A database with less was cut short, or is an older one ([0010](../../docs/decisions/0010-commit-mark.md)).
///
/// Written after each commit, never before, so it is never ahead of what is synced. Not synced with each: what a
/// process wrote outlives its death, and after a power cut the mark is at most a second older than the database.
/// Whatever fails here leaves it older: then less is noticed, and nothing else goes wrong.
final class CommitMark: Sendable {
    struct Value: Sendable, Equatable {
        var store: StoreID
        /// 1 for the first commit of the store.
        var commit: UInt64
    }

    private struct State: Sendable {
        var store: StoreID?
        var descriptor: CInt?
        /// `Monotonic`.
        var syncedAt: UInt64 = 0
        var isSynced = true
    }

    static let name = "roost.mark"
    private static let magic: UInt64 = 0x726f_6f73_744d_6b31
    private static let grain: UInt64 = 1_000_000_000

    private let path: String
    private let state = Mutex(State())

    init(directory: String) { path = "\(directory)/\(Self.name)" }

    deinit { if let descriptor = state.withLock({ $0.descriptor }) { Foundation.close(descriptor) } }

    /// Whose commits are counted from now on.
    func begin(_ store: StoreID) { state.withLock { $0.store = store } }

    /// Nil where there is none, or none that is whole.
    func read() -> Value? {
        guard let data = FileManager.default.contents(atPath: path), data.count >= 32 else { return nil }
        let words = data.withUnsafeBytes { bytes in
            (0..<4).map { UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self)) }
        }
        guard words[0] == Self.magic, words[3] == Self.checksum(words) else { return nil }
        return Value(store: StoreID(words[1]), commit: words[2])
    }

    /// The commit is synced.
    func confirm(_ commit: UInt64) {
        state.withLock { state in
            guard let store = state.store else { return }
            if state.descriptor == nil {
                let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
                if descriptor >= 0 { state.descriptor = descriptor }
            }
            guard let descriptor = state.descriptor else { return }
            var words = [Self.magic, store.value, commit, 0]
            words[3] = Self.checksum(words)
            _ = words.map(\.littleEndian).withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
            state.isSynced = false
            let now = Monotonic.now()
            if now - state.syncedAt >= Self.grain { Self.sync(&state, now) }
        }
    }

    func close() {
        state.withLock { state in
            if !state.isSynced { Self.sync(&state, Monotonic.now()) }
            if let descriptor = state.descriptor { Foundation.close(descriptor) }
            state.descriptor = nil
            state.store = nil
        }
    }

    private static func sync(_ state: inout sending State, _ now: UInt64) {
        if let descriptor = state.descriptor { _ = fdatasync(descriptor) }
        state.syncedAt = now
        state.isSynced = true
    }

    private static func checksum(_ words: [UInt64]) -> UInt64 {
        var crc = CRC32C()
        for word in words[0..<3] { crc.add(word) }
        return UInt64(crc.value)
    }
}

extension SQLiteStore {
    /// What this database lacks of what it confirmed; nil where it lacks nothing that is known of.
    package func loss() throws(StoreError) -> String? {
        let facts = try loadFacts()
        guard let mark = mark?.read() else { return nil }
        guard let facts else {
            return "it is blank, and had confirmed \(mark.commit) commits: roost.db or roost.db-wal was lost"
        }
        guard facts.store == mark.store else {
            return "it is of store \(facts.store), and store \(mark.store) was the last to run here"
        }
        let has = commits.withLock { $0 }
        guard has < mark.commit else { return nil }
        return "it has only \(has) of the \(mark.commit) commits that it had confirmed: roost.db-wal was lost or cut "
            + "short, or an older roost.db was put back"
    }
}
