/// What one receiver has of one sender's messages, numbered 1, 2, 3 …: finds what is missing, twice or out of order.
struct BenchFlow: Equatable {
    enum Outcome: Equatable {
        case new
        case outOfOrder
        case duplicate
    }

    /// Gaps beyond this many are not told apart from losses.
    static let maxMissing = 100_000

    private(set) var next: UInt64 = 1
    /// Below `next` and not received.
    private(set) var missing: Set<UInt64> = []
    private(set) var received: UInt64 = 0
    private(set) var outOfOrder: UInt64 = 0
    private(set) var duplicates: UInt64 = 0

    mutating func receive(_ counter: UInt64) -> Outcome {
        if counter >= next {
            var gap = next
            while gap < counter, missing.count < Self.maxMissing {
                missing.insert(gap)
                gap += 1
            }
            next = counter + 1
            received += 1
            return .new
        }
        if missing.remove(counter) != nil {
            received += 1
            outOfOrder += 1
            return .outOfOrder
        }
        duplicates += 1
        return .duplicate
    }

    func contains(_ counter: UInt64) -> Bool { counter < next && !missing.contains(counter) }

    /// How many of the accepted messages have not been received.
    func lost(accepted: BenchAccepted) -> UInt64 {
        let gaps = UInt64(missing.count { accepted.contains($0) })
        guard next <= accepted.highest else { return gaps }
        return gaps + accepted.count(from: next)
    }
}

extension BenchFlow {
    /// The lowest numbers of accepted messages that have not been received.
    func firstLost(_ count: Int, accepted: BenchAccepted) -> [UInt64] {
        var lost = missing.filter { accepted.contains($0) }.sorted()
        var number = next
        while lost.count < count, number <= accepted.highest {
            if accepted.contains(number) { lost.append(number) }
            number += 1
        }
        return Array(lost.prefix(count))
    }
}

/// Which of a sender's messages were accepted: all up to `floor`, and some above.
struct BenchAccepted: Equatable {
    private(set) var floor: UInt64 = 0
    private(set) var above: Set<UInt64> = []

    mutating func insert(_ counter: UInt64) {
        guard counter > floor else { return }
        above.insert(counter)
        while above.remove(floor + 1) != nil { floor += 1 }
    }

    var count: UInt64 { floor + UInt64(above.count) }
    var highest: UInt64 { above.max() ?? floor }
    func contains(_ counter: UInt64) -> Bool { counter > 0 && counter <= floor || above.contains(counter) }

    func count(from first: UInt64) -> UInt64 {
        let below = floor >= first ? floor - first + 1 : 0
        return below + UInt64(above.count { $0 >= first })
    }
}

/// All flows together.
struct BenchTally: Equatable {
    private(set) var sent: UInt64 = 0
    private(set) var accepted: UInt64 = 0
    private(set) var delivered: UInt64 = 0
    private(set) var lost: UInt64 = 0
    private(set) var duplicates: UInt64 = 0
    private(set) var outOfOrder: UInt64 = 0

    /// - Parameters:
    ///   - senders: how many messages each wrote, and which were accepted.
    ///   - flows: of each sender, one per receiver.
    init(senders: [(sent: UInt64, accepted: BenchAccepted)], flows: [[BenchFlow]]) {
        for (sender, flows) in zip(senders, flows) {
            sent += sender.sent
            accepted += sender.accepted.count
            for flow in flows {
                delivered += flow.received
                duplicates += flow.duplicates
                outOfOrder += flow.outOfOrder
                lost += flow.lost(accepted: sender.accepted)
            }
        }
    }

    var isClean: Bool { lost == 0 && duplicates == 0 && outOfOrder == 0 }
}
