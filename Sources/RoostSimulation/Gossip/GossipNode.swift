import RoostCluster
import RoostModel
import RoostProtocol

/// A node's machines, and what they cost.
struct GossipNode {
    /// What holds a node up.
    enum Stall {
        /// The whole process: neither timers nor messages.
        case process
        /// Messages alone, in and out, while timers run: the anomaly of the Lifeguard paper.
        case messages
    }

    var swim: Swim
    var presence: PresenceTable
    var isUp = true
    /// For the timer that is set, or `.max`.
    var timer = UInt64.max
    var stall: Stall?
    var stalledUntil: UInt64 = 0
    var sent = GossipTraffic()
    var bytesReceived: UInt64 = 0

    static func id(_ index: Int) -> NodeID {
        let digits = String(index)
        return NodeID("n" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits)
    }

    /// An address as long as they are.
    static func address(_ index: Int) -> String { "10.0.\(index / 250).\(index % 250):7001" }

    static func index(of node: NodeID) -> Int {
        var value = 0
        for digit in node.name.utf8.dropFirst() { value = value * 10 + Int(digit) - 48 }
        return value
    }

    init(index: Int, epoch: Epoch, options: GossipOptions, now: UInt64, seed: UInt64) {
        swim = Swim(
            me: Self.id(index), epoch: epoch, address: Self.address(index), seeds: [], timing: options.timing,
            now: now, seed: seed)
        presence = PresenceTable(me: Self.id(index), epoch: epoch, limits: options.limits)
    }

    /// When it wants to be called next.
    var deadline: UInt64 { min(swim.nextDeadline ?? .max, presence.nextDeadline ?? .max) }
}

/// What a node sends, in frames and in bytes of its links, lengths included.
struct GossipTraffic: Sendable, Equatable {
    var swimFrames: UInt64 = 0
    var swimBytes: UInt64 = 0
    var presenceFrames: UInt64 = 0
    var presenceBytes: UInt64 = 0

    var bytes: UInt64 { swimBytes + presenceBytes }
    var frames: UInt64 { swimFrames + presenceFrames }

    static func - (a: GossipTraffic, b: GossipTraffic) -> GossipTraffic {
        GossipTraffic(
            swimFrames: a.swimFrames - b.swimFrames, swimBytes: a.swimBytes - b.swimBytes,
            presenceFrames: a.presenceFrames - b.presenceFrames, presenceBytes: a.presenceBytes - b.presenceBytes)
    }

    static func += (a: inout GossipTraffic, b: GossipTraffic) {
        a.swimFrames += b.swimFrames
        a.swimBytes += b.swimBytes
        a.presenceFrames += b.presenceFrames
        a.presenceBytes += b.presenceBytes
    }
}
