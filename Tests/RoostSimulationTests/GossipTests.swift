import RoostCluster
import Testing

@testable import RoostSimulation

/// What docs/membership.md promises, with fewer nodes and samples than its figures are made of.
@Suite struct GossipFigureTests {
    private func effort(samples: Int, seconds: UInt64) -> GossipScenario.Effort {
        var effort = GossipScenario.Effort()
        effort.samples = samples
        effort.quietSeconds = seconds
        return effort
    }

    private func value(_ report: GossipReport, _ key: String) throws -> Double {
        try #require(report.value(key), "\(key)")
    }

    @Test("a change is known everywhere within 300 ms", arguments: [(3, 40), (10, 20), (50, 4)])
    func convergence(nodes: Int, samples: Int) throws {
        var cluster = GossipCluster(GossipOptions(nodes: nodes, seed: 7))
        var report = GossipReport(.convergence, cluster.options)
        cluster.settle()
        cluster.convergeWithoutCuts(samples: samples, into: &report)
        #expect(try value(report, "presence_max") < 100)
        #expect(try value(report, "member_max") < 300)
        #expect(cluster.checkInvariants().isEmpty)
    }

    @Test("a killed node is known dead everywhere within 4 s, and no other", arguments: [(3, 6), (10, 4), (50, 1)])
    func detection(nodes: Int, samples: Int) throws {
        let report = GossipScenario.detection.run(
            GossipOptions(nodes: nodes, seed: 3, lossPerCent: 1), effort(samples: samples, seconds: 60))
        #expect(try value(report, "killed_max") < 4_000)
        #expect(try value(report, "frozen_max") < 5_000)
        #expect(try value(report, "quiet_false_count") == 0)
        #expect(try value(report, "stalled_false_healthy") == 0)
        #expect(try value(report, "deafened_false_healthy") == 0)
        #expect(report.failures.isEmpty)
    }

    @Test("what a node sends when idle does not grow with the cluster, but for the full exchange")
    func idle() throws {
        var bytes: [Double] = []
        for nodes in [10, 60] {
            var cluster = GossipCluster(GossipOptions(nodes: nodes, seed: 5))
            cluster.settle()
            _ = cluster.run(for: 20_000_000_000)
            let before = cluster.traffic
            _ = cluster.run(for: 60_000_000_000)
            let sent = cluster.traffic
            bytes.append(Double((sent - before).bytes) / Double(nodes) / 60)
        }
        // Twice in thirty seconds 50 bytes for each of fifty more nodes.
        #expect(bytes[1] - bytes[0] < 2 * 50 * 50 / 30 + 20)
        #expect(bytes[1] < 2_000)
    }

    @Test("a storm of changes is everywhere at once, lost messages or not", arguments: [0.0, 10.0])
    func storm(loss: Double) throws {
        let report = GossipScenario.storm.run(
            GossipOptions(nodes: 10, seed: 4, lossPerCent: loss), effort(samples: 1, seconds: 3))
        #expect(try value(report, "busy_presence_p99") < (loss == 0 ? 100 : 3_000))
        #expect(try value(report, "join_known_max") < 2_000)
        #expect(report.failures.isEmpty)
    }

    @Test("a join costs each of the others a few kB, and not the more the more they are")
    func join() throws {
        let report = GossipScenario.storm.run(GossipOptions(nodes: 60, seed: 4), effort(samples: 1, seconds: 1))
        #expect(try value(report, "join_bytes") < 60 * 7_000)
    }

    @Test("every frame is what its bytes say, and a seed is a run")
    func codecs() {
        func run() -> (GossipTraffic, [String]) {
            var options = GossipOptions(nodes: 6, seed: 11, lossPerCent: 5)
            options.checksCodecs = true
            var cluster = GossipCluster(options)
            cluster.settle()
            var devices = GossipDevices(nodes: 6, each: 4)
            for _ in 0..<50 {
                devices.change(cluster.pick(), in: &cluster)
                _ = cluster.run(for: 50_000_000)
            }
            cluster.kill(2)
            _ = cluster.run(for: 8_000_000_000)
            cluster.restart(2)
            _ = cluster.run(for: 8_000_000_000)
            #expect(cluster.agrees && cluster.isComplete)
            return (cluster.traffic, cluster.checkInvariants())
        }
        let first = run()
        #expect(first.1.isEmpty, "\(first.1.prefix(3))")
        let second = run()
        #expect(first.0 == second.0)
    }
}

/// Everything that happens to members.
@Suite struct GossipTrialTests {
    @Test("all come to know what is so", arguments: Array(UInt64(1)...8))
    func clean(seed: UInt64) {
        #expect(GossipRule.run(nil, seed: seed, nodes: 3 + Int(seed % 6), rounds: 6) == [])
    }

    @Test("a broken rule is noticed", arguments: GossipRule.all.map(\.name))
    func planted(name: String) throws {
        let rule = try #require(GossipRule.all.first { $0.name == name })
        #expect((UInt64(1)...20).contains { seed in !GossipRule.run(rule, seed: seed, nodes: 7, rounds: 8).isEmpty })
    }
}

/// Cuts of every shape heal by themselves.
@Suite struct GossipHealingTests {
    /// How long after the end of a cut everybody held everybody for alive, nanoseconds.
    private func heal(_ shape: GossipCut, _ options: GossipOptions, cutFor: UInt64) -> UInt64 {
        var cluster = GossipCluster(options)
        cluster.settle()
        cluster.make(shape)
        _ = cluster.run(for: cutFor)
        cluster.heal()
        let start = cluster.now
        let agreed = cluster.runUntilAgreed(for: 60_000_000_000)
        #expect(agreed, "\(shape), \(options.nodes) nodes, seed \(options.seed)")
        let taken = cluster.now - start
        _ = cluster.run(for: 5_000_000_000)
        #expect(cluster.agrees && cluster.isComplete)
        #expect(cluster.checkInvariants().isEmpty)
        return taken
    }

    @Test("two probe periods and a full exchange after its end", arguments: GossipCut.allCases, [3, 7])
    func silent(shape: GossipCut, nodes: Int) {
        guard nodes >= shape.leastNodes else { return }
        for seed in UInt64(1)...4 {
            var options = GossipOptions(nodes: nodes, seed: seed)
            options.tearsLinks = false
            let taken = heal(shape, options, cutFor: 5_000_000_000 * seed)
            #expect(taken <= 2 * options.timing.probePeriod + 100_000_000, "\(shape), \(nodes) nodes, seed \(seed)")
        }
    }

    @Test("where links broke: once they are made anew", arguments: GossipCut.allCases, [3, 7])
    func torn(shape: GossipCut, nodes: Int) {
        guard nodes >= shape.leastNodes else { return }
        for seed in UInt64(1)...2 {
            let options = GossipOptions(nodes: nodes, seed: seed)
            let taken = heal(shape, options, cutFor: 20_000_000_000)
            #expect(
                taken <= options.redial + 2 * options.timing.probePeriod + 100_000_000, "\(shape), \(nodes), \(seed)")
        }
    }
}
