internal import RoostModel

/// Whom to probe next: round robin in an order that is shuffled anew each round (SWIM §4.3), so that no member waits
/// for longer than two rounds.
struct ProbeSchedule: Sendable {
    private var round: [NodeID] = []
    private var position = 0

    /// A new member gets a random place in what is left of the round; one that is in the round keeps its place.
    mutating func add(_ node: NodeID, using generator: inout SeededGenerator) {
        guard !round.contains(node) else { return }
        round.insert(node, at: Int.random(in: position...round.count, using: &generator))
    }

    /// The next member that takes part; nil where there are none.
    mutating func next(among members: MemberTable, using generator: inout SeededGenerator) -> NodeID? {
        guard members.activeCount > 0 else { return nil }
        for _ in 0..<2 {
            while position < round.count {
                position += 1
                if members.state(of: round[position - 1])?.isActive == true { return round[position - 1] }
            }
            round = members.nodes(where: \.isActive).shuffled(using: &generator)
            position = 0
        }
        return nil
    }
}

/// A probe under way.
struct Probe: Sendable, Equatable {
    let sequence: UInt32
    let target: NodeID
    /// When others are asked; nil once they were.
    var askOthersAt: UInt64?
    /// When the target is suspected.
    var end: UInt64
    /// Relays that were asked, and have neither acknowledged nor said that they live.
    var silentRelays: [NodeID] = []
    var asked = 0
}

/// A probe done for somebody else.
struct RelayedProbe: Sendable, Equatable {
    let sequence: UInt32
    let target: NodeID
    let requester: NodeID
    let requestSequence: UInt32
    /// When the requester is told that this node lives; nil once it was.
    var nackAt: UInt64?
    /// When it is forgotten.
    var end: UInt64
}
