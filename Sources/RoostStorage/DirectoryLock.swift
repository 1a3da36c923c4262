import Foundation

/// Keeps a second process out of a data directory: `flock` on a file in it, held until this object goes. The kernel
/// lets go of it when the process dies, however it dies.
final class DirectoryLock: Sendable {
    private let descriptor: CInt

    /// Makes the directory where it is missing. Throws `.full` where the disk is full or read-only, else `.failed`.
    init(directory: String) throws(StoreError) {
        try Self.makeDirectory(directory)
        let path = directory + "/roost.lock"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Self.failure("data directory \(directory) cannot be written", errno) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let reason = errno
            let holder = Self.readHolder(descriptor)
            close(descriptor)
            guard reason == EWOULDBLOCK else {
                throw Self.failure("data directory \(directory) cannot be locked", reason)
            }
            throw .failed("data directory \(directory) is in use by another node (process \(holder))")
        }
        self.descriptor = descriptor
        // Only for the message above: a failure to write it changes nothing.
        let holder = Array("\(getpid())\n".utf8)
        if ftruncate(descriptor, 0) == 0 { _ = pwrite(descriptor, holder, holder.count, 0) }
    }

    deinit {
        // A child of this process that has not come to its `exec` yet has the descriptor too.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }

    /// Makes the names of newly made files durable, in the directory and of it.
    static func syncNames(_ directory: String) throws(StoreError) {
        for path in [directory, directory + "/.."] {
            let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            guard descriptor >= 0 else {
                // A parent that cannot be read was not made by us.
                if path != directory { continue }
                throw failure("data directory \(directory) cannot be opened", errno)
            }
            let result = fsync(descriptor)
            let reason = errno
            close(descriptor)
            guard result == 0 || reason == EINVAL else { throw failure("\(path) cannot be synced", reason) }
        }
    }

    private static func makeDirectory(_ directory: String) throws(StoreError) {
        var isDirectory: ObjCBool = false
        if FileManager.default.fileExists(atPath: directory, isDirectory: &isDirectory) {
            guard isDirectory.boolValue else { throw .failed("data directory \(directory) is not a directory") }
            return
        }
        do {
            try FileManager.default.createDirectory(
                atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw StoreError(error, of: "data directory \(directory) cannot be made")
        }
    }

    private static func readHolder(_ descriptor: CInt) -> String {
        var bytes = [UInt8](repeating: 0, count: 16)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        let digits = bytes.prefix(max(0, count)).prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        return digits.isEmpty ? "unknown" : String(decoding: digits, as: UTF8.self)
    }

    private static func failure(_ what: String, _ code: CInt) -> StoreError {
        let text = "\(what): \(String(cString: strerror(code)))"
        return StoreError.isSpace(code) ? .full(text) : .failed(text)
    }
}
