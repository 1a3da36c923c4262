internal import Foundation

/// A small file system for each node's data, to be filled and emptied again: memory, mounted over its directory.
final class FullDisks: Sendable {
    private static let bytesPerNode = 1 << 30

    private let directories: [String]

    /// - Throws: where this process may not mount.
    init(of cluster: LocalCluster) throws {
        directories = cluster.nodes.map { "\(cluster.directory)/data/\($0.id)" }
        for (index, directory) in directories.enumerated() {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            guard mount("roost-torture", directory, "tmpfs", 0, "size=\(Self.bytesPerNode),mode=0700") == 0 else {
                let reason = String(cString: strerror(errno))
                for mounted in directories.prefix(index) { umount(mounted) }
                throw Failure("--faults full mounts a file system for each node, which is not allowed here: \(reason)")
            }
        }
    }

    func unmount() { for directory in directories { umount2(directory, Int32(MNT_DETACH)) } }

    private func filler(_ node: Int) -> String { directories[node] + "/filler" }

    func fill(_ node: Int) throws {
        let descriptor = open(filler(node), O_CREAT | O_WRONLY | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Failure("\(filler(node)): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        var info = statvfs()
        while fstatvfs(descriptor, &info) == 0, info.f_bavail > 0 {
            let size = lseek(descriptor, 0, SEEK_END)
            guard posix_fallocate(descriptor, size, off_t(info.f_bavail) * off_t(info.f_bsize)) == 0 else {
                // Somebody took a page meanwhile: the rest page by page.
                guard posix_fallocate(descriptor, size, off_t(info.f_bsize)) == 0 else { return }
                continue
            }
        }
    }

    func empty(_ node: Int) { unlink(filler(node)) }
}
