internal import Foundation

/// What the operating system says of this process.
struct ProcessUsage: Sendable {
    /// User and system, seconds.
    var cpuSeconds: Double
    /// Bytes.
    var residentBytes: Double
    var openFiles: Double

    static func read() -> ProcessUsage {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        var resident = 0.0
        if let statm = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) {
            let pages = statm.split(separator: " ").dropFirst().first.flatMap { Double($0) } ?? 0
            resident = pages * Double(sysconf(Int32(_SC_PAGESIZE)))
        }
        let files = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
        return ProcessUsage(
            cpuSeconds: seconds(usage.ru_utime) + seconds(usage.ru_stime), residentBytes: resident,
            openFiles: Double(files))
    }
}
