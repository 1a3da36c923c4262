import Foundation
import GRDB

extension StoreError {
    /// `directory`: where the database is, to tell a full disk from a broken one.
    init(_ error: any Error, directory: String?) {
        switch error {
        case let error as StoreError: self = error
        case let error as DatabaseError: self = Self.classify(error, directory: directory)
        default: self = .failed(String(describing: error))
        }
    }

    private static func classify(_ error: DatabaseError, directory: String?) -> StoreError {
        let code = error.extendedResultCode
        // Only codes and SQLite's own words: the statement's values are users' data.
        let text = "SQLite error \(code.rawValue): \(error.message ?? "no message")"
        switch code.primaryResultCode {
        case .SQLITE_FULL, .SQLITE_READONLY: return .full(text)
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: return .corrupt(text)
        case .SQLITE_IOERR where isWriteThatNeedsSpace(code) && hasNoSpace(directory): return .full(text)
        default: return .failed(text)
        }
    }

    /// Not the codes of a sync: after one that failed nothing is known, whatever the reason.
    private static func isWriteThatNeedsSpace(_ code: ResultCode) -> Bool {
        [.SQLITE_IOERR_WRITE, .SQLITE_IOERR_SHMSIZE, .SQLITE_IOERR_SHMMAP, .SQLITE_IOERR_SHMOPEN].contains(code)
    }

    private static func hasNoSpace(_ directory: String?) -> Bool {
        guard let directory,
            let attributes = try? FileManager.default.attributesOfFileSystem(forPath: directory),
            let free = attributes[.systemFreeSize] as? NSNumber
        else { return false }
        return free.int64Value < 1 << 20
    }
}

/// Runs `body` with every error as a `StoreError`.
func mappingErrors<T>(directory: String?, _ body: () throws -> T) throws(StoreError) -> T {
    do { return try body() } catch { throw StoreError(error, directory: directory) }
}
