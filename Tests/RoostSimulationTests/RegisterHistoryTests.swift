import RoostModel
import RoostSimulation
import Testing

@Suite struct RegisterHistoryTests {
    private func history(_ list: [(RegisterHistory.Action, UInt64, UInt64?)]) -> RegisterHistory {
        var history = RegisterHistory(initial: 0)
        for (action, called, answered) in list {
            guard let number = history.call(action, at: called) else { continue }
            if let answered { history.answer(number, at: answered) }
        }
        return history
    }

    @Test func oneAfterTheOther() {
        #expect(history([]).isLinearizable)
        #expect(history([(.write(1), 1, 2), (.read(1), 3, 4), (.write(0), 5, 6), (.read(0), 7, 8)]).isLinearizable)
        #expect(!history([(.write(1), 1, 2), (.read(0), 3, 4)]).isLinearizable)
        #expect(!history([(.read(1), 1, 2), (.write(1), 3, 4)]).isLinearizable)
    }

    /// Either may have been first, but then for everybody.
    @Test func atOnce() {
        let writes: [(RegisterHistory.Action, UInt64, UInt64?)] = [(.write(1), 1, 10), (.write(2), 1, 10)]
        #expect(history(writes + [(.read(1), 11, 12)]).isLinearizable)
        #expect(history(writes + [(.read(2), 11, 12)]).isLinearizable)
        #expect(!history(writes + [(.read(1), 11, 12), (.read(2), 13, 14)]).isLinearizable)
        #expect(history(writes + [(.read(0), 2, 3), (.read(2), 4, 5), (.read(1), 6, 7)]).isLinearizable)
        #expect(!history(writes + [(.read(1), 2, 3), (.read(0), 4, 5)]).isLinearizable)
    }

    /// A write without an answer may happen at any later time, once, or never.
    @Test func withoutAnAnswer() {
        let lost: [(RegisterHistory.Action, UInt64, UInt64?)] = [(.write(1), 1, nil)]
        #expect(history(lost + [(.read(0), 5, 6), (.read(1), 7, 8)]).isLinearizable)
        #expect(history(lost + [(.read(0), 5, 6), (.read(0), 7, 8)]).isLinearizable)
        #expect(!history(lost + [(.read(1), 5, 6), (.read(0), 7, 8)]).isLinearizable)
        #expect(!history([(.write(1), 5, nil), (.read(1), 1, 2)]).isLinearizable)
    }

    /// Against a search without memory or cleverness: every order of a few operations.
    @Test func agreesWithTryingEveryOrder() {
        var generator = SeededGenerator(seed: 7)
        var verdicts: Set<Bool> = []
        for _ in 0..<2_000 {
            let list = (0..<Int.random(in: 1...5, using: &generator)).map { _ in
                let called = UInt64.random(in: 1...8, using: &generator)
                let value = Int.random(in: 0...1, using: &generator)
                let isWrite = Bool.random(using: &generator)
                let answered =
                    isWrite && Int.random(in: 0...4, using: &generator) == 0
                    ? nil : called + UInt64.random(in: 0...5, using: &generator)
                return (isWrite ? RegisterHistory.Action.write(value) : .read(value), called, answered)
            }
            let verdict = history(list).isLinearizable
            verdicts.insert(verdict)
            #expect(verdict == Self.tryAll(list, value: 0), "\(list)")
        }
        #expect(verdicts.count == 2)
    }

    private static func tryAll(_ list: [(RegisterHistory.Action, UInt64, UInt64?)], value: Int) -> Bool {
        if list.allSatisfy({ $0.2 == nil }) { return true }
        return list.indices.contains { place in
            var rest = list
            let (action, called, _) = rest.remove(at: place)
            guard rest.allSatisfy({ $0.2.map { $0 >= called } ?? true }) else { return false }
            switch action {
            case .write(let new): return tryAll(rest, value: new)
            case .read(let seen): return seen == value && tryAll(rest, value: value)
            }
        }
    }

    /// Once, not again after another has happened: what a node sends twice is applied once.
    @Test func happensOnce() {
        let list: [(RegisterHistory.Action, UInt64, UInt64?)] = [
            (.write(1), 1, 10), (.read(1), 2, 3), (.write(0), 4, 5), (.read(0), 6, 7), (.read(1), 8, 9),
        ]
        #expect(!history(list).isLinearizable)
    }

    @Test func isBounded() {
        var history = RegisterHistory(initial: 0)
        for number in 0..<100 { _ = history.call(.write(number % 2), at: UInt64(number)) }
        #expect(history.operations.count == RegisterHistory.limit && history.isFull)
        #expect(history.isLinearizable)
    }
}
