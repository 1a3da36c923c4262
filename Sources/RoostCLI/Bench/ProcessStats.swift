internal import Foundation

/// What the kernel says of a process.
struct ProcessStats: Sendable, Equatable {
    var pid: Int32
    /// User and system time of all its threads, in seconds.
    var cpuSeconds: Double
    /// In bytes.
    var residentBytes: UInt64
    /// When it was started, in the kernel's ticks: with the pid it tells processes apart.
    var startTicks: UInt64 = 0

    /// Nil where there is no such process, or nothing of it but its number.
    static func read(_ pid: Int32) -> ProcessStats? {
        guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            let end = stat.lastIndex(of: ")")
        else { return nil }
        // The name in brackets may hold anything; state, utime, stime and start are the 1st, 12th, 13th and
        // 20th field behind it.
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        guard fields.count > 19, fields[0] != "Z", let start = UInt64(fields[19]), let user = Double(fields[11]),
            let system = Double(fields[12])
        else { return nil }
        let status = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
        let resident =
            status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }?
            .split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { UInt64($0) } ?? 0
        return ProcessStats(
            pid: pid, cpuSeconds: (user + system) / Double(sysconf(Int32(_SC_CLK_TCK))),
            residentBytes: resident * 1_024,
            startTicks: start)
    }

    /// The process of this machine that listens on a port: by its socket's inode among all open files.
    static func listener(port: Int) -> Int32? {
        let inodes = ["/proc/net/tcp", "/proc/net/tcp6"].flatMap { path in
            listeningInodes((try? String(contentsOfFile: path, encoding: .utf8)) ?? "", port: port)
        }
        guard !inodes.isEmpty else { return nil }
        let wanted = Set(inodes.map { "socket:[\($0)]" })
        let manager = FileManager.default
        for entry in (try? manager.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard let pid = Int32(entry) else { continue }
            let files = (try? manager.contentsOfDirectory(atPath: "/proc/\(pid)/fd")) ?? []
            for file in files {
                if let target = try? manager.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/\(file)"),
                    wanted.contains(target)
                {
                    return pid
                }
            }
        }
        return nil
    }

    /// Inodes of listening sockets in the form of /proc/net/tcp.
    static func listeningInodes(_ table: String, port: Int) -> [String] {
        table.split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 9, fields[3] == "0A", let local = fields[1].split(separator: ":").last,
                Int(local, radix: 16) == port
            else { return nil }
            return String(fields[9])
        }
    }
}
