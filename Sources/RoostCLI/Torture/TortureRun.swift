internal import Foundation
internal import RoostClient
internal import RoostModel

/// Load, faults, and after each round the question whether every device has what was accepted. Every wait is bounded.
struct TortureRun {
    struct Options {
        var seed: UInt64
        var nodes: Int
        /// Messages a second, of all senders together.
        var rate: Double
        /// Rounds begin so long.
        var seconds: Double
        var faults: [TortureFault]
        /// Lengths of standstills, in milliseconds; none: drawn between 5 and 30 s.
        var stops: [UInt64] = []
        var directory: String
    }

    /// From the end of a round's faults until all nodes serve, and then until all is delivered.
    private static let recoverySeconds = 90.0
    private static let pairs = 4
    private static let groups = 3
    private static let groupSize = 5
    private static let devices = 2

    let options: Options
    let say: @Sendable (String) -> Void
    private let started = BenchLoop.now
    private var totals = Totals()

    private struct Totals {
        var rounds = 0
        var accepted: UInt64 = 0
        var delivered: UInt64 = 0
        var longestSettle = 0.0
    }

    init(options: Options, say: @escaping @Sendable (String) -> Void) {
        self.options = options
        self.say = say
    }

    /// True where nothing was broken. The directory stays where something was.
    mutating func run() async throws -> Bool {
        let names = options.faults.map(\.rawValue).joined(separator: ", ")
        say("\(options.nodes) nodes, faults \(names), seed \(options.seed); files in \(options.directory)")
        let nodes = try await TortureNodes.start(
            directory: options.directory, nodes: options.nodes, faults: options.faults,
            replication: min(3, options.nodes))
        do {
            let load = BenchLoad(settings: try await settings(nodes.local))
            do {
                try await rounds(nodes, load)
                try await fresh(load)
            } catch {
                await load.shutDown()
                throw error
            }
            await load.shutDown()
        } catch {
            nodes.end()
            guard let failure = error as? TortureFailure else { throw error }
            say("FAILED in round \(totals.rounds): \(failure.message)")
            say("seed \(options.seed); data and logs are in \(options.directory)")
            return false
        }
        nodes.remove()
        say(
            "\(totals.rounds) rounds in \(minutes): accepted \(totals.accepted), delivered \(totals.delivered); "
                + "lost 0, twice 0, out of order 0; recovered within \(BenchReport.number(totals.longestSettle, 1)) s each time"
        )
        return true
    }

    private var minutes: String { BenchReport.number(Double(BenchLoop.now - started) / 60e9, 1) + " min" }

    private func settings(_ local: LocalCluster) async throws -> BenchSettings {
        let all = Array(local.nodes.indices)
        let plan = BenchPlan(
            pairs: Self.pairs, groups: Self.groups, groupSize: Self.groupSize, devices: Self.devices, idle: 0,
            senders: all, receivers: all, idleServers: all)
        let addresses = local.nodes.map { ServerAddress(host: "127.0.0.1", port: $0.clientPort) }
        let urls = addresses.map(\.description)
        let clients = try urls.indices.map { try RoostClient(servers: Array(urls[$0...] + urls[..<$0])) }
        let run = UInt32(truncatingIfNeeded: options.seed) & 0x7fff_fffe | 1
        let accounts = BenchUsers(clients: clients, run: run) { _ in }
        do {
            let users = try await accounts.prepare(plan.users, file: nil)
            let conversations = try await accounts.conversations(plan, users)
            for client in clients { await client.shutdown() }
            return BenchSettings(
                run: run, size: 200, window: 16, ratePerSender: options.rate / Double(plan.senderCount),
                messagesPerSender: nil, servers: addresses, plan: plan, users: users, conversations: conversations)
        } catch {
            for client in clients { await client.shutdown() }
            throw error
        }
    }

    private mutating func rounds(_ nodes: TortureNodes, _ load: BenchLoad) async throws {
        try await load.open(load.settings.plan.endpoints)
        try await load.waitForConnections(within: 60) { _ in }
        // A short torture has no time for long standstills.
        let longest = max(6_000, min(30_000, UInt64(options.seconds * 1_000 / 6)))
        var plan = TorturePlan(
            seed: options.seed, nodes: options.nodes, clients: load.settings.plan.endpoints.count,
            faults: options.faults,
            stopMilliseconds: 5_000...longest, stops: options.stops)
        while totals.rounds == 0 || Double(BenchLoop.now - started) < options.seconds * 1e9 {
            totals.rounds += 1
            let round = plan.next()
            try await load.startSending(now: BenchLoop.now)
            do {
                try await nodes.perform(round, load)
                try await settle(round, nodes, load)
            } catch let failure as TortureFailure {
                let steps = round.steps.map { "  at \($0.at) ms: \($0.act)" }.joined(separator: "\n")
                throw TortureFailure(
                    "\(round.name)\n  \(failure.message)\n  the round, nodes numbered from 0:\n\(steps)")
            }
        }
    }

    /// The faults are over: everything must be well again, and complete.
    private mutating func settle(_ round: TortureRound, _ nodes: TortureNodes, _ load: BenchLoad) async throws {
        let over = BenchLoop.now
        try await nodes.waitUntilReady(within: Self.recoverySeconds)
        let serving = Double(BenchLoop.now - over) / 1e9
        try await load.stopSending()
        let answered = serving + (try await load.answered(within: Self.recoverySeconds))
        let drained = try await load.drain(within: Self.recoverySeconds) { _ in }
        try nodes.checkAlive()
        let took = Double(BenchLoop.now - over) / 1e9
        let progress = try await load.progress()
        let outcome = try await load.outcome()
        let tally = outcome.tally(load.settings.plan)
        var faults = outcome.faults(load.settings.plan) + progress.faults
        if progress.refused > 0 {
            faults.append("\(progress.refused) sends were refused for good, the last with \(progress.lastError ?? "?")")
        }
        if progress.openSends > 0 { faults.append("\(progress.openSends) sends have no answer") }
        if !drained, faults.isEmpty { faults.append("not all was delivered within \(Int(Self.recoverySeconds)) s") }
        guard faults.isEmpty else { throw TortureFailure(faults.joined(separator: "\n  ")) }
        say(
            "round \(totals.rounds): \(round.name): accepted \(tally.accepted - totals.accepted), "
                + "delivered \(tally.delivered - totals.delivered); all serve after \(BenchReport.number(serving, 1)) s, "
                + "answered after \(BenchReport.number(answered, 1)) s, delivered after \(BenchReport.number(took, 1)) s"
        )
        totals.accepted = tally.accepted
        totals.delivered = tally.delivered
        totals.longestSettle = max(totals.longestSettle, took)
    }

    /// A device that was never there before gets everything from the log: at each node one of a user who received.
    private mutating func fresh(_ load: BenchLoad) async throws {
        let plan = load.settings.plan
        let receivers = plan.endpoints.filter { $0.role == .receiver }.map(\.user)
        let servers = load.settings.servers.indices
        // Of the last users, who are members of all groups.
        let endpoints = zip(servers, receivers.reversed()).map { server, user in
            BenchPlan.Endpoint(
                user: user, device: "late-\(server)", server: server, alternatives: servers.filter { $0 != server },
                role: .receiver)
        }
        try await load.open(endpoints)
        let seconds = Self.recoverySeconds + Double(totals.accepted) / 200
        try await load.waitForConnections(within: seconds) { _ in }
        // Caught up means that all is written, not that all is read.
        var faults: [String] = []
        for _ in 0..<1_200 {
            faults = try await load.outcome().faults(plan)
            if faults.isEmpty { break }
            try await Task.sleep(for: .milliseconds(50))
        }
        let progress = try await load.progress()
        faults += progress.faults
        guard faults.isEmpty else {
            throw TortureFailure("devices that connect for the first time:\n  " + faults.joined(separator: "\n  "))
        }
        say("\(endpoints.count) devices that connected for the first time have everything, in order")
    }
}
