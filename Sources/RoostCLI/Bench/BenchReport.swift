internal import Foundation
internal import Histogram

/// The outcome of a run, as text or JSON.
struct BenchReport: Encodable, Equatable {
    struct Latency: Encodable, Equatable {
        var p50: Double
        var p90: Double
        var p99: Double
        var p999: Double
        var max: Double

        /// Of microseconds, in milliseconds.
        init(_ histogram: Histogram<UInt64>) {
            func at(_ percentile: Double) -> Double { Double(histogram.valueAtPercentile(percentile)) / 1_000 }
            let any = histogram.totalCount > 0
            p50 = any ? at(50) : 0
            p90 = any ? at(90) : 0
            p99 = any ? at(99) : 0
            p999 = any ? at(99.9) : 0
            max = any ? Double(histogram.maxRecorded) / 1_000 : 0
        }

        private enum CodingKeys: String, CodingKey { case p50, p90, p99, max, p999 = "p99_9" }
    }

    struct Server: Encodable, Equatable {
        var server: String
        var pid: Int32
        /// Processes of the server that ended meanwhile. Their memory is not in `residentBytes`.
        var restarts: Int
        var cpuSeconds: Double
        var cpuMicrosecondsPerMessage: Double
        var residentBytes: UInt64

        private enum CodingKeys: String, CodingKey {
            case server, pid, restarts
            case cpuSeconds = "cpu_seconds", cpuMicrosecondsPerMessage = "cpu_us_per_delivered"
            case residentBytes = "resident_bytes"
        }
    }

    var connections: Int
    var seconds: Double
    var sent: UInt64
    var accepted: UInt64
    var delivered: UInt64
    var acceptedPerSecond: Double
    var deliveredPerSecond: Double
    /// Milliseconds.
    var delivery: Latency
    var accept: Latency
    var lost: UInt64
    var duplicates: UInt64
    var outOfOrder: UInt64
    var refused: UInt64
    var retries: UInt64
    var redelivered: UInt64
    var reconnects: Int
    /// Sends without an answer at the end.
    var unanswered: Int
    var drained: Bool
    var servers: [Server]
    var cpuMicrosecondsPerMessage: Double
    /// Of this process, per delivered message.
    var ownCPUMicrosecondsPerMessage: Double

    private enum CodingKeys: String, CodingKey {
        case connections, seconds, sent, accepted, delivered, lost, duplicates, refused, retries, redelivered
        case reconnects, unanswered, drained, servers
        case acceptedPerSecond = "accepted_per_second", deliveredPerSecond = "delivered_per_second"
        case delivery = "delivery_ms", accept = "accept_ms", outOfOrder = "out_of_order"
        case cpuMicrosecondsPerMessage = "cpu_us_per_delivered"
        case ownCPUMicrosecondsPerMessage = "bench_cpu_us_per_delivered"
    }

    var isClean: Bool { lost == 0 && duplicates == 0 && outOfOrder == 0 && unanswered == 0 && drained }

    var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }

    var lines: [String] {
        var lines = [
            "connections     \(connections)",
            "measured        \(Self.number(seconds, 1)) s",
            "delivered       \(Self.number(deliveredPerSecond, 0)) msg/s (\(delivered) with warm-up and drain)",
            "accepted        \(Self.number(acceptedPerSecond, 0)) msg/s (\(accepted) of \(sent) sent)",
            "",
        ]
        lines += Console.table(
            ["latency, ms", "p50", "p90", "p99", "p99.9", "max"],
            [("end to end", delivery), ("accepted", accept)].map { name, latency in
                [name]
                    + [latency.p50, latency.p90, latency.p99, latency.p999, latency.max].map { Self.number($0, 2) }
            })
        lines += [
            "", "lost \(lost), duplicated \(duplicates), out of order \(outOfOrder), unanswered \(unanswered)",
            "refused \(refused), sent again \(retries), redelivered after reconnecting \(redelivered), "
                + "reconnects \(reconnects)",
        ]
        if !drained { lines.append("NOT DRAINED: not all that was accepted had arrived when the time was up") }
        if !servers.isEmpty {
            lines.append("")
            lines += Console.table(
                ["server", "pid", "CPU s", "CPU µs/delivered", "RSS MB"],
                servers.map { server in
                    [
                        server.server, String(server.pid), Self.number(server.cpuSeconds, 2),
                        Self.number(server.cpuMicrosecondsPerMessage, 1),
                        Self.number(Double(server.residentBytes) / 1_048_576, 1),
                    ]
                })
            for server in servers where server.restarts > 0 {
                let times = server.restarts == 1 ? "once" : "\(server.restarts) times"
                lines.append(
                    "\(server.server) was restarted \(times); its CPU is that of all its processes, as last seen")
            }
            lines.append("all servers: \(Self.number(cpuMicrosecondsPerMessage, 1)) µs of CPU per delivered message")
        }
        lines.append("this program: \(Self.number(ownCPUMicrosecondsPerMessage, 1)) µs of CPU per delivered message")
        return lines
    }

    /// Three decimals: what is beyond them says nothing.
    static func rounded(_ value: Double) -> Double { value.isFinite ? (value * 1_000).rounded() / 1_000 : 0 }

    static func number(_ value: Double, _ decimals: Int) -> String {
        guard value.isFinite else { return "-" }
        return String(format: "%.\(decimals)f", value)
    }
}
