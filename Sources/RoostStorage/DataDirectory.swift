import Foundation

/// A database that can't be trusted any more is set aside: renamed, never deleted. A file in the directory says that it
/// is to be done, so that it is done at the next start where the process ends first.
package enum DataDirectory {
    static let database = "roost.db"
    private static let mark = "set-aside"
    private static let prefix = "damaged-"

    /// The next start sets the database aside.
    package static func condemn(_ directory: String, reason: String) {
        let line = reason.split(separator: "\n").joined(separator: " ")
        _ = FileManager.default.createFile(atPath: "\(directory)/\(mark)", contents: Data("\(line)\n".utf8))
        try? DirectoryLock.syncNames(directory)
    }

    /// Why the database is to be set aside, if it is.
    package static func condemned(_ directory: String) -> String? {
        guard let data = FileManager.default.contents(atPath: "\(directory)/\(mark)") else { return nil }
        let text = String(decoding: data, as: UTF8.self)
        return text.split(separator: "\n").first.map(String.init) ?? "no reason was written"
    }

    /// It is not to be set aside after all: an operator goes on with it.
    package static func pardon(_ directory: String) throws(StoreError) {
        guard unlink("\(directory)/\(mark)") == 0 else {
            if errno == ENOENT { return }
            throw .failed("\(directory)/\(mark) can't be removed: \(String(cString: strerror(errno)))")
        }
        try DirectoryLock.syncNames(directory)
    }

    /// Whether a database was ever set aside here.
    package static func hasSetAside(_ directory: String) -> Bool {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.contains { $0.hasPrefix(prefix) }
    }

    /// Moves the files of the closed database to a new directory `damaged-<UTC>`; returns its path. The caller holds the
    /// directory's lock.
    static func setAside(_ directory: String, reason: String, now: Date = Date()) throws(StoreError) -> String {
        condemn(directory, reason: reason)
        let time = now.formatted(.iso8601.dateTimeSeparator(.standard).timeSeparator(.omitted).dateSeparator(.omitted))
        let files = FileManager.default
        var target = "\(directory)/\(prefix)\(time)"
        var count = 1
        while files.fileExists(atPath: target) {
            count += 1
            target = "\(directory)/\(prefix)\(time)-\(count)"
        }
        do {
            try files.createDirectory(
                atPath: target, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
            // The main file last: while it is there the rest belongs to it.
            var names = try files.contentsOfDirectory(atPath: directory).filter { $0.hasPrefix(Distrusted.prefix) }
            names += ["-wal", "-shm", "-journal", ""].map { database + $0 } + [CommitMark.name]
            for name in names.sorted(by: >) where files.fileExists(atPath: "\(directory)/\(name)") {
                try files.moveItem(atPath: "\(directory)/\(name)", toPath: "\(target)/\(name)")
            }
            // Gone, the mark says that all is done.
            try files.moveItem(atPath: "\(directory)/\(mark)", toPath: "\(target)/reason")
        } catch {
            throw StoreError(error, of: "\(directory): the damaged database can't be set aside")
        }
        try DirectoryLock.syncNames(directory)
        return target
    }
}
