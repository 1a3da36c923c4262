/// What the processes of one server used while it was measured: the one that ran at first, and those started after it.
struct ProcessMeter: Equatable {
    private(set) var restarts = 0
    /// Of the process seen last.
    private(set) var latest: ProcessStats?
    private var first: ProcessStats?
    /// User and system time of processes that are gone, as far as they were seen.
    private var former = 0.0

    /// In seconds, since the first observation.
    var cpuSeconds: Double {
        guard let first, let latest else { return 0 }
        return max(0, former + latest.cpuSeconds - first.cpuSeconds)
    }

    /// - Parameter stats: nil while there is no process.
    mutating func observe(_ stats: ProcessStats?) {
        guard let stats else { return }
        if let latest, latest.pid != stats.pid || latest.startTicks != stats.startTicks {
            former += latest.cpuSeconds
            restarts += 1
        }
        if first == nil { first = stats }
        latest = stats
    }
}

/// The processes of all servers, followed through restarts by the ports they listen on.
struct ProcessMeters {
    struct Server: Equatable {
        var name: String
        var pid: Int32
        /// Nil where only the process was named.
        var port: Int?
    }

    private(set) var servers: [(server: Server, meter: ProcessMeter)]

    init(_ servers: [Server]) { self.servers = servers.map { ($0, ProcessMeter()) } }

    mutating func observe() {
        for index in servers.indices {
            let pid = servers[index].server.pid
            var stats = ProcessStats.read(pid)
            let known = servers[index].meter.latest
            let isGone = stats == nil || known.map { $0.startTicks != stats?.startTicks } ?? false
            if isGone, let port = servers[index].server.port {
                stats = ProcessStats.listener(port: port).flatMap(ProcessStats.read)
                if let stats { servers[index].server.pid = stats.pid }
            } else if isGone {
                stats = nil
            }
            servers[index].meter.observe(stats)
        }
    }
}
