package import RoostCluster

/// What a gossip simulation is made of. Times are in nanoseconds.
package struct GossipOptions: Sendable {
    package var nodes: Int
    package var seed: UInt64
    /// Of a million messages, how many are lost. Links are TCP and lose nothing while they stand; but what is published
    /// of other protocols is measured with datagrams, and so is this.
    package var lossPerMillion: UInt64 = 0
    package var timing = SwimTiming()
    package var limits = PresenceLimits()
    /// Each message takes this long, evenly distributed; in order between any two nodes, as a connection has it.
    package var delay: ClosedRange<UInt64> = 200_000...2_000_000
    /// Until a link of which nothing is heard is given up, at both ends (`PeerLimits.silence`); up to a second more.
    package var linkSilence: UInt64 = 5_000_000_000
    /// Within this a link is made anew once that is possible (`PeerLimits.connect` and `maxBackoff`).
    package var redial: UInt64 = 1_500_000_000
    /// Whether links are given up in silence. Without it a cut ends with no sign of it but messages that arrive.
    package var tearsLinks = true
    /// Whether all messages are also decoded again, and compared.
    package var checksCodecs = false

    package init(nodes: Int, seed: UInt64, lossPerCent: Double = 0) {
        self.nodes = max(1, nodes)
        self.seed = seed
        lossPerMillion = UInt64(max(0, min(100, lossPerCent)) * 10_000)
    }
}
