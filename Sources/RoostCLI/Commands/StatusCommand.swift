internal import ArgumentParser
internal import Foundation
internal import RoostClient
internal import RoostNode
internal import RoostServer

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show the cluster as one of its nodes sees it.")

    @OptionGroup var config: ConfigOptions

    @Option(help: "A node's admin endpoint, as http://host:port; may be repeated (default: those of the file).")
    var admin: [String] = []

    @Option(help: "Token of the admin endpoint (default: security.admin_token of the file).")
    var adminToken: String?

    @Flag(help: "Print JSON.")
    var json = false

    @Flag(
        help: "Go on looking, each second: draws the table again, or, in a pipe, prints what changes. Ctrl-C ends it.")
    var watch = false

    func run() async throws {
        if watch && json { throw Failure("--watch and --json exclude each other", .usage) }
        let file = admin.isEmpty ? try config.load() : try config.loadIfPresent()
        let urls = admin.isEmpty ? file?.adminURLs ?? [] : admin
        let token = adminToken ?? file?.security.adminToken
        try await AdminClient.with(urls: urls, token: token, tls: config.tls()) { client in
            if watch { return try await StatusWatch(client: client, isTerminal: isatty(1) == 1).run() }
            let view = try await StatusView.read(client)
            if json {
                let all: JSONValue = .object([
                    "cluster": view.cluster, "partitions": view.partitions, "links": view.links,
                ])
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
                Console.out(String(decoding: try encoder.encode(all), as: UTF8.self))
            } else {
                for line in view.lines { Console.out(line) }
            }
        }
    }
}

/// The cluster as text.
enum StatusTable {
    static func lines(
        cluster: JSONValue, partitions: JSONValue, links: JSONValue, now: Date = Date()
    ) -> [String] {
        let asked = cluster["node_id"]?.stringValue ?? "?"
        let ring = cluster["ring"]
        let partitions = partitions.arrayValue ?? []
        var lines = [
            "cluster \(cluster["cluster"]?.stringValue ?? "?") as \(asked) sees it"
                + (ring.map { ", replication \(text($0["replication"])), ring version \(text($0["version"]))" } ?? "")
        ]
        lines.append("")
        let leaders = Dictionary(grouping: partitions.compactMap { $0["leader"]?.stringValue }) { $0 }
        let replicas = Dictionary(
            grouping: partitions.flatMap {
                ($0["replicas"]?.arrayValue ?? []).compactMap { $0["node_id"]?.stringValue }
            }
        ) { $0 }
        let states = Dictionary(
            (ring?["members"]?.arrayValue ?? []).compactMap { member in
                member["id"]?.stringValue.map { ($0, text(member["state"])) }
            }, uniquingKeysWith: { first, _ in first })
        lines += Console.table(
            ["NODE", "STATUS", "RING", "HOST", "EPOCH", "INCARNATION", "LEADS", "REPLICAS"],
            (cluster["members"]?.arrayValue ?? []).map { member in
                let id = member["id"]?.stringValue ?? "?"
                return [
                    id, text(member["status"]), states[id] ?? "-", text(member["host"]), text(member["epoch"]),
                    text(member["incarnation"]), String(leaders[id]?.count ?? 0), String(replicas[id]?.count ?? 0),
                ]
            })
        lines.append("")
        lines.append(summary(partitions, unsettled: cluster["unsettled_partitions"]?.intValue ?? 0))
        if let storage = cluster["storage"] { lines.append("\(asked)'s database: \(summary(storage: storage))") }
        lines += certificates(cluster["certificates"]?.arrayValue ?? [], asked, now)
        let peers = linkRows(links)
        if !peers.isEmpty {
            lines.append("")
            lines += Console.table(
                ["LINK", "CONNECTED", "ROUND TRIP", "QUEUE"], peers.map { ["\(asked) - \($0[0])"] + $0[1...] })
        }
        return lines
    }

    private static func summary(_ partitions: [JSONValue], unsettled: Int) -> String {
        let leaderless = partitions.filter { $0["leader"]?.stringValue == nil }
        let conversations = partitions.compactMap { $0["conversations"]?.intValue }.reduce(0, +)
        let learners = partitions.flatMap { $0["replicas"]?.arrayValue ?? [] }.count {
            $0["role"]?.stringValue == "learner"
        }
        var line = "\(partitions.count) partitions here, \(conversations) conversations"
        if learners > 0 { line += ", \(learners) replicas being filled" }
        if unsettled > 0 { line += ", \(unsettled) partitions moving" }
        if leaderless.isEmpty { return line + ", all with a leader" }
        let ids = leaderless.prefix(16).map { text($0["id"]) }.joined(separator: ", ")
        return line + ", WITHOUT A LEADER: \(ids)" + (leaderless.count > 16 ? ", …" : "")
    }

    private static func summary(storage: JSONValue) -> String {
        func number(_ key: String) -> Int { storage[key]?.intValue ?? 0 }
        var parts: [String] = []
        if storage["full"] == .bool(true) { parts.append("NO SPACE, it leads nothing") }
        if number("damaged_rows") > 0 {
            parts.append("\(number("damaged_rows")) rows found damaged, \(number("repaired_rows")) written again")
        }
        if number("waiting_rows") > 0 { parts.append("\(number("waiting_rows")) WAIT for another replica") }
        if number("rebuilt_partitions") > 0 {
            parts.append("\(number("rebuilt_partitions")) partitions made anew from the log")
        }
        let last = storage["scrub"]?["last_pass_at"]?.stringValue
        parts.append("\(text(storage["scrub"]?["percent"])) % checked" + (last.map { ", all of it at \($0)" } ?? ""))
        return parts.joined(separator: "; ")
    }

    /// Of those that are to be renewed soon, or are too old already.
    private static func certificates(_ all: [JSONValue], _ node: String, _ now: Date) -> [String] {
        all.compactMap { certificate in
            guard let end = certificate["expires_at"]?.doubleValue else { return nil }
            let days = Int(((end - now.timeIntervalSince1970) / 86_400).rounded(.down))
            guard days < LocalAuthority.renewalDays else { return nil }
            let what = "\(node)'s certificate \"\(text(certificate["kind"]))\""
            return days < 0 ? "\(what) HAS EXPIRED" : "\(what) EXPIRES in \(days) days: renew it"
        }
    }

    /// Peer, connected, round trip, queue.
    private static func linkRows(_ links: JSONValue) -> [[String]] {
        (links.arrayValue ?? []).map { link in
            let roundTrip = link["round_trip_us"]?.doubleValue.map { "\(($0 / 10).rounded() / 100) ms" }
            return [
                text(link["node_id"]), connected(link), roundTrip ?? "-",
                link["queued_bytes"]?.intValue.map { "\($0) B" } ?? "-",
            ]
        }
    }

    /// What kept it from being so is worth more than that it is not.
    private static func connected(_ link: JSONValue) -> String {
        guard case .bool(false)? = link["connected"], let reason = link["last_error"]?.stringValue else {
            return text(link["connected"])
        }
        return "no: \(reason)"
    }

    private static func text(_ value: JSONValue?) -> String {
        switch value {
        case .string(let text)?: text
        case .integer(let number)?: String(number)
        case .number(let number)?: String((number * 1_000).rounded() / 1_000)
        case .bool(let bool)?: bool ? "yes" : "no"
        case .array?, .object?, .null?, nil: "-"
        }
    }
}
