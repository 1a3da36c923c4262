/// Decides whether operations on one register, as clients saw them, can have happened one after the other, each between
/// its call and its answer (Wing and Gong, "Testing and Verifying Concurrent Objects", 1993, with the memory of
/// configurations seen of Lowe, 2017).
///
/// Of a write whose answer never came nobody knows whether it happened: it may at any time after its call, or never.
/// Bounded: at most 62 operations on a register; the recorder takes no more.
package struct RegisterHistory: Sendable {
    package enum Action: Sendable, Equatable {
        case write(Int)
        case read(Int)
    }
    package struct Operation: Sendable, Equatable {
        package var action: Action
        package var called: UInt64
        /// Nil: no answer, so that it may or may not happen.
        package var answered: UInt64?
        package init(_ action: Action, called: UInt64, answered: UInt64?) {
            self.action = action
            self.called = called
            self.answered = answered
        }
    }

    package static let limit = 62
    private let initial: Int
    package private(set) var operations: [Operation] = []

    package init(initial: Int) { self.initial = initial }

    package var isFull: Bool { operations.count >= Self.limit }

    /// The number of the operation, to be answered under; nil where there is no room.
    package mutating func call(_ action: Action, at time: UInt64) -> Int? {
        guard !isFull else { return nil }
        operations.append(Operation(action, called: time, answered: nil))
        return operations.count - 1
    }

    package mutating func answer(_ number: Int, at time: UInt64, read value: Int? = nil) {
        operations[number].answered = time
        if let value { operations[number].action = .read(value) }
    }

    private struct Configuration: Hashable {
        var done: UInt64
        var value: Int
    }

    package var isLinearizable: Bool {
        // A read without an answer says nothing.
        let list = operations.filter { if case .read = $0.action { $0.answered != nil } else { true } }
        var must: UInt64 = 0
        for (number, operation) in list.enumerated() where operation.answered != nil { must |= 1 << UInt64(number) }
        var seen: Set<Configuration> = []
        var stack = [Configuration(done: 0, value: initial)]
        while let at = stack.popLast() {
            if at.done & must == must { return true }
            guard seen.insert(at).inserted else { continue }
            // What comes next was called before the first answer among what is left.
            var first = UInt64.max
            for (number, operation) in list.enumerated() where at.done & 1 << UInt64(number) == 0 {
                first = min(first, operation.answered ?? .max)
            }
            for (number, operation) in list.enumerated()
            where at.done & 1 << UInt64(number) == 0 && operation.called <= first {
                let done = at.done | 1 << UInt64(number)
                switch operation.action {
                case .write(let value): stack.append(Configuration(done: done, value: value))
                case .read(let value): if value == at.value { stack.append(Configuration(done: done, value: value)) }
                }
            }
        }
        return false
    }
}
