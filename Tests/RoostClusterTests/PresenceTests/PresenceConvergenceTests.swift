import RoostCluster
import RoostModel
import RoostProtocol
import Testing

/// Some nodes whose presence messages are lost, doubled and reordered.
private struct PresenceModel {
    var tables: [PresenceTable]
    /// What each node holds of each other by the actions it was given, for comparison with what it answers.
    var mirrors: [[NodeID: [String: PresenceEntry]]]
    var flights: [(from: Int, to: Int, message: PresenceMessage)] = []
    var now: UInt64 = 0
    var lossPerCent = 0
    var generator: SeededGenerator
    var session: UInt64 = 0
    var failures: [String] = []

    init(count: Int, seed: UInt64, limits: PresenceLimits) {
        tables = (0..<count).map { PresenceTable(me: Self.id($0), epoch: 1, limits: limits) }
        mirrors = Array(repeating: [:], count: count)
        generator = SeededGenerator(seed: seed)
    }

    static func id(_ index: Int) -> NodeID { NodeID("p\(index)") }
    mutating func random(_ count: Int) -> Int { Int.random(in: 0..<count, using: &generator) }

    private func key(_ entry: PresenceEntry) -> String { "\(entry.user) \(entry.device)" }

    mutating func perform(_ actions: [PresenceTable.Action], at index: Int) {
        for action in actions {
            switch action {
            case .send(let message, let to):
                guard let to = tables.firstIndex(where: { $0.me == to }) else { continue }
                flights.append((index, to, message))
            case .appeared(let entry, let node): mirrors[index][node, default: [:]][key(entry)] = entry
            case .disappeared(let entry, let node):
                let key = key(entry)
                if mirrors[index][node]?.removeValue(forKey: key) == nil {
                    failures.append("\(entry) disappeared, and was not there")
                }
            case .partChanged(let node):
                let devices = tables[index].devices(on: node)
                mirrors[index][node] = Dictionary(uniqueKeysWithValues: devices.map { (key($0), $0) })
            }
        }
    }

    mutating func broadcast(_ messages: [PresenceMessage], from index: Int) {
        for message in messages {
            for to in tables.indices where to != index { flights.append((index, to, message)) }
        }
    }

    /// Delivers one message under way, any of them.
    mutating func deliver() {
        guard !flights.isEmpty else { return }
        let flight = flights.remove(at: random(flights.count))
        if random(100) < lossPerCent { return }
        if random(100) < lossPerCent { flights.append(flight) }
        var actions: [PresenceTable.Action] = []
        tables[flight.to].receive(flight.message, from: Self.id(flight.from), now: now, into: &actions)
        perform(actions, at: flight.to)
    }

    mutating func compare(_ from: Int, _ to: Int) {
        var actions: [PresenceTable.Action] = []
        tables[to].compare(tables[from].digests(), from: Self.id(from), now: now, into: &actions)
        perform(actions, at: to)
    }

    mutating func step(users: Int) {
        now += UInt64(random(200)) * milliseconds
        let index = random(tables.count)
        let number = UInt64(random(users))
        let device = ["phone", "web", "a-device-with-a-long-name"][random(3)]
        switch random(20) {
        case 0..<6:
            session += 1
            tables[index].announce(presenceEntry(number, device, session: session, since: Int64(session)), now: now)
        case 6..<10:
            for found in tables[index].sessions(of: presenceUser(number)) where found.node == tables[index].me {
                let entry = found.entry
                tables[index].withdraw(
                    user: entry.user, device: entry.device, session: entry.session, at: Int64(session), now: now)
            }
        case 10..<12: broadcast(tables[index].flush(), from: index)
        case 12..<18: deliver()
        case 18:
            let other = random(tables.count)
            if other != index { compare(other, index) }
        default:
            let other = random(tables.count)
            guard other != index else { return }
            if random(30) == 0 {
                tables[other].raise(to: tables[other].epoch + 1)
            } else {
                let status: MemberStatus = random(2) == 0 ? .alive : .dead
                var actions: [PresenceTable.Action] = []
                tables[index].memberChanged(
                    memberState(Self.id(other), status, epoch: tables[other].epoch), wall: Int64(session),
                    into: &actions)
                perform(actions, at: index)
            }
        }
        for table in tables { failures += table.checkInvariants() }
    }

    /// The network is well again: everybody alive, digests going round.
    mutating func heal() {
        lossPerCent = 0
        for index in tables.indices { broadcast(tables[index].flush(), from: index) }
        for _ in 0..<6 {
            now += 10 * seconds
            for index in tables.indices {
                for other in tables.indices where other != index {
                    var actions: [PresenceTable.Action] = []
                    tables[index].memberChanged(
                        memberState(Self.id(other), .alive, epoch: tables[other].epoch), wall: 0, into: &actions)
                    perform(actions, at: index)
                    compare(other, index)
                }
            }
            while !flights.isEmpty { deliver() }
        }
    }

    /// Differences between what each node holds, what it was told, and the owners' truth.
    mutating func differences() -> [String] {
        for index in tables.indices {
            for other in tables.indices where other != index {
                let truth = tables[other].devices(on: Self.id(other))
                let held = tables[index].devices(on: Self.id(other))
                if truth != held { failures.append("p\(index) of p\(other): \(held.count), not \(truth.count)") }
                let told = mirrors[index][Self.id(other)] ?? [:]
                if told != Dictionary(uniqueKeysWithValues: held.map { (key($0), $0) }) {
                    failures.append("p\(index) was told otherwise of p\(other)")
                }
            }
        }
        return failures
    }
}

@Suite("Presence: convergence")
struct PresenceConvergenceTests {
    @Test("whatever is lost, doubled or reordered, all come to the owners' truth", arguments: UInt64(0)..<20)
    func converges(seed: UInt64) {
        var limits = PresenceLimits()
        // Small, so that floors, chunks and splits are met.
        limits.keptChanges = seed % 3 == 0 ? 8 : 64
        limits.changesPerMessage = 3
        limits.lastOnline = 16
        var model = PresenceModel(count: 4, seed: seed, limits: limits)
        model.lossPerCent = Int(seed % 4) * 10
        for _ in 0..<1_200 { model.step(users: 12) }
        model.heal()
        let differences = model.differences()
        #expect(differences.isEmpty, "\(differences.prefix(5))")
    }

    @Test("without loss the deltas alone keep everybody right: nothing is ever asked for")
    func quiet() {
        var model = PresenceModel(count: 3, seed: 1, limits: PresenceLimits())
        for number in UInt64(0)..<500 {
            let index = Int(number % 3)
            model.tables[index].announce(presenceEntry(number, session: number + 1), now: 0)
            if number % 7 == 0 { model.broadcast(model.tables[index].flush(), from: index) }
            while let flight = model.flights.first {
                model.flights.removeFirst()
                var actions: [PresenceTable.Action] = []
                model.tables[flight.to].receive(
                    flight.message, from: PresenceModel.id(flight.from), now: 0, into: &actions)
                #expect(!actions.contains { if case .send = $0 { true } else { false } })
                model.perform(actions, at: flight.to)
            }
        }
        model.heal()
        let differences = model.differences()
        #expect(differences.isEmpty, "\(differences.prefix(5))")
    }

    @Test("a busy node's whole part reaches a newcomer", arguments: [0, 1, 511, 512, 513, 5_000])
    func newcomer(count: Int) {
        var model = PresenceModel(count: 2, seed: 3, limits: PresenceLimits())
        for number in 0..<UInt64(count) {
            model.tables[0].announce(presenceEntry(number % 1_700, "d\(number)", session: 1), now: 0)
        }
        _ = model.tables[0].flush()
        model.tables[0].raise(to: 2)
        model.heal()
        let differences = model.differences()
        #expect(differences.isEmpty, "\(differences.prefix(5))")
        #expect(model.tables[1].onlineDevices == count)
    }
}
