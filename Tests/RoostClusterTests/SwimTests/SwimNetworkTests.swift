import RoostCluster
import RoostModel
import RoostProtocol
import Testing

@Suite("SWIM: whole clusters in virtual time")
struct SwimNetworkTests {
    @Test("a start is known everywhere at once", arguments: [2, 3, 10, 50])
    func start(count: Int) {
        var model = SwimModel(count: count, seed: 1)
        #expect(model.run(for: 1 * seconds) { $0.allAlive })
        #expect(model.checkInvariants().isEmpty)
        #expect(!model.changes.contains { $0.new.status == .dead })
    }

    @Test("a killed node is dead everywhere in time", arguments: [3, 10, 50], [true, false])
    func kill(count: Int, linksBreak: Bool) {
        for seed in UInt64(0)..<(count == 50 ? 3 : 20) {
            var model = SwimModel(count: count, seed: seed)
            model.lossPerMille = seed % 2 == 0 ? 0 : 10
            model.run(for: 3 * seconds + seed * 77 * milliseconds)
            let killed = Int(seed) % count
            let at = model.now
            model.kill(killed, linksBreak: linksBreak)
            #expect(model.run(for: 30 * seconds) { $0.all(hold: killed, for: .dead) }, "seed \(seed)")
            let bound = linksBreak ? 4 * seconds : 6 * seconds
            #expect(model.now - at < bound, "seed \(seed): \((model.now - at) / milliseconds) ms")
            #expect(!model.changes.contains { $0.new.status == .dead && $0.new.node != SwimModel.id(killed) })
            #expect(model.checkInvariants().isEmpty)
        }
    }

    @Test("one that is left alone finds both others dead within the hard limit", arguments: [true, false])
    func twoOfThree(linksBreak: Bool) {
        for seed in UInt64(0)..<20 {
            var model = SwimModel(count: 3, seed: seed)
            model.run(for: 5 * seconds)
            let at = model.now
            model.kill(1, linksBreak: linksBreak)
            model.kill(2, linksBreak: linksBreak)
            #expect(model.run(for: 60 * seconds) { $0.all(hold: 1, for: .dead) && $0.all(hold: 2, for: .dead) })
            #expect(model.now - at < 10 * seconds, "seed \(seed): \((model.now - at) / milliseconds) ms")
        }
    }

    @Test("with 1 % loss no healthy node is declared dead", arguments: [(3, 180), (10, 60), (50, 4)])
    func noFalseDeaths(count: Int, minutes: UInt64) {
        var model = SwimModel(count: count, seed: 42)
        model.lossPerMille = 10
        model.run(for: minutes * 60 * seconds)
        #expect(!model.changes.contains { $0.new.status == .dead })
        #expect(model.allAlive || model.run(for: 10 * seconds) { $0.allAlive })
        #expect(model.checkInvariants().isEmpty)
    }

    @Test("a healthy network suspects nobody and stays quiet")
    func quiet() {
        var model = SwimModel(count: 10, seed: 5)
        model.run(for: 10 * seconds)
        let before = model.messages
        model.run(for: 60 * seconds)
        #expect(!model.changes.contains { $0.new.status == .suspect })
        // Per node a ping each period and its ack, and two full exchanges a minute with their answers.
        let pings = Int(60 * seconds / model.timing.probePeriod)
        #expect(model.messages - before <= 10 * (2 * pings + 10))
    }

    @Test("who leaves is left everywhere at once, and for good", arguments: [3, 10, 50])
    func leave(count: Int) {
        var model = SwimModel(count: count, seed: 3)
        model.run(for: 3 * seconds)
        model.feed(.leave, to: 1)
        let at = model.now
        #expect(model.run(for: 5 * seconds) { $0.all(hold: 1, for: .left) })
        #expect(model.now - at < 500 * milliseconds)
        model.kill(1)
        model.run(for: 60 * seconds)
        #expect(model.all(hold: 1, for: .left))
        #expect(!model.changes.contains { $0.new.status == .suspect })
    }

    @Test("who returns with a higher epoch is alive at once, dead before or not", arguments: [3, 10])
    func returns(count: Int) {
        for pause in [200 * milliseconds, 30 * seconds] {
            var model = SwimModel(count: count, seed: 9)
            model.run(for: 3 * seconds)
            model.kill(0)
            model.run(for: pause)
            model.restart(0, epoch: 200)
            #expect(model.run(for: 1 * seconds) { $0.all(hold: 0, for: .alive) && $0.allAlive })
            model.run(for: 20 * seconds)
            #expect(model.allAlive)
            #expect(model.nodes.allSatisfy { $0.swim.state(of: "node-1")?.epoch == 200 })
            #expect(model.conflicts.isEmpty)
            // After its return no rumour of its former life counts any more.
            let returned = model.changes.filter { $0.new.node == "node-1" && $0.seenBy != 0 && $0.new.epoch == 200 }
            #expect(returned.count == count - 1)
            #expect(returned.allSatisfy { $0.new.status == .alive })
        }
    }

    @Test("a left node returns with a higher epoch")
    func returnsAfterLeaving() {
        var model = SwimModel(count: 3, seed: 11)
        model.run(for: 3 * seconds)
        model.feed(.leave, to: 2)
        model.run(for: 1 * seconds)
        model.kill(2)
        model.run(for: 5 * seconds)
        model.restart(2, epoch: 101)
        #expect(model.run(for: 1 * seconds) { $0.allAlive })
    }

    @Test("the halves of a healed network find each other, without new links", arguments: [3, 10])
    func partitionHeals(count: Int) {
        for seed in UInt64(0)..<5 {
            var model = SwimModel(count: count, seed: seed)
            model.run(for: 3 * seconds)
            for index in 0..<count where index >= (count + 1) / 2 { model.group[index] = 1 }
            model.run(for: 40 * seconds)
            #expect(model.status(of: count - 1, at: 0) == .dead)
            #expect(model.status(of: 0, at: count - 1) == .dead)
            model.group = Array(repeating: 0, count: count)
            #expect(model.run(for: 20 * seconds) { $0.allAlive }, "seed \(seed)")
            #expect(model.refutations > 0)
            #expect(model.checkInvariants().isEmpty)
        }
    }

    @Test("a node that slept takes nobody for dead, and is alive again for all")
    func sleeper() {
        for seed in UInt64(0)..<10 {
            var model = SwimModel(count: 3, seed: seed)
            model.run(for: 5 * seconds)
            model.sleep(0, for: 30 * seconds)
            model.run(for: 29 * seconds)
            #expect(model.all(hold: 0, for: .dead))
            #expect(model.run(for: 10 * seconds) { $0.now > 40 * seconds && $0.allAlive })
            #expect(!model.changes.contains { $0.seenBy == 0 && $0.new.status == .dead })
        }
    }

    @Test("two lives with one epoch are told apart")
    func conflict() {
        var model = SwimModel(count: 3, seed: 8)
        model.run(for: 3 * seconds)
        // Its incarnation rises, then a wiped disk brings the same epoch back.
        model.group[2] = 1
        model.run(for: 30 * seconds)
        model.group[2] = 0
        #expect(model.run(for: 20 * seconds) { $0.allAlive })
        model.kill(2)
        model.run(for: 10 * seconds)
        model.restart(2, epoch: 100)
        model.run(for: 5 * seconds)
        #expect(model.conflicts.contains { $0.node == 2 && $0.epoch == 100 })
        model.feed(.epochRaised(101), to: 2)
        #expect(model.run(for: 5 * seconds) { $0.allAlive })
        #expect(model.nodes.allSatisfy { $0.swim.state(of: "node-3")?.epoch == 101 })
    }

    @Test("one seed is one run")
    func repeatable() {
        func trace() -> [String] {
            var model = SwimModel(count: 10, seed: 77)
            model.lossPerMille = 50
            model.run(for: 60 * seconds)
            model.kill(3)
            model.run(for: 60 * seconds)
            return model.changes.map { "\($0.at) \($0.seenBy) \($0.new)" } + ["\(model.messages)"]
        }
        #expect(trace() == trace())
    }
}
