package import RoostModel

/// Every knob of `Swim`. Times are in nanoseconds. docs/membership.md has the figures that come of them.
///
/// Until a node that is killed is `dead` everywhere pass: the wait for its turn (nothing where the link breaks; else
/// one period on average until the first of n - 1 others has its turn), one period of probing, some 100 ms of gossip, and
/// the lowest suspicion timeout: 0.3 + 0.1 + 1.2 s with a broken link and up to 10 nodes, 0.3 + 0.1 + 1.6 s with 50.
/// Where nobody is left to confirm it, the ceiling holds: 4.8 s.
package struct SwimTiming: Sendable, Equatable {
    /// One member is probed per period. 300 ms: with n members each is probed once per period on average, and at p99
    /// within ln(100) = 4.6 periods, which with the suspicion must stay below 4 s among 50; a ping costs 0.1 ms of CPU.
    package var probePeriod: UInt64 = 300_000_000
    /// How long the target may take before others are asked to probe it. Half a period: far above a round trip in a
    /// data centre plus a pause of an event loop, and as much is left for the indirect probe.
    package var probeTimeout: UInt64 = 150_000_000
    /// After which a relay says that it lives but has not heard from the target: 80 % of `probeTimeout` (Lifeguard §IV.A).
    package var relayTimeout: UInt64 { probeTimeout / 5 * 4 }
    /// How many others are asked to probe a silent target. 3: four lost paths in a row at 1 % loss are 1 in 10^6.
    package var indirectProbes = 3
    /// Lowest suspicion timeout: this many probe periods, times (1 + log10(n)) / 2 above 10 nodes (n: members alive or
    /// suspect), since a refutation needs a time that grows like log(n) to get around. 4: the accuser repeats its
    /// accusation to the suspect once a period, so four messages in a row must be lost for a live node to be dead.
    package var suspicionFactor: UInt64 = 4
    /// Highest suspicion timeout, while nobody confirms, as a multiple of the lowest. 4: 4.8 s up to 10 nodes, which
    /// with the probing stays below the 10 s that are promised.
    package var suspicionCeiling: UInt64 = 4
    /// Confirmations that bring the suspicion timeout down to its lowest (Lifeguard's K); never more than n - 2.
    package var maxConfirmations = 3
    /// While there are rumours, they are also sent to `gossipFanout` random members once per this time, the first time
    /// at once: news reach 50 nodes in three rounds.
    package var gossipPeriod: UInt64 = 100_000_000
    package var gossipFanout = 3
    /// A rumour is sent at most this times ln(n + 1) times, rounded up (SWIM §4.1, λ): 5 times among 3, 12 among 50.
    package var retransmitFactor = 3
    /// A random member is told a hash of all members, and begins a full exchange if it knows other ones: heals what
    /// gossip missed. 30 s: memberlist's.
    package var exchangePeriod: UInt64 = 30_000_000_000
    /// Full exchanges begun in a row, because links come back, dead members return or others know other members, and
    /// asked for by a newcomer; one more per probe period. 3: one of them is lost or meets a node that knows little, and
    /// n of them at once would be n² rumours.
    package var exchangeBurst = 3
    /// One random dead or never heard member is pinged per this time, so that the halves of a healed network meet: a
    /// probe period, since they should be one within two.
    package var deadProbePeriod: UInt64 = 300_000_000
    /// A member of `cluster.json` that was never heard of counts as `dead` here after this time. 10 s: a start of all
    /// nodes at once is over by then.
    package var seedGrace: UInt64 = 10_000_000_000
    /// Upper bound of Lifeguard's local health score; timeouts and the period are stretched by (1 + score). 4 rather
    /// than Lifeguard's 8: a node alone must still find two dead ones within the bound.
    package var healthLimit = 4
    /// A tick later than this is our own lag: deadlines are moved by the lag, and it costs a point of local health.
    package var lateTick: UInt64 = 200_000_000
    /// A node with more than two others that has heard nobody for two probe periods declares nobody dead for this time.
    /// 60 s: twice the longest anomaly of the Lifeguard paper; alone it has no majority to do anything with.
    package var longestDeafness: UInt64 = 60_000_000_000
    /// Bytes of rumours riding on one message: what fits an Ethernet frame beside the rest.
    package var rumourBudget = 1_200
    /// Members known at most, those of `cluster.json` included; rumours of more nodes are ignored.
    package var maxMembers = 1_024
    /// Probes running for others at most; above it the answer is an immediate nack.
    package var maxRelays = 256
    /// Rules that are broken on purpose, by a simulation.
    package var planted: PlantedFaults = []

    package init() {}

    /// Lowest suspicion timeout among `members` nodes alive or suspect, this one included.
    package func lowestSuspicion(members: Int) -> UInt64 {
        let scale = max(2_000, 1_000 + FixedLog.milliLog10(members))
        return suspicionFactor * probePeriod * scale / 2_000
    }

    /// How often a rumour is sent among `members` nodes.
    package func retransmits(members: Int) -> Int {
        let scaled = retransmitFactor * Int(FixedLog.milliLn(members + 1))
        return max(1, (scaled + 999) / 1_000)
    }
}

/// Logarithms in thousandths, from integers: the same on every platform, and no maths library.
enum FixedLog {
    /// 1000 · log2(value), rounded down; 0 for values below 2.
    static func milliLog2(_ value: Int) -> UInt64 {
        guard value > 1 else { return 0 }
        let whole = Int.bitWidth - 1 - value.leadingZeroBitCount
        // Squaring the rest of [1, 2) yields one binary digit of the fraction at a time.
        var rest = Double(value) / Double(1 << whole)
        var fraction = 0.0
        var digit = 0.5
        for _ in 0..<20 {
            rest *= rest
            if rest >= 2 {
                rest /= 2
                fraction += digit
            }
            digit /= 2
        }
        return UInt64((Double(whole) + fraction) * 1_000)
    }
    static func milliLn(_ value: Int) -> UInt64 { milliLog2(value) * 693_147 / 1_000_000 }
    static func milliLog10(_ value: Int) -> UInt64 { (milliLog2(value) * 301_030 + 999_999) / 1_000_000 }
}
