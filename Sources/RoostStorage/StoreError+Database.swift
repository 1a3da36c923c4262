import Foundation
import GRDB
import GRDBSQLite

extension StoreError {
    /// - Parameters:
    ///   - directory: where the database is; nil in memory.
    ///   - systemError: errno of the last input or output that failed, 0 where it is not known.
    init(_ error: any Error, directory: String?, systemError: CInt) {
        switch error {
        case let error as StoreError: self = error
        case let error as DatabaseError: self = Self.classify(error, directory: directory, systemError: systemError)
        default: self = .failed(String(describing: error))
        }
    }

    private static func classify(_ error: DatabaseError, directory: String?, systemError: CInt) -> StoreError {
        let code = error.extendedResultCode
        let file = directory.map { "\($0)/roost.db: " } ?? ""
        // Only codes and SQLite's own words: the statement's values are users' data.
        let text = "\(file)\(error.message ?? "no message") (SQLite error \(code.rawValue))"
        switch code.primaryResultCode {
        // The file was replaced beneath the open connection.
        case .SQLITE_READONLY where code == .SQLITE_READONLY_DBMOVED: return .failed(text)
        case .SQLITE_FULL, .SQLITE_READONLY: return .full(text)
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: return .corrupt(text)
        case .SQLITE_IOERR, .SQLITE_CANTOPEN:
            // A sector that can't be read is as lost as one that reads otherwise: nothing was written.
            if isOfRead(code) { return .corrupt(text) }
            let cause = isOfSync(code) || isSpace(systemError) ? systemError : refusal(in: directory) ?? systemError
            let reason = cause == 0 ? text : "\(text): \(String(cString: strerror(cause)))"
            return !isOfSync(code) && isSpace(cause) ? .full(reason) : .failed(reason)
        default: return .failed(text)
        }
    }

    /// Of work with files: `.full` where there is no space for it.
    init(_ error: any Error, of what: String) {
        let text = "\(what): \(error.localizedDescription)"
        let cause = (error as NSError).userInfo[NSUnderlyingErrorKey] as? POSIXError
        self = cause.map { Self.isSpace($0.code.rawValue) } ?? false ? .full(text) : .failed(text)
    }

    /// No space, read-only or above a quota: may pass.
    static func isSpace(_ code: CInt) -> Bool { code == ENOSPC || code == EROFS || code == EDQUOT }

    static func isOfRead(_ code: ResultCode) -> Bool {
        [.SQLITE_IOERR_READ, .SQLITE_IOERR_SHORT_READ, .SQLITE_IOERR_CORRUPTFS].contains(code)
    }

    /// After a sync that failed nothing is known, whatever the reason.
    static func isOfSync(_ code: ResultCode) -> Bool {
        code == .SQLITE_IOERR_FSYNC || code == .SQLITE_IOERR_DIR_FSYNC
    }

    /// Why no MiB more can be written there, found out by trying: SQLite does not keep the reason of a commit that failed.
    /// Nil where it can, or where that is no matter of space.
    private static func refusal(in directory: String?) -> CInt? {
        guard let directory else { return nil }
        let path = "\(directory)/roost.probe"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        let reason = descriptor < 0 ? errno : posix_fallocate(descriptor, 0, 1 << 20)
        if descriptor >= 0 {
            close(descriptor)
            unlink(path)
        }
        return isSpace(reason) ? reason : nil
    }
}

/// Runs `body` with every error as a `StoreError`. `connection`: whose last system error tells more.
func mappingErrors<T>(
    directory: String?, _ connection: DatabaseQueue? = nil, _ body: () throws -> T
) throws(StoreError) -> T {
    do {
        return try body()
    } catch {
        var code: CInt = 0
        if let error = error as? DatabaseError, let connection,
            [.SQLITE_IOERR, .SQLITE_CANTOPEN].contains(error.resultCode)
        {
            code = connection.inDatabase { sqlite3_system_errno($0.sqliteConnection) }
        }
        throw StoreError(error, directory: directory, systemError: code)
    }
}
