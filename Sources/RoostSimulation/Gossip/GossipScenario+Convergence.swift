import RoostCluster
import RoostProtocol

extension GossipCluster {
    mutating func converge(_ effort: GossipScenario.Effort, into report: inout GossipReport) {
        guard options.nodes > 1 else { return }
        convergeWithoutCuts(samples: effort.samples, into: &report)
        let cuts = effort.cuts ?? max(1, effort.samples / 10)
        guard cuts > 0 else { return }
        for shape in GossipCut.allCases where options.nodes >= shape.leastNodes {
            let times = heal(shape, samples: cuts)
            report.add("heal_\(shape.rawValue)", "healed after \(shape.text)", times: times)
        }
        // Of which nothing is seen but messages that arrive again.
        tearsLinks = false
        let silent = GossipCut.allCases.filter { options.nodes >= $0.leastNodes }.flatMap { shape in
            heal(shape, samples: cuts)
        }
        tearsLinks = options.tearsLinks
        report.add("heal_silent", "healed after any of these, no link torn", times: silent)
    }

    mutating func convergeWithoutCuts(samples: Int, into report: inout GossipReport) {
        report.add("presence", "a device that came or went is known everywhere", times: presenceChanges(samples))
        report.add("member", "a member's news are known everywhere", times: memberChanges(samples))
    }

    private mutating func presenceChanges(_ samples: Int) -> [UInt64] {
        var devices = GossipDevices(nodes: options.nodes, each: 2)
        watch.presenceTimes = []
        for _ in 0..<samples {
            devices.change(pick(), in: &self)
            _ = run(for: 250_000_000 + random(0...100_000_000))
        }
        for _ in 0..<60 where watch.openChanges > 0 { _ = run(for: 1_000_000_000) }
        // What never came counts as if it had come now.
        return watch.presenceTimes + Array(repeating: 60_000_000_000, count: watch.openChanges)
    }

    private mutating func memberChanges(_ samples: Int) -> [UInt64] {
        var times: [UInt64] = []
        for _ in 0..<samples {
            let node = pick()
            let start = now
            watch.lookFor(node, epoch: nodes[node].swim.own.epoch + 1, status: .alive)
            raiseEpoch(node)
            let end = now + 60_000_000_000
            while watch.learnt.count < options.nodes - 1, now < end { _ = run(for: 1_000_000) }
            times.append((watch.learnt.last ?? end) - start)
            _ = run(for: 1_000_000_000)
        }
        return times
    }

    /// Cuts the cluster for twenty to thirty seconds, and returns how long after the end of each cut everybody held
    /// everybody for alive.
    private mutating func heal(_ shape: GossipCut, samples: Int) -> [UInt64] {
        var times: [UInt64] = []
        for _ in 0..<samples {
            make(shape)
            _ = run(for: 20_000_000_000 + random(0...10_000_000_000))
            heal()
            let start = now
            runUntilAgreed(for: 120_000_000_000)
            times.append(now - start)
            _ = run(for: 10_000_000_000)
        }
        return times
    }

    mutating func make(_ shape: GossipCut) {
        let count = options.nodes
        let shift = pick()
        for from in 0..<count {
            for to in 0..<count where from != to {
                let a = (from + shift) % count
                let b = (to + shift) % count
                if shape.cuts(a, b, of: count) { cut(from, to) }
            }
        }
    }
}

/// Shapes of a cut network.
enum GossipCut: String, Sendable, CaseIterable {
    case halves
    case minority
    case isolated
    case deaf
    case mute
    case oneWay = "one_way"
    case ring
    case islands
    case all

    var text: String {
        switch self {
        case .halves: "a split in halves"
        case .minority: "a split of a fifth from the rest"
        case .isolated: "one node was alone"
        case .deaf: "one node heard nobody"
        case .mute: "nobody heard one node"
        case .oneWay: "one half did not hear the other"
        case .ring: "each heard its neighbours in a ring only"
        case .islands: "a split in groups of three"
        case .all: "nobody heard anybody"
        }
    }

    var leastNodes: Int {
        switch self {
        case .ring, .islands: 6
        case .minority: 5
        default: 2
        }
    }

    /// Whether what `from` sends is lost on its way to `to`.
    func cuts(_ from: Int, _ to: Int, of count: Int) -> Bool {
        let fifth = max(1, count / 5)
        return switch self {
        case .halves: (from < (count + 1) / 2) != (to < (count + 1) / 2)
        case .minority: (from < fifth) != (to < fifth)
        case .isolated: from == 0 || to == 0
        case .deaf: to == 0
        case .mute: from == 0
        case .oneWay: from < (count + 1) / 2 && to >= (count + 1) / 2
        case .ring: ![1, count - 1].contains((to - from + count) % count)
        case .islands: from / 3 != to / 3
        case .all: true
        }
    }
}
