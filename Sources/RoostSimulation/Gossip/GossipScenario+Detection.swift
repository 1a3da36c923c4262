import RoostCluster
import RoostProtocol

extension GossipCluster {
    mutating func detect(_ effort: GossipScenario.Effort, into report: inout GossipReport) {
        guard options.nodes > 1 else { return }
        let killed = deaths(effort.samples, frozen: false)
        report.add("killed_first", "a killed process is dead to the first", times: killed.map(\.first))
        report.add("killed", "a killed process is dead everywhere", times: killed.map(\.last))
        let frozen = deaths(effort.samples, frozen: true)
        report.add(
            "frozen_first", "a machine that stops without a word is dead to the first", times: frozen.map(\.first))
        report.add("frozen", "a machine that stops without a word is dead everywhere", times: frozen.map(\.last))
        reportFalseDeaths("quiet", "with nothing wrong but loss", seconds: effort.quietSeconds, into: &report)
        guard options.nodes >= 3 else { return }
        for (key, text, stopsTimers) in [
            ("stalled", "a tenth of the nodes stands still half of the time", true),
            ("deafened", "a tenth of the nodes neither hears nor speaks half of the time", false),
        ] {
            beginStalls(stopsTimers: stopsTimers)
            // Capped: that much is wrong then, that minutes tell.
            reportFalseDeaths(key, text, seconds: min(effort.quietSeconds, 7_200), into: &report)
            endStalls()
        }
    }

    private mutating func deaths(_ samples: Int, frozen: Bool) -> [(first: UInt64, last: UInt64)] {
        var times: [(first: UInt64, last: UInt64)] = []
        for _ in 0..<samples {
            let node = pick()
            _ = run(for: random(0...options.timing.probePeriod))
            watch.setDown(node, true)
            watch.lookFor(node, status: .dead)
            let start = now
            kill(node, frozen: frozen)
            let end = now + 120_000_000_000
            while watch.learnt.count < options.nodes - 1, now < end { _ = run(for: 1_000_000) }
            times.append(((watch.learnt.first ?? end) - start, (watch.learnt.last ?? end) - start))
            watch.setDown(node, false)
            restart(node)
            runUntilAgreed(for: 60_000_000_000)
            _ = run(for: 1_000_000_000)
        }
        return times
    }

    private mutating func reportFalseDeaths(
        _ key: String, _ text: String, seconds: UInt64, into report: inout GossipReport
    ) {
        let before = watch.falseDeaths.count
        let healthy = options.nodes - watch.unhealthy.count
        _ = run(for: seconds * 1_000_000_000)
        let deaths = watch.falseDeaths[before...]
        let days = Double(healthy) * Double(seconds) / 86_400
        report.add("\(key)_days", "\(text): healthy node-days", days, "")
        report.add(
            "\(key)_false", "healthy nodes declared dead, by anybody, per node-day",
            Double(deaths.count { $0.isFirst }) / days, "")
        report.add(
            "\(key)_false_count", "such declarations in all", Double(deaths.count), "")
        report.add(
            "\(key)_false_healthy", "of these by healthy nodes",
            Double(deaths.count { !watch.unhealthy.contains($0.observer) }), "")
    }

    /// As in the Lifeguard paper: anomalies of 128 ms to 32.768 s, with pauses of such lengths between.
    private mutating func beginStalls(stopsTimers: Bool) {
        let milliseconds: [UInt64] = [128, 512, 2_048, 8_192, 16_384, 32_768]
        watch.stalls = GossipWatch.Stalls(lengths: milliseconds.map { $0 * 1_000_000 }, stopsTimers: stopsTimers)
        let count = max(1, options.nodes / 10)
        for index in 0..<count {
            watch.unhealthy.insert(index)
            stallAgain(index, at: now + random(0...1_000_000_000))
        }
    }

    private mutating func endStalls() {
        watch.stalls = nil
        _ = run(for: 40_000_000_000)
        runUntilAgreed(for: 120_000_000_000)
        watch.unhealthy = []
    }
}
