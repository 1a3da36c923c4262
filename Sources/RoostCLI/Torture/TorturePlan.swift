internal import RoostModel

/// What may be done to nodes.
enum TortureFault: String, CaseIterable, Sendable {
    /// kill -9 of one, two or all nodes.
    case kill
    /// SIGSTOP, later SIGCONT.
    case stop
    /// Links between nodes, broken or silent.
    case cut
    /// A node loses its data directory.
    case wipe
    /// A node's disk is full for a while.
    case full

    /// One node at a time, and all others well: nothing promises more.
    var isAlone: Bool { self == .wipe || self == .full }
}

/// What is done to the nodes in one round, and when. Drawn from a seed alone.
struct TortureRound: Equatable, Sendable {
    enum Act: Equatable, Sendable {
        case kill([Int])
        /// Nothing where it runs.
        case start(Int)
        case stop(Int)
        case resume(Int)
        case cut(LocalCluster.Pair, PeerProxy.Mode)
        case mend(LocalCluster.Pair)
        /// Killed, and its directory removed.
        case wipe(Int)
        case fill(Int)
        case empty(Int)
        /// A client's connection breaks; it goes on at another node.
        case drop(client: Int)
    }

    struct Step: Equatable, Sendable {
        /// Milliseconds after the beginning of the round.
        var at: UInt64
        var act: Act
    }

    var name: String
    /// By time. At their end every node runs, and every link is whole.
    var steps: [Step]
}

/// One round after the other, the same ones for the same seed.
struct TorturePlan {
    private let nodes: Int
    private let clients: Int
    private let faults: [TortureFault]
    /// Of a standstill.
    private let stopMilliseconds: ClosedRange<UInt64>
    /// Where there are any, one of these instead.
    private let stops: [UInt64]
    private var generator: SeededGenerator

    init(
        seed: UInt64, nodes: Int, clients: Int, faults: [TortureFault], stopMilliseconds: ClosedRange<UInt64>,
        stops: [UInt64] = []
    ) {
        self.nodes = nodes
        self.clients = clients
        self.faults = faults
        self.stopMilliseconds = stopMilliseconds
        self.stops = stops
        generator = SeededGenerator(seed: seed)
    }

    mutating func next() -> TortureRound {
        let fault = pick(faults)
        // So that what there was before has spread over the nodes.
        let begin = draw(300...1_500)
        var parts = [draw(fault, from: begin)]
        if !fault.isAlone, draw(0...3) == 0 {
            let other = pick(faults.filter { !$0.isAlone })
            parts.append(draw(other, from: begin + draw(0...2_000)))
        }
        // Clients come and go as well, without a name of their own.
        let last = parts.flatMap(\.steps).map(\.at).max() ?? begin
        let drops = (0..<draw(0...4)).map { _ in
            TortureRound.Step(at: draw(0...last), act: .drop(client: Int(draw(0...UInt64(clients - 1)))))
        }
        let steps = (parts.flatMap(\.steps) + drops).enumerated().sorted {
            ($0.element.at, $0.offset) < ($1.element.at, $1.offset)
        }
        return TortureRound(name: parts.map(\.name).joined(separator: "; "), steps: steps.map(\.element))
    }

    private mutating func draw(_ range: ClosedRange<UInt64>) -> UInt64 { UInt64.random(in: range, using: &generator) }
    private mutating func pick<Value>(_ values: [Value]) -> Value { values[Int(draw(0...UInt64(values.count - 1)))] }

    private mutating func some(_ count: Int) -> [Int] {
        Array((0..<nodes).shuffled(using: &generator).prefix(count)).sorted()
    }

    private static func names(_ nodes: [Int]) -> String { nodes.map { "node-\($0 + 1)" }.joined(separator: ", ") }
    private static func seconds(_ milliseconds: UInt64) -> String {
        "\(milliseconds / 1_000).\(milliseconds / 100 % 10) s"
    }

    private mutating func draw(_ fault: TortureFault, from begin: UInt64) -> TortureRound {
        switch fault {
        case .kill: kills(from: begin)
        case .stop: standstill(from: begin)
        case .cut: cuts(from: begin)
        case .wipe: wiped(from: begin)
        case .full: filled(from: begin)
        }
    }

    private mutating func kills(from begin: UInt64) -> TortureRound {
        let count = pick([1, 1, 2, nodes])
        let victims = some(min(count, nodes))
        var steps: [TortureRound.Step] = []
        // At the same moment, or one after the other.
        if draw(0...1) == 0 {
            steps.append(.init(at: begin, act: .kill(victims)))
        } else {
            for victim in victims { steps.append(.init(at: begin + draw(0...1_000), act: .kill([victim]))) }
        }
        var again: [Int] = []
        var last = begin
        for victim in victims {
            var back = begin + 1_000 + draw(0...3_000)
            steps.append(.init(at: back, act: .start(victim)))
            // Once more, while it still reads what it has or is being brought up to date.
            if draw(0...3) == 0 {
                again.append(victim)
                let moment = back + draw(0...1_500)
                back = moment + draw(100...2_000)
                steps.append(.init(at: moment, act: .kill([victim])))
                steps.append(.init(at: back, act: .start(victim)))
            }
            last = max(last, back)
        }
        let all = victims.count == nodes ? "all" : Self.names(victims)
        let twice = again.isEmpty ? "" : ", \(Self.names(again)) twice"
        return TortureRound(name: "kill \(all)\(twice), back after \(Self.seconds(last - begin))", steps: steps)
    }

    private mutating func standstill(from begin: UInt64) -> TortureRound {
        let victim = Int(draw(0...UInt64(nodes - 1)))
        let time = stops.isEmpty ? draw(stopMilliseconds) : pick(stops)
        return TortureRound(
            name: "stop \(Self.names([victim])) for \(Self.seconds(time))",
            steps: [.init(at: begin, act: .stop(victim)), .init(at: begin + time, act: .resume(victim))])
    }

    private mutating func cuts(from begin: UInt64) -> TortureRound {
        let mode = pick([PeerProxy.Mode.closed, .stalled])
        let how = mode == .closed ? "cut" : "silence"
        let time = draw(1_000...12_000)
        let pairs: [LocalCluster.Pair]
        let what: String
        if draw(0...1) == 0 {
            let two = some(2)
            pairs = [LocalCluster.Pair(two[0], two[1])]
            what = "\(how) the link of \(Self.names(two))"
        } else {
            let lonely = Int(draw(0...UInt64(nodes - 1)))
            pairs = (0..<nodes).filter { $0 != lonely }.map { LocalCluster.Pair(lonely, $0) }
            what = "\(how) all links of \(Self.names([lonely]))"
        }
        return TortureRound(
            name: "\(what) for \(Self.seconds(time))",
            steps: pairs.flatMap {
                [.init(at: begin, act: .cut($0, mode)), TortureRound.Step(at: begin + time, act: .mend($0))]
            })
    }

    private mutating func wiped(from begin: UInt64) -> TortureRound {
        let victim = Int(draw(0...UInt64(nodes - 1)))
        let back = begin + draw(0...3_000)
        return TortureRound(
            name: "wipe \(Self.names([victim])), back after \(Self.seconds(back - begin))",
            steps: [.init(at: begin, act: .wipe(victim)), .init(at: back, act: .start(victim))])
    }

    private mutating func filled(from begin: UInt64) -> TortureRound {
        let victim = Int(draw(0...UInt64(nodes - 1)))
        let time = draw(2_000...10_000)
        return TortureRound(
            name: "fill the disk of \(Self.names([victim])) for \(Self.seconds(time))",
            steps: [.init(at: begin, act: .fill(victim)), .init(at: begin + time, act: .empty(victim))])
    }
}
