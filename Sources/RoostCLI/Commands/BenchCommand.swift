internal import ArgumentParser
internal import Foundation
internal import RoostClient
internal import RoostModel
internal import RoostNode
internal import RoostServer

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Put load on a running cluster, and check that nothing is lost.",
        discussion: """
            Senders send in pairs or groups, as many as a window or a rate allows, and number their messages; \
            receivers measure and look for what is lost, twice or out of order. Exits 1 if there is any. With --storm \
            that many idle sessions stand on one node, which is killed (kill -9) under chat on the others: how long \
            until all are back, and what the chat felt of it.
            """)

    @Option(help: "Nodes as http://host:port, separated by commas (default: those of the cluster's file).")
    var servers: String?
    @OptionGroup var config: ConfigOptions
    @Option(help: "Pairs of a sender and a receiver.")
    var pairs: Int?
    @Option(help: "Groups, each with a sender; they share their receivers.")
    var groups = 0
    @Option(help: "Members of a group, the sender included.")
    var groupSize = 10
    @Option(help: "Connections that do nothing.")
    var idle = 0
    @Option(help: "Idle sessions of a reconnect storm; --duration is that of the chat before the node is killed.")
    var storm: Int?
    @Option(help: "The node that is killed for a storm (default: the last); it must run on this machine.")
    var stormNode: String?
    @Option(help: "Of a message's content, in bytes.")
    var size = 256
    @Option(help: "In flight per sender.")
    var window = 16
    @Option(help: "Messages a second, of all senders together; without, as many as the window lets through.")
    var rate: Double?
    @Option(help: "Seconds of the measurement.")
    var duration: Double?
    @Option(help: "Messages in all, instead of a duration.")
    var messages: UInt64?
    @Option(help: "Seconds of load before the measurement (default: 2, with --messages 0).")
    var warmup: Double?
    @Option(help: "Seconds to wait at the end for what is on its way.")
    var drainTimeout = 30.0
    @Option(help: "Servers of the senders: ids of the file's nodes or numbers from 1, separated by commas.")
    var senderNodes: String?
    @Option(help: "Servers of the receivers.")
    var receiverNodes: String?
    @Option(help: "Servers' processes, separated by commas (default: whoever listens on their ports here).")
    var serverPids: String?
    @Option(help: "Accounts are kept here for the next run.")
    var usersFile: String?
    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        let file = servers == nil ? try config.load() : try config.loadIfPresent()
        let urls = servers?.split(separator: ",").map(String.init) ?? file?.clientURLs ?? []
        let addresses = try urls.map { url in
            guard let address = ServerAddress(url) else {
                throw Failure("--servers: \"\(url)\" is not http://host:port", .usage)
            }
            return address
        }
        try check(addresses)
        let names = servers == nil ? file?.nodes.map(\.id.name) ?? [] : []
        let all = Array(addresses.indices)
        if let storm { return try await runStorm(storm, addresses, names) }
        let plan = BenchPlan(
            pairs: pairs ?? (groups == 0 && idle == 0 ? 8 : 0), groups: groups, groupSize: groupSize, idle: idle,
            senders: try pick("--sender-nodes", senderNodes, names, all),
            receivers: try pick("--receiver-nodes", receiverNodes, names, all), idleServers: all)
        OpenFileLimit.raise()
        let progress = isatty(2) == 1
        let report = try await reporting {
            let settings = try await prepare(plan, addresses, progress)
            let times = BenchRun.Times(
                warmup: warmup ?? (messages == nil ? 2 : 0), duration: duration ?? (messages == nil ? 10 : 600),
                drainTimeout: drainTimeout, connectTimeout: 30 + Double(plan.endpoints.count) / 100)
            let run = BenchRun(
                settings: settings, times: times, processes: try processes(addresses, names), showsProgress: progress)
            return try await run.run()
        }
        if progress { Console.write("\r\u{1b}[K", to: 2) }
        if json { Console.out(report.json) } else { report.lines.forEach { Console.out($0) } }
        if !report.isClean { throw ExitCode.failure }
    }

    private func runStorm(_ sessions: Int, _ addresses: [ServerAddress], _ names: [String]) async throws {
        let all = Array(addresses.indices)
        guard all.count > 1 else { throw Failure("--storm: another node is needed", .usage) }
        let victim = try pick("--storm-node", stormNode ?? String(all.count), names, all)
        guard victim.count == 1 else { throw Failure("--storm-node: one node", .usage) }
        let others = all.filter { $0 != victim[0] }
        guard ConfigFile.isLoopback(addresses[victim[0]].host),
            let pid = ProcessStats.listener(port: addresses[victim[0]].port)
        else { throw Failure("--storm-node: no process of this machine listens on \(addresses[victim[0]])", .usage) }
        let plan = BenchPlan(
            pairs: pairs ?? (groups == 0 ? 20 : 0), groups: groups, groupSize: groupSize, idle: sessions,
            senders: others, receivers: others, idleServers: victim, refuges: others)
        OpenFileLimit.raise()
        let progress = isatty(2) == 1
        let report = try await reporting {
            let settings = try await prepare(plan, addresses, progress)
            let times = StormRun.Times(
                warmup: warmup ?? 3, before: duration ?? 10, connectTimeout: 60 + Double(sessions) / 50,
                returnTimeout: 120, drainTimeout: drainTimeout)
            return try await StormRun(settings: settings, times: times, victim: pid, showsProgress: progress).run()
        }
        if progress { Console.write("\r\u{1b}[K", to: 2) }
        if json { Console.out(report.json) } else { report.lines.forEach { Console.out($0) } }
        if !report.isClean { throw ExitCode.failure }
    }

    private func check(_ addresses: [ServerAddress]) throws {
        guard !addresses.isEmpty else { throw Failure("--servers: no server is given", .usage) }
        func require(_ condition: Bool, _ message: String) throws {
            if !condition { throw Failure(message, .usage) }
        }
        try require((0...100_000).contains(pairs ?? 0), "--pairs must be 0 to 100000")
        try require((0...10_000).contains(groups), "--groups must be 0 to 10000")
        try require((2...10_000).contains(groupSize), "--group-size must be 2 to 10000")
        try require((0...1_000_000).contains(idle), "--idle must be 0 to 1000000")
        try require(storm.map { (1...1_000_000).contains($0) } ?? true, "--storm must be 1 to 1000000")
        try require(storm == nil || idle == 0 && messages == nil, "--storm excludes --idle and --messages")
        try require((64...1_000_000).contains(size), "--size must be 64 to 1000000")
        try require((1...10_000).contains(window), "--window must be 1 to 10000")
        try require(rate.map { $0 > 0 && $0.isFinite } ?? true, "--rate must be above 0")
        try require(duration.map { $0 > 0 && $0 <= 86_400 } ?? true, "--duration must be above 0, at most a day")
        try require(warmup.map { $0 >= 0 && $0 <= 3_600 } ?? true, "--warmup must be 0 to 3600")
        try require((0...3_600).contains(drainTimeout), "--drain-timeout must be 0 to 3600")
        try require(messages.map { $0 > 0 && $0 < 1 << 31 } ?? true, "--messages must be above 0")
    }

    private func pick(_ option: String, _ text: String?, _ names: [String], _ all: [Int]) throws -> [Int] {
        guard let text else { return all }
        return try text.split(separator: ",").map { word in
            if let index = names.firstIndex(of: String(word)) { return index }
            guard let number = Int(word), (1...all.count).contains(number) else {
                throw Failure("\(option): \"\(word)\" is neither a node nor a number from 1 to \(all.count)", .usage)
            }
            return number - 1
        }
    }

    private func prepare(
        _ plan: BenchPlan, _ addresses: [ServerAddress], _ progress: Bool
    ) async throws -> BenchSettings {
        let run = UInt32.random(in: 1...0x7fff_ffff)
        let tls = addresses.contains(where: \.isSecure) ? try config.tls() ?? ClientTLS() : nil
        let clients = try addresses.indices.map { index in
            try RoostClient(servers: (addresses[index...] + addresses[..<index]).map(\.description), tls: tls)
        }
        let accounts = BenchUsers(clients: clients, run: run) { text in
            if progress { Console.write("\r\u{1b}[Kmaking \(text)", to: 2) }
        }
        do {
            let users = try await accounts.prepare(plan.users, file: usersFile)
            let conversations = try await accounts.conversations(plan, users)
            for client in clients { await client.shutdown() }
            let senders = max(1, plan.senderCount)
            return BenchSettings(
                run: run, size: size, window: window, ratePerSender: rate.map { $0 / Double(senders) },
                messagesPerSender: messages.map { max(1, $0 / UInt64(senders)) }, servers: addresses, tls: tls,
                plan: plan, users: users, conversations: conversations)
        } catch {
            for client in clients { await client.shutdown() }
            throw error
        }
    }

    private func processes(_ addresses: [ServerAddress], _ names: [String]) throws -> [ProcessMeters.Server] {
        if let serverPids {
            return try serverPids.split(separator: ",").map { word in
                guard let pid = Int32(word) else { throw Failure("--server-pids: \"\(word)\" is not a number", .usage) }
                return ProcessMeters.Server(name: "process", pid: pid, port: nil)
            }
        }
        return addresses.enumerated().compactMap { index, address in
            guard ConfigFile.isLoopback(address.host), let pid = ProcessStats.listener(port: address.port) else {
                return nil
            }
            return ProcessMeters.Server(
                name: names.indices.contains(index) ? names[index] : address.authority, pid: pid, port: address.port)
        }
    }
}
