internal import Dispatch
internal import Foundation
internal import RoostClient

/// What `status` shows, as one node has it at one moment.
struct StatusView: Equatable {
    var cluster: JSONValue
    var partitions: JSONValue
    var links: JSONValue

    static func read(_ client: AdminClient) async throws -> StatusView {
        StatusView(
            cluster: try await client.get("/admin/cluster"), partitions: try await client.get("/admin/partitions"),
            links: try await client.get("/admin/links"))
    }

    /// While the node asked does not serve yet.
    var startingLine: String? {
        guard cluster["status"]?.stringValue == "starting" else { return nil }
        return "\(StatusChanges.node(self)) is starting"
    }

    var lines: [String] { StatusTable.lines(cluster: cluster, partitions: partitions, links: links) }
}

/// `status --watch`: on a terminal the table, drawn again each second; in a pipe the table once, then a line for each
/// change. Ctrl-C ends it with 0.
struct StatusWatch {
    private static let periodNanoseconds: UInt64 = 1_000_000_000
    /// Home, and the rest of each line and of the screen cleared: nothing flickers.
    private static let home = "\u{1b}[H"
    private static let clearLine = "\u{1b}[K"
    private static let clearBelow = "\u{1b}[J"

    let client: AdminClient
    let isTerminal: Bool

    func run() async throws {
        let interrupts = Self.endOnInterrupt(isTerminal)
        defer { interrupts.forEach { $0.cancel() } }
        if isTerminal { Console.write("\u{1b}[2J", to: 1) }
        var former: StatusView?
        var trouble: String?
        while !Task.isCancelled {
            let began = DispatchTime.now().uptimeNanoseconds
            do {
                let view = try await reporting { try await StatusView.read(client) }
                // What a node knows while it starts is no news of the cluster.
                if former != nil, !isTerminal, let waiting = view.startingLine { throw Failure(waiting) }
                show(view, after: former, wasLost: trouble != nil)
                former = view
                trouble = nil
            } catch let failure as Failure {
                // Who has not been reached at all is not there to be watched.
                if former == nil { throw failure }
                if isTerminal || trouble == nil { lost(failure.message, former) }
                trouble = failure.message
            }
            let took = DispatchTime.now().uptimeNanoseconds - began
            if took < Self.periodNanoseconds { try await Task.sleep(nanoseconds: Self.periodNanoseconds - took) }
        }
    }

    private func show(_ view: StatusView, after former: StatusView?, wasLost: Bool) {
        guard !isTerminal else { return draw(view.lines + ["", "\(Self.time)  every second; Ctrl-C ends"]) }
        guard let former else { return view.lines.forEach { Console.out($0) } }
        if wasLost { Console.out("\(Self.time) answers again: \(StatusChanges.node(view))") }
        for line in StatusChanges.lines(from: former, to: view) { Console.out("\(Self.time) \(line)") }
    }

    private func lost(_ message: String, _ former: StatusView?) {
        guard isTerminal else { return Console.out("\(Self.time) no answer: \(message)") }
        draw((former?.lines ?? []) + ["", "\(Self.time)  NO NODE ANSWERS: \(message); the table is older"])
    }

    private func draw(_ lines: [String]) {
        Console.write(
            Self.home + lines.map { $0 + Self.clearLine + "\n" }.joined() + Self.clearBelow, to: 1)
    }

    private static var time: String { MessagePrinter.time(Int64(Date().timeIntervalSince1970 * 1e6)) }

    private static func endOnInterrupt(_ isTerminal: Bool) -> [any DispatchSourceSignal] {
        [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                if isTerminal { Console.write("\n", to: 1) }
                exit(0)
            }
            source.resume()
            return source
        }
    }
}

/// What is different between two looks at a cluster, in words.
enum StatusChanges {
    static func node(_ view: StatusView) -> String { view.cluster["node_id"]?.stringValue ?? "?" }

    static func lines(from old: StatusView, to new: StatusView) -> [String] {
        var lines: [String] = []
        if node(old) != node(new) { lines.append("as \(node(new)) sees it, no longer \(node(old))") }
        lines += members(old.cluster, new.cluster)
        lines += leaders(old.partitions, new.partitions)
        lines += roles(old.partitions, new.partitions)
        if node(old) == node(new) { lines += links(old.links, new.links, node(new)) }
        let ring = new.cluster["ring"]?["version"]?.intValue
        if let ring, ring != old.cluster["ring"]?["version"]?.intValue { lines.append("the ring has version \(ring)") }
        let isFull = new.cluster["storage"]?["full"] == .bool(true)
        if isFull != (old.cluster["storage"]?["full"] == .bool(true)), node(old) == node(new) {
            lines.append("\(node(new)): " + (isFull ? "NO SPACE on its disk" : "its disk has space again"))
        }
        return lines
    }

    private static func members(_ old: JSONValue, _ new: JSONValue) -> [String] {
        let before = byID(old["members"], "id")
        let after = byID(new["members"], "id")
        return Set(before.keys).union(after.keys).sorted().flatMap { id -> [String] in
            guard let now = after[id] else { return ["\(id) is gone from the cluster"] }
            let status = now["status"]?.stringValue ?? "?"
            guard let then = before[id] else { return ["\(id) is new: \(status)"] }
            var lines: [String] = []
            let former = then["status"]?.stringValue ?? "?"
            if status != former { lines.append("\(id) is \(status), was \(former)") }
            let epoch = now["epoch"]?.intValue
            if let epoch, epoch != then["epoch"]?.intValue { lines.append("\(id) has started again (epoch \(epoch))") }
            return lines
        }
    }

    /// How many partitions each leads, and which are led by nobody.
    private static func leaders(_ old: JSONValue, _ new: JSONValue) -> [String] {
        func counts(_ partitions: JSONValue) -> [String: Int] {
            Dictionary(
                (partitions.arrayValue ?? []).map { ($0["leader"]?.stringValue ?? "", 1) }, uniquingKeysWith: +)
        }
        let before = counts(old)
        let after = counts(new)
        return Set(before.keys).union(after.keys).sorted().compactMap { id in
            let (then, now) = (before[id] ?? 0, after[id] ?? 0)
            guard then != now else { return nil }
            return id.isEmpty ? "\(now) partitions have no leader, had \(then)" : "\(id) leads \(now), led \(then)"
        }
    }

    /// Replicas by their role, over all partitions.
    private static func roles(_ old: JSONValue, _ new: JSONValue) -> [String] {
        func count(_ partitions: JSONValue, _ role: String) -> [String: Int] {
            Dictionary(
                (partitions.arrayValue ?? []).flatMap { $0["replicas"]?.arrayValue ?? [] }
                    .filter { $0["role"]?.stringValue == role }
                    .map { ($0["node_id"]?.stringValue ?? "?", 1) }, uniquingKeysWith: +)
        }
        return ["voter", "learner"].flatMap { role -> [String] in
            let before = count(old, role)
            let after = count(new, role)
            return Set(before.keys).union(after.keys).sorted().compactMap { id in
                let (then, now) = (before[id] ?? 0, after[id] ?? 0)
                guard then != now else { return nil }
                return role == "voter"
                    ? "\(id) votes in \(now), in \(then) before" : "\(id): \(now) replicas being filled"
            }
        }
    }

    private static func links(_ old: JSONValue, _ new: JSONValue, _ node: String) -> [String] {
        let before = byID(old, "node_id")
        let after = byID(new, "node_id")
        return after.keys.sorted().compactMap { id in
            let isUp = after[id]?["connected"] == .bool(true)
            guard let former = before[id], isUp != (former["connected"] == .bool(true)) else { return nil }
            let reason = after[id]?["last_error"]?.stringValue.map { ": \($0)" } ?? ""
            return "link \(node) - \(id) is " + (isUp ? "up" : "down\(reason)")
        }
    }

    private static func byID(_ list: JSONValue?, _ key: String) -> [String: JSONValue] {
        Dictionary(
            (list?.arrayValue ?? []).compactMap { item in item[key]?.stringValue.map { ($0, item) } },
            uniquingKeysWith: { $1 })
    }
}
