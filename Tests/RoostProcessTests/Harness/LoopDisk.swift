import Foundation

@testable import RoostCLI

/// An ext4 of its own in a file, which can be made read-only as the kernel does it when it finds damage: files that are
/// open stay so, and every write fails with EROFS.
final class LoopDisk: @unchecked Sendable {
    // Unchecked: one test uses it, one call after the other.
    private let path: String
    private let image: String
    private var device = ""

    /// Nil where this process may not mount, or the tools are not there.
    init?(at path: String, image: String, megabytes: Int) throws {
        self.path = path
        self.image = image
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        guard FileManager.default.createFile(atPath: image, contents: nil),
            truncate(image, off_t(megabytes) << 20) == 0, Self.run("mkfs.ext4", "-q", "-F", image), mount()
        else {
            return nil
        }
        guard FileManager.default.isWritableFile(atPath: trigger) else {
            remove()
            return nil
        }
    }

    private var trigger: String { "/sys/fs/ext4/\(device)/trigger_fs_error" }

    private func mount() -> Bool {
        guard Self.run("mount", "-o", "loop,errors=remount-ro", image, path) else { return false }
        let mounts = (try? String(contentsOfFile: "/proc/mounts", encoding: .utf8)) ?? ""
        let line = mounts.split(separator: "\n").last { $0.contains(" \(path) ") }
        device = line?.split(separator: " ").first?.split(separator: "/").last.map(String.init) ?? ""
        return !device.isEmpty
    }

    func turnReadOnly() throws {
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: trigger))
        try file.write(contentsOf: Data("1".utf8))
        try file.close()
    }

    /// As an operator would: unmounted, checked, mounted. Nothing has it open any more.
    func mend() throws {
        guard Self.run("umount", path) || umount2(path, Int32(MNT_DETACH)) == 0 else {
            throw HarnessError("\(path) can't be unmounted")
        }
        // 1: mended.
        _ = Self.run("e2fsck", "-p", "-f", image)
        guard mount() else { throw HarnessError("\(path) can't be mounted again") }
    }

    func remove() {
        umount2(path, Int32(MNT_DETACH))
        try? FileManager.default.removeItem(atPath: image)
    }

    private static func run(_ program: String, _ arguments: String...) -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [program] + arguments
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        process.environment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"]
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }
}
