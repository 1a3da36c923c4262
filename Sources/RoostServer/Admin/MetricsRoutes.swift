internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import RoostNode

/// `/metrics`: what the node counts, and what its process costs.
struct MetricsRoutes {
    let node: any NodeService
    let loop: LoopMonitor
    var certificates: NodeCertificates?

    func add(to table: RouteTable) {
        table.get("/metrics") { _, _ in
            var families = await node.metrics().families
            families += process()
            if let family = expiries() { families.append(family) }
            return Response(
                status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
                body: ResponseBody(byteBuffer: ByteBuffer(string: PrometheusText.write(families))))
        }
    }

    private func expiries() -> MetricsView.Family? {
        guard let all = certificates?.expiries, !all.isEmpty else { return nil }
        return MetricsView.Family(
            name: "roost_certificate_expiry_timestamp_seconds",
            help: "Until when a certificate is valid, UNIX seconds.",
            kind: .gauge,
            samples: all.map {
                MetricsView.Sample(labels: [("kind", $0.kind)], value: $0.date.timeIntervalSince1970.rounded(.down))
            })
    }

    private func process() -> [MetricsView.Family] {
        let usage = ProcessUsage.read()
        let lag = loop.take()
        func family(_ name: String, _ help: String, _ kind: MetricsView.Kind, _ value: Double) -> MetricsView.Family {
            MetricsView.Family(name: name, help: help, kind: kind, samples: [MetricsView.Sample(value: value)])
        }
        return [
            family("process_cpu_seconds_total", "User and system CPU time.", .counter, usage.cpuSeconds),
            family("process_resident_memory_bytes", "Resident memory.", .gauge, usage.residentBytes),
            family("process_open_fds", "Open file descriptors.", .gauge, usage.openFiles),
            family("roost_core_loop_lag_seconds", "Lateness of the core event loop, last sample.", .gauge, lag.last),
            family(
                "roost_core_loop_lag_worst_seconds", "Its worst since the last scrape.", .gauge, lag.worst),
        ]
    }
}

/// Prometheus' text format, version 0.0.4.
enum PrometheusText {
    static func write(_ families: [MetricsView.Family]) -> String {
        var text = ""
        for family in families {
            text += "# HELP \(family.name) \(escape(family.help, quotes: false))\n"
            text += "# TYPE \(family.name) \(family.kind.rawValue)\n"
            for sample in family.samples {
                text += family.name + sample.suffix
                if !sample.labels.isEmpty {
                    let labels = sample.labels.map { "\($0.0)=\"\(escape($0.1, quotes: true))\"" }
                    text += "{" + labels.joined(separator: ",") + "}"
                }
                text += " \(number(sample.value))\n"
            }
        }
        return text
    }

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        if let whole = Int64(exactly: value) { return String(whole) }
        return String(value)
    }

    private static func escape(_ text: String, quotes: Bool) -> String {
        let escaped = text.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
        return quotes ? escaped.replacing("\"", with: "\\\"") : escaped
    }
}
