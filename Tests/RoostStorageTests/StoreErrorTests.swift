import Foundation
import GRDB
import Testing

@testable import RoostStorage

/// Which failures of a disk pass, which are damage, and after which nothing is known any more.
@Suite struct StoreErrorTests {
    private enum Kind { case full, corrupt, failed }

    private func kind(_ code: ResultCode, errno reason: CInt = 0) -> Kind {
        let error = DatabaseError(resultCode: code, message: "words of SQLite")
        switch StoreError(error, directory: "/data", systemError: reason) {
        case .full(let text):
            #expect(text.contains("/data/roost.db: words of SQLite"))
            return .full
        case .corrupt: return .corrupt
        default: return .failed
        }
    }

    @Test(arguments: [ENOSPC, EROFS, EDQUOT])
    func noSpaceReadOnlyAndAboveTheQuotaAreOneThing(reason: CInt) {
        for code: ResultCode in [
            .SQLITE_IOERR_WRITE, .SQLITE_IOERR_TRUNCATE, .SQLITE_IOERR_SHMSIZE, .SQLITE_IOERR_SHMOPEN,
            .SQLITE_IOERR_DELETE,
            .SQLITE_CANTOPEN,
        ] {
            #expect(kind(code, errno: reason) == .full, "SQLite error \(code), errno \(reason)")
        }
        #expect(StoreError.isSpace(reason))
    }

    @Test func whatSQLiteItselfCallsFullOrReadOnly() {
        for code: ResultCode in [.SQLITE_FULL, .SQLITE_READONLY, .SQLITE_READONLY_ROLLBACK, .SQLITE_READONLY_CANTINIT] {
            #expect(kind(code) == .full, "SQLite error \(code)")
        }
        // The file was replaced beneath the open connection.
        #expect(kind(.SQLITE_READONLY_DBMOVED) == .failed)
    }

    /// Whatever the reason: the pages may be gone although the next sync succeeds.
    @Test(arguments: [0, EIO, ENOSPC, EROFS, EDQUOT])
    func afterASyncThatFailedNothingIsKnown(reason: CInt) {
        #expect(kind(.SQLITE_IOERR_FSYNC, errno: reason) == .failed)
        #expect(kind(.SQLITE_IOERR_DIR_FSYNC, errno: reason) == .failed)
    }

    @Test func otherFailuresOfWriting() {
        for reason in [0, EIO, EBADF, ENODEV] {
            #expect(kind(.SQLITE_IOERR_WRITE, errno: reason) == .failed, "errno \(reason)")
        }
        #expect(kind(.SQLITE_NOMEM) == .failed && kind(.SQLITE_BUSY) == .failed && kind(.SQLITE_INTERNAL) == .failed)
    }

    @Test func whatCannotBeReadIsLost() {
        for code: ResultCode in [
            .SQLITE_IOERR_READ, .SQLITE_IOERR_SHORT_READ, .SQLITE_IOERR_CORRUPTFS, .SQLITE_CORRUPT,
            .SQLITE_CORRUPT_INDEX,
            .SQLITE_NOTADB,
        ] {
            #expect(kind(code) == .corrupt, "SQLite error \(code)")
            #expect(kind(code, errno: EIO) == .corrupt, "SQLite error \(code)")
        }
    }
}
